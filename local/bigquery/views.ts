import type { DuckDBConnection } from '@duckdb/node-api';
import { ApiError } from '../http.ts';
import { tableName, type Catalog, type Table, type TableKey, type Transaction } from './catalog.ts';
import { translate, type Context } from './sql/translate.ts';
import { asComputed, asStored } from './sql/stored.ts';
import { fieldOf, InvalidQuery, quoteName, type Field } from './sql/types.ts';

/** BigQuery: "A view's SQL query text can't exceed 256 K characters". */
const maximumText = 256 * 1024;

/** BigQuery: "BigQuery supports up to 16 levels of nested views". */
const maximumDepth = 16;

export type ViewDefinition = { query: string; references: TableKey[]; sql: string };

/**
 * Reads a view's query, whose unqualified names are not allowed to depend on a reader's default dataset.
 * @throws InvalidQuery for what BigQuery would refuse, 404 for a table that is missing
 */
export function defineView(catalog: Catalog, key: TableKey, query: string): ViewDefinition {
  if (query.length > maximumText)
    throw new ApiError(
      400,
      'invalid',
      `The view's query is too long: ${query.length} characters, allowed are ${maximumText}.`,
    );
  const { statements, functions } = translate(query, { project: key.project, ...tablesOf(catalog) });
  const [statement] = statements;
  if (statements.length !== 1 || functions.length > 0 || statement?.kind !== 'select') {
    throw new InvalidQuery('A view is defined by a single SELECT statement');
  }
  const references = statement.reads;
  for (const reference of references) requireReadable(catalog, reference, [tableName(key)]);
  return { query, references, sql: statement.sql };
}

/** Creates or moves the view in DuckDB, so that the file shows it to plain DuckDB too; answers its columns. */
async function createView(
  catalog: Catalog,
  connection: DuckDBConnection,
  name: string,
  definition: ViewDefinition,
): Promise<Field[]> {
  try {
    const fields = await columnsOf(connection, definition.sql);
    // A view shows what a table stores: a BIGNUMERIC as its text.
    const sql = wholeTable(catalog, definition) ?? asStored(fields, definition.sql);
    await connection.run(`CREATE OR REPLACE VIEW ${name} AS ${sql}`);
    return fields;
  } catch (error) {
    throw queryError(error);
  }
}

/** The view of one whole table, `SELECT * FROM t`, without converting its values there and back. */
function wholeTable(catalog: Catalog, { references, sql }: ViewDefinition): string | undefined {
  const [table] = references;
  if (table === undefined) return undefined;
  const name = duckName(catalog, table);
  const start = `SELECT * FROM ${asComputed(catalog.findTable(table)?.fields ?? [], name)} AS `;
  const alias = sql.slice(start.length);
  return sql.startsWith(start) && /^"(?:[^"]|"")*"$/.test(alias) ? `SELECT * FROM ${name} AS ${alias}` : undefined;
}

/** The columns that a query would answer, without running it. */
export async function columnsOf(connection: DuckDBConnection, sql: string): Promise<Field[]> {
  const result = await connection.run(`SELECT * FROM (${sql}) LIMIT 0`);
  return result.columnNames().map((name, index) => fieldOf(name, result.columnType(index)));
}

/**
 * Checks that a table, and for a view everything below it, is there.
 * @throws ApiError 404 `notFound` for the first that is missing; InvalidQuery for views that contain themselves or nest too deep
 */
export function requireReadable(catalog: Catalog, key: TableKey, above: string[] = []): void {
  const name = tableName(key);
  if (above.includes(name)) throw new InvalidQuery(`View ${name} contains itself`);
  if (above.length > maximumDepth)
    throw new InvalidQuery(`Exceeded maximum view depth of ${maximumDepth}: ${above.join(', ')}`);
  const dataset = catalog.getDataset(key.project, key.dataset);
  const table = catalog.findTable(key);
  if (table === undefined) {
    throw new ApiError(404, 'notFound', `Not found: Table ${name} was not found in location ${dataset.location}`);
  }
  for (const reference of table.view?.references ?? []) requireReadable(catalog, reference, [...above, name]);
}

/** Whether reading these tables and views reads `target`, directly or through views. */
export function reads(catalog: Catalog, keys: TableKey[], target: TableKey): boolean {
  return keys.some(
    (key) =>
      tableName(key) === tableName(target) || reads(catalog, catalog.findTable(key)?.view?.references ?? [], target),
  );
}

/** A table's name in DuckDB, or the one that it will have: a script may create it before it reads it. */
export function duckName(catalog: Catalog, key: TableKey): string {
  const dataset = catalog.getDataset(key.project, key.dataset);
  return `${quoteName(dataset.name)}.${quoteName(catalog.freeTableName(key.project, key.dataset, key.table))}`;
}

/** The catalogue's tables for a translation. */
export function tablesOf(catalog: Catalog): Pick<Context, 'quote' | 'fields'> {
  return { quote: (ref) => duckName(catalog, ref), fields: (ref) => catalog.findTable(ref)?.fields };
}

/**
 * Binds the views again that read a table which may have other columns now: DuckDB keeps the columns of a view's creation, BigQuery
 * reads a view as it is written. The caller holds no lock.
 */
export async function rebindViews(catalog: Catalog, changed: TableKey): Promise<void> {
  const name = tableName(changed);
  for (const dataset of catalog.listDatasets(changed.project)) {
    for (const { id, view } of catalog.listTables(changed.project, dataset.id)) {
      if (view === undefined || !view.references.some((reference) => tableName(reference) === name)) continue;
      const key = { project: changed.project, dataset: dataset.id, table: id };
      if (await catalog.locked([key], () => rebindView(catalog, key))) await rebindViews(catalog, key);
    }
  }
}

/** False for a view that is gone, or has become invalid: that one stays as it is, and fails whoever reads it. */
async function rebindView(catalog: Catalog, key: TableKey): Promise<boolean> {
  const table = catalog.findTable(key);
  if (table?.view === undefined) return false;
  const { query } = table.view;
  try {
    const rebind = async (transaction: Transaction): Promise<void> => {
      await putView(catalog, transaction, key, table, defineView(catalog, key, query));
    };
    await catalog.transaction(rebind, 'functions');
    return true;
  } catch (error) {
    if (error instanceof ApiError) return false;
    throw error;
  }
}

/** Writes the view into DuckDB and the catalogue. */
export async function putView(
  catalog: Catalog,
  transaction: Transaction,
  key: TableKey,
  table: Table,
  definition: ViewDefinition,
): Promise<Table> {
  const { query, references, sql } = definition;
  const name = duckName(catalog, key);
  const fields = await createView(catalog, transaction.connection, name, { query, references, sql });
  const view: Table = { ...table, fields, view: { query, references } };
  transaction.putTable(key, view);
  return view;
}

/** DuckDB's error as BigQuery's `invalidQuery`; errors that are one already pass. */
export function queryError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new InvalidQuery(
    message.replace(/^(?:Binder|Catalog|Parser|Conversion|Invalid Input|Out of Range|Constraint) Error: /u, ''),
  );
}
