import { ApiError } from '../http.ts';
import { changeTime, etagOf, tableName, type Catalog, type Table, type TableKey } from './catalog.ts';
import { checkEtag, mergeMetadata } from './metadata.ts';
import { checkConstraints } from './constraints.ts';
import { createTable, measure } from './duck-tables.ts';
import { parseSchema, schemaChanges, toApiSchema } from './schema.ts';
import { storedType } from './sql/stored.ts';
import { quoteName, type Field } from './sql/types.ts';
import { parseTable, checkTableId, checkExpiration, viewQuery } from './table-request.ts';
import { defineView, duckName, putView, rebindViews } from './views.ts';
import { dropRows, ownRows } from './shared-rows.ts';

export async function insertTable(catalog: Catalog, project: string, dataset: string, body: unknown): Promise<unknown> {
  const { tableReference, schema, view, expirationTime, ...metadata } = parseTable(body);
  const key = { project, dataset, table: tableReference?.tableId ?? '' };
  checkTableId(key.table);
  checkConstraints(
    catalog,
    key,
    metadata.tableConstraints,
    schema === undefined || schema === null ? [] : parseSchema(schema),
  );
  return catalog.locked([key], async () => {
    catalog.getDataset(project, dataset);
    if (catalog.findTable(key) !== undefined) {
      throw new ApiError(409, 'duplicate', `Already Exists: Table ${tableName(key)}`);
    }
    const table: Table = {
      ...newTable(catalog, key, view === undefined || view === null ? parseSchema(schema ?? { fields: [] }) : []),
      metadata: mergeMetadata(inheritedMetadata(catalog, key), metadata),
    };
    if (expirationTime !== undefined) table.expires = checkExpiration(catalog, expirationTime);
    return tableResource(catalog, key, await storeNew(catalog, key, table, view));
  });
}

async function storeNew(
  catalog: Catalog,
  key: TableKey,
  table: Table,
  view: { query?: string | undefined; useLegacySql?: boolean | undefined } | null | undefined,
): Promise<Table> {
  await dropExpired(catalog, key);
  return catalog.transaction(
    async (transaction) => {
      if (view !== undefined && view !== null) {
        return putView(catalog, transaction, key, table, defineView(catalog, key, viewQuery(view)));
      }
      await createTable(transaction.connection, duckName(catalog, key), table.fields);
      const stored = { ...table, size: { rows: 0, bytes: 0 } };
      transaction.putTable(key, stored);
      return stored;
    },
    view === undefined || view === null ? 'tables' : 'functions',
  );
}

/** A table that does not exist yet, with what its dataset gives to new tables. */
export function newTable(catalog: Catalog, key: TableKey, fields: Field[]): Table {
  const dataset = catalog.getDataset(key.project, key.dataset);
  const lifetime = Number(dataset.metadata['defaultTableExpirationMs'] ?? 0);
  const created = catalog.now();
  return {
    id: key.table,
    name: catalog.freeTableName(key.project, key.dataset, key.table),
    fields,
    created,
    modified: created,
    ...(lifetime > 0 ? { expires: created + lifetime } : {}),
    metadata: inheritedMetadata(catalog, key),
  };
}

function inheritedMetadata(catalog: Catalog, key: TableKey): Record<string, unknown> {
  const encryption = catalog.getDataset(key.project, key.dataset).metadata['defaultEncryptionConfiguration'];
  return encryption === undefined ? {} : { encryptionConfiguration: encryption };
}

export async function getTable(catalog: Catalog, key: TableKey, ifMatch?: string): Promise<unknown> {
  const table = catalog.getTable(key);
  checkEtag(ifMatch, etagOf(table));
  return tableResource(catalog, key, table);
}

export function listTables(catalog: Catalog, project: string, dataset: string): unknown[] {
  catalog.getDataset(project, dataset);
  const tables = catalog.listTables(project, dataset).sort((one, other) => (one.id < other.id ? -1 : 1));
  return tables.map((table) => ({
    kind: 'bigquery#table',
    id: tableName({ project, dataset, table: table.id }),
    tableReference: { projectId: project, datasetId: dataset, tableId: table.id },
    type: table.view === undefined ? 'TABLE' : 'VIEW',
    ...(table.metadata['labels'] === undefined ? {} : { labels: table.metadata['labels'] }),
    ...(table.metadata['friendlyName'] === undefined ? {} : { friendlyName: table.metadata['friendlyName'] }),
    ...(table.view === undefined ? {} : { view: { useLegacySql: false } }),
    creationTime: String(table.created),
    ...(table.expires === undefined ? {} : { expirationTime: String(table.expires) }),
  }));
}

/** `replace` is update: what the request does not name is cleared; a patch leaves it. */
export async function changeTable(
  catalog: Catalog,
  key: TableKey,
  body: unknown,
  { ifMatch, replace }: { ifMatch: string | undefined; replace: boolean },
): Promise<unknown> {
  const { tableReference: _, schema, view, expirationTime, ...metadata } = parseTable(body);
  let columnsMayDiffer = true;
  const changed = await catalog.locked([key], async () => {
    const before = catalog.getTable(key);
    checkEtag(ifMatch, etagOf(before));
    if (view !== undefined && view !== null && before.view === undefined) {
      throw new ApiError(400, 'invalid', `Cannot set view properties on a table: ${tableName(key)}`);
    }
    const after: Table = {
      ...before,
      modified: changeTime(before, catalog.now()),
      metadata: mergeMetadata(replace ? {} : before.metadata, metadata),
    };
    if (replace && metadata.encryptionConfiguration === undefined) {
      after.metadata = mergeMetadata(after.metadata, {
        encryptionConfiguration: before.metadata['encryptionConfiguration'],
      });
    }
    if (expirationTime !== undefined || replace) after.expires = checkExpiration(catalog, expirationTime ?? null);
    const fields = schema === undefined || schema === null ? before.fields : parseSchema(schema);
    if (metadata.tableConstraints) checkConstraints(catalog, key, after.metadata['tableConstraints'], fields);
    if (after.view !== undefined && view !== undefined && view !== null) {
      const definition = defineView(catalog, key, viewQuery(view));
      return catalog.transaction((transaction) => putView(catalog, transaction, key, after, definition), 'functions');
    }
    // A view's columns are its query's; a patched schema can only describe them.
    after.fields = describe(before.fields, fields);
    const { added, relaxed } =
      after.view === undefined ? schemaChanges(tableName(key), before.fields, fields) : { added: [], relaxed: [] };
    if (added.length + relaxed.length === 0) {
      columnsMayDiffer = false;
      await catalog.record((changes) => changes.putTable(key, after));
      return after;
    }
    return catalog.transaction(async (transaction) => {
      const name = duckName(catalog, key);
      await ownRows(catalog, transaction, key);
      for (const field of added) {
        await transaction.connection.run(
          `ALTER TABLE ${name} ADD COLUMN ${quoteName(field.name)} ${storedType(field)}`,
        );
      }
      for (const field of relaxed) {
        await transaction.connection.run(`ALTER TABLE ${name} ALTER COLUMN ${quoteName(field.name)} DROP NOT NULL`);
      }
      after.fields.push(...added);
      transaction.putTable(key, after);
      return after;
    });
  });
  if (columnsMayDiffer) await rebindViews(catalog, key);
  return tableResource(catalog, key, changed);
}

/** The columns in the order that they are stored in, with a patch's modes and descriptions. */
function describe(before: Field[], patch: Field[]): Field[] {
  return before.map((field) => patch.find((each) => each.name.toLowerCase() === field.name.toLowerCase()) ?? field);
}

export async function deleteTable(catalog: Catalog, key: TableKey): Promise<void> {
  await catalog.locked([key], async () => {
    const table = catalog.getTable(key);
    await catalog.transaction(async (transaction) => {
      await dropRows(catalog, transaction, key, table);
      transaction.removeTable(key);
    });
  });
}

/** Removes what has expired: its storage is nobody's any more, and its id is free. */
export async function sweepExpired(catalog: Catalog): Promise<void> {
  for (const key of catalog.expiredTables()) await catalog.locked([key], () => dropExpired(catalog, key));
}

/** Drops the table if it has expired; the caller holds its lock. */
export async function dropExpired(catalog: Catalog, key: TableKey): Promise<void> {
  const expired = catalog.expiredTable(key);
  if (expired === undefined) return;
  await catalog.transaction(async (transaction) => {
    await dropRows(catalog, transaction, key, expired);
    transaction.removeTable(key);
  });
}

export async function tableResource(catalog: Catalog, key: TableKey, table: Table): Promise<Record<string, unknown>> {
  const { project, dataset } = key;
  const sized = table.view === undefined ? await withSize(catalog, key, table) : table;
  return {
    kind: 'bigquery#table',
    etag: etagOf(table),
    id: tableName(key),
    selfLink: `https://bigquery.googleapis.com/bigquery/v2/projects/${project}/datasets/${dataset}/tables/${table.id}`,
    tableReference: { projectId: project, datasetId: dataset, tableId: table.id },
    ...table.metadata,
    ...(table.fields.length === 0 ? {} : { schema: toApiSchema(table.fields) }),
    ...(table.view === undefined ? {} : { view: { query: table.view.query, useLegacySql: false } }),
    ...(sized.size === undefined
      ? {}
      : { numRows: String(sized.size.rows), numBytes: String(sized.size.bytes), numLongTermBytes: '0' }),
    creationTime: String(table.created),
    lastModifiedTime: String(table.modified),
    ...(table.expires === undefined ? {} : { expirationTime: String(table.expires) }),
    type: table.view === undefined ? 'TABLE' : 'VIEW',
    location: catalog.getDataset(project, dataset).location,
  };
}

/** What has been counted, as long as the table is in the state that it was counted in. */
const counted = new WeakMap<Table, Promise<Table['size']>>();

/** Counts a table that DML has changed since it was counted. */
async function withSize(catalog: Catalog, key: TableKey, table: Table): Promise<Table> {
  if (table.size !== undefined) return table;
  const count = (): Promise<Table['size']> =>
    catalog.withConnection((connection) => measure(connection, duckName(catalog, key), table.fields));
  const size = counted.get(table) ?? count();
  counted.set(table, size);
  try {
    return { ...table, size: await size };
  } catch (error) {
    counted.delete(table);
    throw error;
  }
}
