import { ApiError, notImplemented } from '../http.ts';
import { changeTime, tableName, type Catalog, type Table, type TableKey, type Transaction } from './catalog.ts';
import { mergeMetadata } from './metadata.ts';
import { createTable, createTableAs, measure } from './duck-tables.ts';
import type { Statement } from './sql/translate.ts';
import { InvalidQuery } from './sql/types.ts';
import { checkTableId } from './table-request.ts';
import { newTable } from './tables.ts';
import { columnsOf, duckName, putView, reads, requireReadable } from './views.ts';
import { dropRows, ownRows } from './shared-rows.ts';

/** What a statement reports in a job's statistics. */
export type Done = {
  numDmlAffectedRows?: string;
  dmlStats?: Record<string, string>;
  ddlOperationPerformed?: 'CREATE' | 'REPLACE' | 'SKIP' | 'DROP';
  ddlTargetTable?: { projectId: string; datasetId: string; tableId: string };
};

type Of<Kind extends Statement['kind']> = Extract<Statement, { kind: Kind }>;

/** Runs one statement of DML or DDL; the caller holds the target's lock. */
export async function runStatement(
  catalog: Catalog,
  transaction: Transaction,
  statement: Statement,
  explicit: boolean,
): Promise<Done> {
  if ('reads' in statement) for (const key of statement.reads) requireReadable(catalog, key);
  // BigQuery: in a transaction "DDL statements that affect permanent entities" are not supported.
  const inTransaction = (): void => {
    if (explicit)
      throw new InvalidQuery('DDL statements that affect permanent entities are not supported in a transaction');
  };
  switch (statement.kind) {
    case 'dml':
      return runDml(catalog, transaction, statement);
    case 'createTable':
      inTransaction();
      return runCreateTable(catalog, transaction, statement);
    case 'createView':
      inTransaction();
      return runCreateView(catalog, transaction, statement);
    case 'drop':
      inTransaction();
      return runDrop(catalog, transaction, statement);
    case 'select':
    case 'begin':
    case 'commit':
    case 'rollback':
      throw new TypeError(`${statement.kind} is not a statement of DML or DDL`);
  }
}

async function runDml(catalog: Catalog, transaction: Transaction, { target, sql, verb }: Of<'dml'>): Promise<Done> {
  requireReadable(catalog, target);
  const before = catalog.getTable(target);
  if (before.view !== undefined) throw new InvalidQuery(`Cannot modify ${tableName(target)}: it is a view`);
  await ownRows(catalog, transaction, target);
  const { rowsChanged } = await transaction.connection.run(sql);
  transaction.putTable(target, { ...before, modified: changeTime(before, catalog.now()), size: undefined });
  const rows = String(rowsChanged);
  const stats = {
    insert: 'insertedRowCount',
    update: 'updatedRowCount',
    delete: 'deletedRowCount',
    truncate: 'deletedRowCount',
    merge: undefined,
  }[verb];
  return { numDmlAffectedRows: rows, ...(stats === undefined ? {} : { dmlStats: { [stats]: rows } }) };
}

async function runCreateTable(catalog: Catalog, transaction: Transaction, statement: Of<'createTable'>): Promise<Done> {
  const { target, orReplace, ifNotExists, options, sql } = statement;
  const { connection } = transaction;
  checkTableId(target.table);
  catalog.getDataset(target.project, target.dataset);
  const before = catalog.findTable(target);
  const ddlTargetTable = referenceOf(target);
  if (before !== undefined && !orReplace) {
    if (ifNotExists) return { ddlOperationPerformed: 'SKIP', ddlTargetTable };
    throw new ApiError(409, 'duplicate', `Already Exists: Table ${tableName(target)}`);
  }
  const fields = statement.fields ?? (sql === undefined ? [] : await columnsOf(connection, sql));
  const table = withOptions(catalog, newTable(catalog, target, fields), options);
  const name = duckName(catalog, target);
  if (sql !== undefined) {
    await createTableAs(connection, name, fields, sql, {
      drop: async () => before && dropRows(catalog, transaction, target, before),
      readsItself: reads(catalog, statement.reads, target),
    });
  } else {
    if (before !== undefined) await dropRows(catalog, transaction, target, before);
    await createTable(connection, name, fields);
  }
  transaction.putTable(target, { ...table, size: await measure(connection, name, fields) });
  return { ddlOperationPerformed: before === undefined ? 'CREATE' : 'REPLACE', ddlTargetTable };
}

async function runCreateView(
  catalog: Catalog,
  transaction: Transaction,
  { target, orReplace, query, sql, reads: references }: Of<'createView'>,
): Promise<Done> {
  const before = catalog.findTable(target);
  if (before !== undefined && !orReplace)
    throw new ApiError(409, 'duplicate', `Already Exists: Table ${tableName(target)}`);
  if (before !== undefined && before.view === undefined) {
    throw new InvalidQuery(`${tableName(target)} is not a view and cannot be replaced by one`);
  }
  for (const reference of references) requireReadable(catalog, reference, [tableName(target)]);
  const table = {
    ...newTable(catalog, target, []),
    ...(before === undefined ? {} : { created: before.created, modified: changeTime(before, catalog.now()) }),
  };
  await putView(catalog, transaction, target, table, { query, references, sql });
  return { ddlOperationPerformed: before === undefined ? 'CREATE' : 'REPLACE', ddlTargetTable: referenceOf(target) };
}

async function runDrop(
  catalog: Catalog,
  transaction: Transaction,
  { target, object, ifExists }: Of<'drop'>,
): Promise<Done> {
  const before = catalog.findTable(target);
  if (before === undefined) {
    if (ifExists) return { ddlOperationPerformed: 'SKIP', ddlTargetTable: referenceOf(target) };
    throw new ApiError(404, 'notFound', `Not found: Table ${tableName(target)}`);
  }
  if ((object === 'view') !== (before.view !== undefined)) {
    throw new InvalidQuery(`${tableName(target)} has a type that is not supported for DROP ${object.toUpperCase()}`);
  }
  await dropRows(catalog, transaction, target, before);
  transaction.removeTable(target);
  return { ddlOperationPerformed: 'DROP', ddlTargetTable: referenceOf(target) };
}

/** CREATE TABLE … OPTIONS: the ones that the REST API has as properties of the table. */
function withOptions(catalog: Catalog, table: Table, options: Record<string, string | number>): Table {
  const {
    description,
    friendly_name: friendlyName,
    kms_key_name: kmsKeyName,
    expiration_timestamp: expiration,
    ...others
  } = options;
  const [other] = Object.keys(others);
  if (other !== undefined) throw notImplemented('BigQuery', `the table option ${other}`);
  const metadata = mergeMetadata(table.metadata, {
    description,
    friendlyName,
    encryptionConfiguration: kmsKeyName === undefined ? undefined : { kmsKeyName },
  });
  if (expiration === undefined) return { ...table, metadata };
  const expires = Date.parse(String(expiration).replace(' ', 'T').replace(/\+00$/, 'Z'));
  if (!(expires > catalog.now())) throw new InvalidQuery(`The expiration time ${expiration} must be in the future`);
  return { ...table, metadata, expires };
}

export function statementType(statements: Statement[]): string {
  const [only] = statements;
  if (statements.length !== 1 || only === undefined) return 'SCRIPT';
  switch (only.kind) {
    case 'select':
      return 'SELECT';
    case 'dml':
      return only.verb === 'truncate' ? 'TRUNCATE_TABLE' : only.verb.toUpperCase();
    case 'createTable':
      return only.sql === undefined ? 'CREATE_TABLE' : 'CREATE_TABLE_AS_SELECT';
    case 'createView':
      return 'CREATE_VIEW';
    case 'drop':
      return `DROP_${only.object.toUpperCase()}`;
    case 'begin':
      return 'BEGIN_TRANSACTION';
    case 'commit':
      return 'COMMIT_TRANSACTION';
    case 'rollback':
      return 'ROLLBACK_TRANSACTION';
  }
}

function referenceOf(key: TableKey): NonNullable<Done['ddlTargetTable']> {
  return { projectId: key.project, datasetId: key.dataset, tableId: key.table };
}
