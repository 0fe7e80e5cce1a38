import type { DuckDBConnection } from '@duckdb/node-api';
import { CAST_MACROS } from './macros-casts.ts';
import { DATE_MACROS } from './macros-dates.ts';
import { JSON_MACROS } from './macros-json.ts';
import { NUMBER_MACROS } from './macros-numbers.ts';
import { OPERATOR_MACROS } from './macros-operators.ts';
import { TEXT_MACROS } from './macros-text.ts';
import { SCALAR_FUNCTIONS } from './scalar-functions.ts';
import { registerMissing } from './scalars.ts';

export { installJavaScript } from './javascript.ts';

/**
 * Makes the macros and functions that translated SQL calls known to this connection, and its time zone UTC. Once per connection;
 * the macros are temporary, so that a database file holds nothing of them.
 */
export async function installFunctions(connection: DuckDBConnection): Promise<void> {
  await connection.run("SET TimeZone = 'UTC'");
  // Functions of JavaScript belong to the whole database instance, macros to the connection.
  await registerMissing(connection, SCALAR_FUNCTIONS);
  await connection.run(
    [CAST_MACROS, TEXT_MACROS, NUMBER_MACROS, DATE_MACROS, OPERATOR_MACROS, JSON_MACROS].flat().join('\n'),
  );
}
