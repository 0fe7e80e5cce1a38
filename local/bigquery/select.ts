import type { DuckDBConnection, DuckDBMaterializedResult } from '@duckdb/node-api';
import type { Catalog, TableKey } from './catalog.ts';
import { fetchable } from './results.ts';
import type { Statement } from './sql/translate.ts';
import { InvalidQuery, type Field } from './sql/types.ts';
import { columnsOf, queryError, requireReadable } from './views.ts';

/** What a query has answered: rows that stay in DuckDB's memory, or the table that it has written them to. */
export type Answer = { fields: Field[]; rows: DuckDBMaterializedResult } | { fields: Field[]; table: TableKey };

export async function runSelect(
  catalog: Catalog,
  connection: DuckDBConnection,
  statement: Statement & { kind: 'select' },
): Promise<Answer> {
  for (const each of statement.reads) requireReadable(catalog, each);
  const fields = await columnsOf(connection, statement.sql);
  checkNames(fields);
  const rows = await connection.run(`SELECT ${fetchable(fields)} FROM (${statement.sql})`);
  return { fields, rows };
}

export function checkNames(fields: Field[]): void {
  const names = fields.map((field) => field.name.toLowerCase());
  const twice = fields.find((field, index) => names.indexOf(field.name.toLowerCase()) !== index);
  if (twice !== undefined)
    throw new InvalidQuery(
      `Duplicate column names in the result are not supported when a destination table is present. Found duplicate(s): ${twice.name}`,
    );
}

/** Runs `work` so that a cancelled job interrupts it; DuckDB's refusals become BigQuery's. */
export async function stoppable<T>(
  connection: DuckDBConnection,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  // An interrupt between two statements of the work hits neither: it is said again until the work has ended.
  let again: NodeJS.Timeout | undefined;
  const stop = (): void => {
    connection.interrupt();
    again = setInterval(() => connection.interrupt(), 50);
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await work();
  } catch (error) {
    throw queryError(error);
  } finally {
    signal.removeEventListener('abort', stop);
    clearInterval(again);
  }
}
