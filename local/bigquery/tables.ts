import * as z from 'zod';
import { ApiError, notImplemented } from '../http.ts';
import { changeTime, etagOf, tableName, type Catalog, type Table, type TableKey } from './catalog.ts';
import { checkEtag, mergeMetadata, parseBody } from './datasets.ts';
import { createTable, dropTable, measure } from './duck-tables.ts';
import { apiSchema, parseSchema, schemaChanges, toApiSchema } from './schema.ts';
import { duckType, quoteName, type Field } from './sql/types.ts';
import { defineView, duckName, putView, queryError, rebindViews } from './views.ts';

const millis = z.union([z.string().regex(/^\d+$/), z.number()]).transform(Number);

const columnReference = z.object({ referencedColumn: z.string(), referencingColumn: z.string() });

/** What of a table a client may set and gets back as it is. */
const settable = z.object({
  friendlyName: z.string().nullable().optional(),
  description: z.string().nullable().optional(),
  labels: z.record(z.string(), z.string().nullable()).nullable().optional(),
  encryptionConfiguration: z.object({ kmsKeyName: z.string() }).nullable().optional(),
  clustering: z
    .object({ fields: z.array(z.string()) })
    .nullable()
    .optional(),
  resourceTags: z.record(z.string(), z.string()).nullable().optional(),
  tableConstraints: z
    .object({
      primaryKey: z.object({ columns: z.array(z.string()) }).optional(),
      foreignKeys: z
        .array(
          z.object({
            name: z.string().optional(),
            referencedTable: z.object({ projectId: z.string(), datasetId: z.string(), tableId: z.string() }),
            columnReferences: z.array(columnReference),
          }),
        )
        .optional(),
    })
    .nullable()
    .optional(),
});

const tableRequest = settable.extend({
  tableReference: z.object({ tableId: z.string() }).optional(),
  schema: apiSchema.nullable().optional(),
  view: z.object({ query: z.string().optional(), useLegacySql: z.boolean().optional() }).nullable().optional(),
  expirationTime: millis.nullable().optional(),
});

const refused = [
  'externalDataConfiguration',
  'materializedView',
  'timePartitioning',
  'rangePartitioning',
  'snapshotDefinition',
  'cloneDefinition',
  'biglakeConfiguration',
  'externalCatalogTableOptions',
  'defaultCollation',
  'defaultRoundingMode',
];

export async function insertTable(catalog: Catalog, project: string, dataset: string, body: unknown): Promise<unknown> {
  const { tableReference, schema, view, expirationTime, ...metadata } = parseTable(body);
  const key = { project, dataset, table: tableReference?.tableId ?? '' };
  checkTableId(key.table);
  checkConstraints(metadata.tableConstraints, schema === undefined || schema === null ? [] : parseSchema(schema));
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
      await transaction.putTable(key, stored);
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
    checkConstraints(after.metadata['tableConstraints'], fields);
    return catalog.transaction(
      async (transaction) => {
        if (after.view !== undefined) {
          const definition =
            view === undefined || view === null ? undefined : defineView(catalog, key, viewQuery(view));
          if (definition !== undefined) return putView(catalog, transaction, key, after, definition);
          // A view's columns are its query's; a patched schema can only describe them.
          after.fields = describe(before.fields, fields);
        } else {
          const { added, relaxed } = schemaChanges(tableName(key), before.fields, fields);
          const name = duckName(catalog, key);
          for (const field of added) {
            await transaction.connection.run(
              `ALTER TABLE ${name} ADD COLUMN ${quoteName(field.name)} ${duckType(field)}`,
            );
          }
          for (const field of relaxed) {
            await transaction.connection.run(`ALTER TABLE ${name} ALTER COLUMN ${quoteName(field.name)} DROP NOT NULL`);
          }
          after.fields = [...describe(before.fields, fields), ...added];
        }
        await transaction.putTable(key, after);
        return after;
      },
      view === undefined || view === null ? 'tables' : 'functions',
    );
  });
  await rebindViews(catalog, key);
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
      await dropTable(transaction.connection, duckName(catalog, key), table);
      await transaction.removeTable(key);
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
    await dropTable(transaction.connection, duckName(catalog, key), expired);
    await transaction.removeTable(key);
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

/** Counts a table that DML has changed since it was counted. */
async function withSize(catalog: Catalog, key: TableKey, table: Table): Promise<Table> {
  if (table.size !== undefined) return table;
  const size = await catalog.withConnection((connection) => measure(connection, duckName(catalog, key), table.fields));
  return { ...table, size };
}

function parseTable(body: unknown): z.infer<typeof tableRequest> {
  const given = typeof body === 'object' && body !== null ? Object.entries(body) : [];
  for (const [name, value] of given) {
    if (refused.includes(name) && value !== undefined && value !== null)
      throw notImplemented('BigQuery', `a table's ${name}`);
  }
  return parseBody(tableRequest, body);
}

export function checkTableId(id: string): void {
  // BigQuery: "up to 1,024 UTF-8 bytes; Unicode characters in category L, M, N, Pc, Pd, Zs".
  if (Buffer.byteLength(id) > 1024 || !/^[\p{L}\p{M}\p{N}\p{Pc}\p{Pd}\p{Zs}]+$/u.test(id)) {
    const rule =
      'Table IDs must be alphanumeric (plus underscores, dashes and spaces) and must be at most 1024 bytes long.';
    throw new ApiError(400, 'invalid', `Invalid table ID "${id}". ${rule}`);
  }
}

function checkExpiration(catalog: Catalog, expirationTime: number | null): number | undefined {
  if (expirationTime === null || expirationTime === 0) return undefined;
  if (expirationTime <= catalog.now()) {
    throw new ApiError(
      400,
      'invalid',
      `The expiration time must be in the future: received ${expirationTime}, it is ${catalog.now()}.`,
    );
  }
  return expirationTime;
}

/** BigQuery keeps keys unenforced, but knows their columns. */
function checkConstraints(constraints: unknown, fields: Field[]): void {
  const parsed = settable.shape.tableConstraints.parse(constraints);
  const columns = [
    ...(parsed?.primaryKey?.columns ?? []),
    ...(parsed?.foreignKeys ?? []).flatMap((key) => key.columnReferences.map((each) => each.referencingColumn)),
  ];
  const missing = columns.find((column) => !fields.some((field) => field.name.toLowerCase() === column.toLowerCase()));
  if (missing !== undefined) {
    throw new ApiError(400, 'invalid', `Column ${missing} of the table constraints is not found in the schema`);
  }
}

function viewQuery(view: { query?: string | undefined; useLegacySql?: boolean | undefined }): string {
  // The REST API's own default is legacy SQL.
  if (view.useLegacySql !== false) throw notImplemented('BigQuery', 'views in legacy SQL (set useLegacySql to false)');
  if (view.query === undefined) throw queryError(new Error('View definition is missing its query'));
  return view.query;
}
