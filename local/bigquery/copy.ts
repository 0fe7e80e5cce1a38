import * as z from 'zod';
import { ApiError, notImplemented } from '../http.ts';
import { tableName, type Catalog, type Table, type TableKey, type Transaction } from './catalog.ts';
import { mergeMetadata, parseBody } from './metadata.ts';
import { columnList, measure } from './duck-tables.ts';
import type { JobRun } from './jobs.ts';
import { dispositions, refuseOthers, tableReference } from './job-request.ts';
import { dropRows, ownRows, shareRows } from './shared-rows.ts';
import { duckType, quoteName, type Field } from './sql/types.ts';
import { writeTarget } from './write-target.ts';
import { dropExpired } from './tables.ts';
import { duckName, rebindViews } from './views.ts';

const copyRequest = z.object({
  sourceTable: tableReference.optional(),
  sourceTables: z.array(tableReference).optional(),
  destinationTable: tableReference,
  writeDisposition: z.enum(['WRITE_TRUNCATE', 'WRITE_APPEND', 'WRITE_EMPTY']).default('WRITE_EMPTY'),
  ...dispositions,
  operationType: z.enum(['OPERATION_TYPE_UNSPECIFIED', 'COPY']).optional(),
});

export type CopyRequest = z.infer<typeof copyRequest>;

/** @throws ApiError 400, or 501 for snapshots, clones and options that are not here */
export function parseCopy(body: Record<string, unknown>): CopyRequest {
  refuseOthers('copy', body, Object.keys(copyRequest.shape));
  if (!['undefined', 'COPY', 'OPERATION_TYPE_UNSPECIFIED'].includes(String(body['operationType']))) {
    throw notImplemented('BigQuery', `copy with operationType ${String(body['operationType'])}`);
  }
  return parseBody(copyRequest, body);
}

/** What of a table follows it into its copy. */
const copied = ['description', 'friendlyName', 'tableConstraints', 'clustering', 'encryptionConfiguration'];

/**
 * A copy job's work. The destination takes the source's columns, description and keys, but neither its labels nor its expiration: a
 * new one has its dataset's. "Copy jobs don't stop even when you cancel": neither does this one, once it runs.
 */
export function runCopy(catalog: Catalog, key: TableKey, sources: TableKey[], request: CopyRequest): JobRun {
  return async (control) => {
    const statistics = await catalog.locked([key, ...sources], async () => {
      await dropExpired(catalog, key);
      const tables = sources.map((source) => sourceTable(catalog, source));
      const [first] = tables;
      if (first === undefined) throw new ApiError(400, 'invalid', 'A copy job needs a source table');
      for (const [index, table] of tables.entries()) requireSameColumns(first, table, sources[index] ?? key);
      const before = catalog.findTable(key);
      const written = await writeTarget(catalog, key, before, request.writeDisposition, request, first.fields);
      const append = before !== undefined && request.writeDisposition !== 'WRITE_TRUNCATE';
      const after: Table = append ? written : { ...written, metadata: copiedMetadata(written, first, request) };
      return control.inLane('write', () =>
        catalog.transaction(async (transaction) => {
          const drop = async (): Promise<void> => before && dropRows(catalog, transaction, key, before);
          const [source] = append || sources.length > 1 ? [] : sources;
          // A table that is copied onto itself is the only one that has its rows.
          const isShared = source !== undefined && tableName(source) !== tableName(key);
          const size = isShared ? await share(catalog, transaction, { key, source, table: first, drop }) : undefined;
          const rows =
            size?.rows ?? (await insertRows(catalog, transaction, { key, sources, tables, append, after, drop }));
          transaction.putTable(key, { ...after, size });
          const statistics = {
            copy: { copiedRows: String(rows), copiedLogicalBytes: String(size?.bytes ?? 0) },
          };
          await control.seal(transaction, statistics);
          return statistics;
        }),
      );
    });
    await rebindViews(catalog, key);
    return statistics;
  };
}

type Replaced = { key: TableKey; drop: () => Promise<void> };

async function share(
  catalog: Catalog,
  transaction: Transaction,
  { key, source, table, drop }: Replaced & { source: TableKey; table: Table },
): Promise<{ rows: number; bytes: number }> {
  const size = table.size ?? (await measure(transaction.connection, duckName(catalog, source), table.fields));
  await drop();
  await shareRows(catalog, transaction, key, source);
  return size;
}

/** Gives the count of the rows. */
async function insertRows(
  catalog: Catalog,
  transaction: Transaction,
  {
    key,
    sources,
    tables,
    append,
    after,
    drop,
  }: Replaced & { sources: TableKey[]; tables: Table[]; append: boolean; after: Table },
): Promise<number> {
  const { connection } = transaction;
  const name = duckName(catalog, key);
  if (append) await ownRows(catalog, transaction, key);
  // A table that is copied onto itself is read before it is replaced.
  const target = append ? name : `${name.slice(0, -1)}$copy"`;
  if (!append) await connection.run(`CREATE TABLE ${target} (${columnList(after.fields)})`);
  const selects = sources.map((source) => `SELECT * FROM ${duckName(catalog, source)}`).join(' UNION ALL ');
  const bytes = tables.reduce((sum, { size }) => sum + (size?.bytes ?? 0), 0);
  const { rowsChanged } = await catalog.withThreads(bytes, () => connection.run(`INSERT INTO ${target} ${selects}`));
  if (!append) {
    await drop();
    await connection.run(`ALTER TABLE ${target} RENAME TO ${quoteName(after.name)}`);
  }
  return rowsChanged;
}

/** Several sources are one table's rows: by what they are stored as alone, a STRING would pass for a BIGNUMERIC. */
function requireSameColumns(first: Table, table: Table, source: TableKey): void {
  const typed = (fields: Field[]): string =>
    fields.map((field) => `${field.name.toLowerCase()} ${duckType(field)}`).join();
  if (typed(table.fields) === typed(first.fields)) return;
  throw new ApiError(
    400,
    'invalid',
    `Provided Schema does not match Table ${tableName(source)}. The source tables of a copy need the same columns in the same order`,
  );
}

function sourceTable(catalog: Catalog, source: TableKey): Table {
  const table = catalog.getTable(source);
  if (table.view !== undefined) {
    throw new ApiError(
      400,
      'invalid',
      `${tableName(source)} is not allowed for this operation because it is currently a VIEW.`,
    );
  }
  return table;
}

function copiedMetadata(written: Table, source: Table, request: CopyRequest): Record<string, unknown> {
  const taken = Object.fromEntries(copied.map((name) => [name, source.metadata[name]]));
  // The key of the destination: the job's, or its own or its dataset's, or else the source's.
  const key =
    request.destinationEncryptionConfiguration ??
    written.metadata['encryptionConfiguration'] ??
    taken['encryptionConfiguration'];
  return mergeMetadata(mergeMetadata(written.metadata, taken), { encryptionConfiguration: key });
}
