import type { Catalog, Table, TableKey, Transaction } from './catalog.ts';
import { columnList } from './duck-tables.ts';
import { quoteName } from './sql/types.ts';
import { duckName } from './views.ts';

/**
 * A copy shares its rows with the table that it is of, as BigQuery's copies do: in DuckDB it is a view of that table, and takes
 * neither time nor room. Before the rows of either are changed, dropped or replaced, the copy gets rows of its own. Whoever
 * holds the lock of one of them holds those of all.
 */
export async function shareRows(
  catalog: Catalog,
  transaction: Transaction,
  key: TableKey,
  source: TableKey,
): Promise<void> {
  const owner = transaction.rowsOf(source) ?? source;
  await transaction.connection.run(`CREATE VIEW ${duckName(catalog, key)} AS FROM ${duckName(catalog, owner)}`);
  transaction.putRows(key, owner);
}

/** Before a table's rows are changed where they are: from here on they are its own, and nobody else's. */
export async function ownRows(catalog: Catalog, transaction: Transaction, key: TableKey): Promise<void> {
  await partWithSharers(catalog, transaction, key);
  if (transaction.rowsOf(key) !== undefined) await copyRows(catalog, transaction, key);
}

/** Removes a table or view from DuckDB; who shares the table's rows keeps them. */
export async function dropRows(catalog: Catalog, transaction: Transaction, key: TableKey, table: Table): Promise<void> {
  await partWithSharers(catalog, transaction, key);
  const isView = table.view !== undefined || transaction.rowsOf(key) !== undefined;
  await transaction.connection.run(`DROP ${isView ? 'VIEW' : 'TABLE'} IF EXISTS ${duckName(catalog, key)}`);
  transaction.putRows(key, undefined);
}

/** Gives rows of their own to those who share a table's, but for `others` that are dropped with it. */
export async function partWithSharers(
  catalog: Catalog,
  transaction: Transaction,
  key: TableKey,
  isDropped: (sharer: TableKey) => boolean = () => false,
): Promise<void> {
  for (const sharer of transaction.sharersOf(key)) {
    if (!isDropped(sharer)) await copyRows(catalog, transaction, sharer);
  }
}

async function copyRows(catalog: Catalog, transaction: Transaction, key: TableKey): Promise<void> {
  const { connection } = transaction;
  const table = catalog.findTable(key);
  // Nobody reads one that has expired any more.
  if (table === undefined) return;
  const name = duckName(catalog, key);
  const aside = `${name.slice(0, -1)}$rows"`;
  await connection.run(`CREATE TABLE ${aside} (${columnList(table.fields)})`);
  await catalog.withThreads(table.size?.bytes ?? 0, () => connection.run(`INSERT INTO ${aside} FROM ${name}`));
  await connection.run(`DROP VIEW ${name}; ALTER TABLE ${aside} RENAME TO ${quoteName(table.name)}`);
  transaction.putRows(key, undefined);
}

/** The table's name in DuckDB that holds the rows of `key`, for what a view does not have: `rowid`. */
export function rowsName(catalog: Catalog, key: TableKey): string {
  return duckName(catalog, catalog.rowsOf(key) ?? key);
}
