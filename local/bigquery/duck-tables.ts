import type { DuckDBConnection } from '@duckdb/node-api';
import { asStored, storedType } from './sql/stored.ts';
import { quoteName, type Field } from './sql/types.ts';

/** The columns of CREATE TABLE. REQUIRED is enforced by DuckDB itself, whoever writes. */
export function columnList(fields: Field[]): string {
  // DuckDB has no table without columns, BigQuery has: one that nobody sees stands in.
  if (fields.length === 0) return `${quoteName(noColumns)} BOOLEAN`;
  return fields
    .map((field) => `${quoteName(field.name)} ${storedType(field)}${field.mode === 'REQUIRED' ? ' NOT NULL' : ''}`)
    .join(', ');
}

const noColumns = '$no_columns';

export async function createTable(connection: DuckDBConnection, name: string, fields: Field[]): Promise<void> {
  await connection.run(`CREATE TABLE ${name} (${columnList(fields)})`);
}

/**
 * Makes a table of a query's rows.
 * @param drop removes the table in whose place it is
 * @param readsItself whether the query reads what it replaces, so that its rows have to be kept aside first
 */
export async function createTableAs(
  connection: DuckDBConnection,
  name: string,
  fields: Field[],
  sql: string,
  { drop, readsItself }: { drop: () => Promise<void>; readsItself: boolean },
): Promise<void> {
  if (readsItself) {
    await connection.run(`CREATE OR REPLACE TEMP TABLE answer (${columnList(fields)})`);
    await connection.run(`INSERT INTO answer ${asStored(fields, sql)}`);
  }
  await drop();
  await createTable(connection, name, fields);
  await connection.run(`INSERT INTO ${name} ${readsItself ? 'FROM answer' : asStored(fields, sql)}`);
  if (readsItself) await connection.run('DROP TABLE answer');
}

/** Rows, and bytes by BigQuery's table of data type sizes. */
export async function measure(
  connection: DuckDBConnection,
  name: string,
  fields: Field[],
): Promise<{ rows: number; bytes: number }> {
  // As a list, for a sum of thousands of columns is too deep an expression.
  const bytes = fields.map((field) => `sum(${sizeOf(field, quoteName(field.name))})::DOUBLE`).join(', ');
  const reader = await connection.runAndReadAll(
    `SELECT count(*)::DOUBLE, coalesce(list_sum([${bytes}]), 0)::DOUBLE FROM ${name}`,
  );
  const [rows, size] = reader.getRowsJS()[0] ?? [];
  return { rows: Number(rows), bytes: Number(size) };
}

/** The bytes of one value as an SQL expression; a NULL has none. */
function sizeOf(field: Field, value: string): string {
  if (field.mode === 'REPEATED') {
    return `list_sum(list_transform(${value}, lambda each: ${sizeOf({ ...field, mode: 'NULLABLE' }, 'each')}))`;
  }
  switch (field.type) {
    case 'STRUCT':
      return (field.fields ?? [])
        .map((inner) => `coalesce(${sizeOf(inner, `(${value}).${quoteName(inner.name)}`)}, 0)`)
        .join(' + ');
    case 'STRING':
      return `(2 + strlen(${value}))`;
    case 'BYTES':
      return `(2 + octet_length(${value}))`;
    case 'JSON':
      return `strlen(${value}::VARCHAR)`;
    case 'GEOGRAPHY':
      // "16 bytes + 24 bytes * the number of vertices", which are parted by commas.
      return `CASE WHEN contains(${value}, '(') THEN 40 + 24 * (strlen(${value}) - strlen(replace(${value}, ',', ''))) ELSE 16 * (${value} IS NOT NULL)::TINYINT END`;
    case 'BOOL':
      return `(${value} IS NOT NULL)::TINYINT`;
    case 'NUMERIC':
    case 'INTERVAL':
      return `16 * (${value} IS NOT NULL)::TINYINT`;
    case 'BIGNUMERIC':
      return `32 * (${value} IS NOT NULL)::TINYINT`;
    case 'INT64':
    case 'FLOAT64':
    case 'DATE':
    case 'TIME':
    case 'DATETIME':
    case 'TIMESTAMP':
      return `8 * (${value} IS NOT NULL)::TINYINT`;
  }
}
