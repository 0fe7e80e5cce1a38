import type { DuckDBConnection } from '@duckdb/node-api';
import { CAST_MACROS } from './macros-casts.ts';
import { DATE_MACROS } from './macros-dates.ts';
import { JSON_MACROS } from './macros-json.ts';
import { NUMBER_MACROS } from './macros-numbers.ts';
import { OPERATOR_MACROS } from './macros-operators.ts';
import { TEXT_MACROS } from './macros-text.ts';
import { SCALAR_FUNCTIONS } from './scalar-functions.ts';
import { quoteName } from './types.ts';
import { registerMissing, type Registered } from './scalars.ts';

export { installJavaScript } from './javascript.ts';

/** What a database instance has been given, for all of its connections. */
export type Installed = { scalars: Registered; macros?: Promise<unknown> };

/** The database, in memory, that holds the macros: a file holds nothing of them. No dataset can have a name with a hyphen. */
const library = '"bigquery-functions"';

/**
 * Makes the macros and functions that translated SQL calls known to this connection, and its time zone UTC. Planning the macros takes
 * a fifth of a second, which the instance's first connection pays for all.
 */
export async function installFunctions(connection: DuckDBConnection, installed: Installed): Promise<void> {
  registerMissing(connection, SCALAR_FUNCTIONS, installed.scalars);
  const own = await connection.runAndReadAll('SELECT current_database()');
  const path = `${quoteName(String(own.getRows()[0]?.[0]))}.main,${library}.main`;
  installed.macros ??= connection.run(
    `ATTACH ':memory:' AS ${library}; SET search_path = '${library}.main'; ${MACROS}`,
  );
  await installed.macros;
  await connection.run(`SET search_path = '${path}'; SET TimeZone = 'UTC'`);
}

const MACROS = [CAST_MACROS, TEXT_MACROS, NUMBER_MACROS, DATE_MACROS, OPERATOR_MACROS, JSON_MACROS].flat().join('\n');
