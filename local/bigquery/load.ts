import { stat, open } from 'node:fs/promises';
import * as z from 'zod';
import { ApiError, notImplemented } from '../http.ts';
import { changeTime, tableName, type Catalog, type Table, type TableKey, type Transaction } from './catalog.ts';
import { quotesArePaired } from './csv-quotes.ts';
import { isPlain, rawColumn, readCsv, type CsvFormat } from './csv-fast.ts';
import { loadRows, type RowRules, type Source } from './csv-rows.ts';
import { maximumRowBytes } from './csv-scan.ts';
import { valueOf } from './csv-values.ts';
import { mergeMetadata, parseBody } from './datasets.ts';
import { columnList, dropTable, measure } from './duck-tables.ts';
import { JobFailure, type JobControl, type JobRun } from './jobs.ts';
import { loadJson } from './json-rows.ts';
import { apiSchema, parseSchema, schemaChanges } from './schema.ts';
import type { Field } from './sql/types.ts';
import { dropExpired, newTable } from './tables.ts';
import { duckName, rebindViews } from './views.ts';

/**
 * Whether a **quoted** value that equals the null marker is NULL. Google does not say; yes is the answer that hurts a writer who
 * relies on quotes. An empty quoted string is the empty string in either case, as Google says.
 */
export const quotedMarkerIsNull = true;

const count = z.union([z.string().regex(/^\d+$/), z.number().int().min(0)]).transform(Number);

export const tableReference = z
  .object({ projectId: z.string().optional(), datasetId: z.string(), tableId: z.string() })
  .transform(({ projectId, datasetId, tableId }) => ({ project: projectId, dataset: datasetId, table: tableId }));

export const dispositions = {
  createDisposition: z.enum(['CREATE_IF_NEEDED', 'CREATE_NEVER']).default('CREATE_IF_NEEDED'),
  destinationEncryptionConfiguration: z.object({ kmsKeyName: z.string() }).optional(),
};

const writeDisposition = z.enum(['WRITE_TRUNCATE', 'WRITE_APPEND', 'WRITE_EMPTY']);

const loadRequest = z.object({
  sourceUris: z.array(z.string()).default([]),
  destinationTable: tableReference,
  schema: apiSchema.optional(),
  sourceFormat: z.enum(['CSV', 'NEWLINE_DELIMITED_JSON']).default('CSV'),
  writeDisposition: writeDisposition.default('WRITE_APPEND'),
  ...dispositions,
  destinationTableProperties: z
    .object({
      friendlyName: z.string().optional(),
      description: z.string().optional(),
      labels: z.record(z.string(), z.string()).optional(),
    })
    .optional(),
  skipLeadingRows: count.default(0),
  fieldDelimiter: z.string().default(','),
  quote: z.string().default('"'),
  nullMarker: z.string().default(''),
  nullMarkers: z.array(z.string()).default([]),
  allowQuotedNewlines: z.boolean().default(false),
  allowJaggedRows: z.boolean().default(false),
  ignoreUnknownValues: z.boolean().default(false),
  maxBadRecords: count.default(0),
  encoding: z.enum(['UTF-8', 'ISO-8859-1']).default('UTF-8'),
  preserveAsciiControlCharacters: z.boolean().default(false),
});

export type LoadRequest = z.infer<typeof loadRequest>;

/**
 * @param body the `load` part of a job's configuration
 * @throws ApiError 400 for what BigQuery refuses at once, 501 for options that change the outcome and are not here
 */
export function parseLoad(body: Record<string, unknown>): LoadRequest {
  if (body['autodetect'] === true) throw notImplemented('BigQuery', 'load with autodetect');
  refuseOthers('load', body, [...Object.keys(loadRequest.shape), 'autodetect']);
  const request = parseBody(loadRequest, body);
  for (const uri of request.sourceUris) {
    if (!/^gs:\/\/[^/]+\/.+$/.test(uri))
      throw new ApiError(400, 'invalid', `Source URI must be a Google Cloud Storage location: ${uri}`);
    if (uri.includes('*')) throw notImplemented('BigQuery', 'load with a wildcard in sourceUris');
    // BigQuery "doesn't support Cloud Storage object versioning. If you include a generation number ... the load job fails."
    if (/#\d+$/.test(uri)) throw new ApiError(400, 'invalid', `Source URI must not have a generation: ${uri}`);
  }
  if (request.schema !== undefined) checkSchema(request, parseSchema(request.schema));
  return request;
}

function checkSchema({ sourceFormat }: LoadRequest, fields: Field[]): void {
  const nested = fields.find((field) => field.mode === 'REPEATED' || field.type === 'STRUCT');
  // BigQuery: "CSV files don't support nested or repeated data."
  if (sourceFormat === 'CSV' && nested !== undefined) {
    throw new ApiError(400, 'invalid', `Cannot load CSV data with a nested or repeated schema. Field: ${nested.name}`);
  }
}

/** Nothing that a client asks for is dropped in silence; what is off anyway may be named. */
export function refuseOthers(kind: string, body: Record<string, unknown>, known: string[]): void {
  for (const [name, value] of Object.entries(body)) {
    const asksNothing =
      value === undefined || value === null || value === false || (Array.isArray(value) && value.length === 0);
    if (!known.includes(name) && !asksNothing) throw notImplemented('BigQuery', `${kind} with ${name}`);
  }
}

/**
 * A load job's work: the files' rows go into the table whole, or nothing changes.
 * @param find the local file of a gs:// URI
 */
export function runLoad(
  catalog: Catalog,
  key: TableKey,
  request: LoadRequest,
  { find, scratch }: { find: (uri: string) => Promise<string>; scratch: string },
): JobRun {
  return async (control) => {
    const statistics = await catalog.locked([key], async () => {
      await dropExpired(catalog, key);
      const before = catalog.findTable(key);
      const sources = await Promise.all(
        request.sourceUris.map(async (uri) => ({ uri, path: await findSource(uri, find) })),
      );
      const bytes = (await Promise.all(sources.map(({ path }) => stat(path)))).reduce((sum, { size }) => sum + size, 0);
      const after = await destination(catalog, key, before, request);
      const append = before !== undefined && request.writeDisposition !== 'WRITE_TRUNCATE';
      const { rows, size, badRecords } = await control.inLane('write', () =>
        loadFiles(catalog, key, { before, after, append, sources, request, scratch, control, input: bytes }),
      );
      return loadStatistics(sources.length, bytes, rows, size, badRecords);
    });
    await rebindViews(catalog, key);
    return statistics;
  };
}

function loadStatistics(
  files: number,
  input: number,
  rows: number,
  output: number,
  badRecords: number,
): Record<string, unknown> {
  return {
    load: {
      inputFiles: String(files),
      inputFileBytes: String(input),
      outputRows: String(rows),
      outputBytes: String(output),
      badRecords: String(badRecords),
    },
  };
}

/** The table as it will be. The rules are the same for loads, copies and query results. */
async function destination(
  catalog: Catalog,
  key: TableKey,
  before: Table | undefined,
  request: LoadRequest,
): Promise<Table> {
  const given = request.schema === undefined ? undefined : parseSchema(request.schema);
  const fields = given ?? before?.fields;
  if (fields === undefined || fields.length === 0) {
    throw new ApiError(400, 'invalid', `No schema specified on job or table ${tableName(key)}`);
  }
  checkSchema(request, fields);
  const table = await writeTarget(catalog, key, before, request.writeDisposition, request, fields);
  return { ...table, metadata: mergeMetadata(table.metadata, request.destinationTableProperties ?? {}) };
}

/**
 * The destination of a job with its dispositions applied: the table as it will be, or a failure.
 * @throws ApiError notFound, duplicate or invalid, as BigQuery reports them
 */
export async function writeTarget(
  catalog: Catalog,
  key: TableKey,
  before: Table | undefined,
  write: z.infer<typeof writeDisposition>,
  {
    createDisposition,
    destinationEncryptionConfiguration: encryption,
  }: { createDisposition: string; destinationEncryptionConfiguration?: { kmsKeyName: string } | undefined },
  fields: Field[],
): Promise<Table> {
  const encrypted = encryption === undefined ? {} : { encryptionConfiguration: encryption };
  if (before === undefined) {
    if (createDisposition === 'CREATE_NEVER') throw new ApiError(404, 'notFound', `Not found: Table ${tableName(key)}`);
    const created = newTable(catalog, key, fields);
    return { ...created, metadata: mergeMetadata(created.metadata, encrypted) };
  }
  if (before.view !== undefined) {
    throw new ApiError(
      400,
      'invalid',
      `${tableName(key)} is not allowed for this operation because it is currently a VIEW.`,
    );
  }
  const table: Table = {
    ...before,
    modified: changeTime(before, catalog.now()),
    size: undefined,
    metadata: mergeMetadata(before.metadata, encrypted),
  };
  if (write === 'WRITE_TRUNCATE') {
    // The new table has the columns of the job, and keys no more.
    return { ...table, fields, metadata: mergeMetadata(table.metadata, { tableConstraints: null }) };
  }
  if (write === 'WRITE_EMPTY') {
    const { rows } = await catalog.withConnection((connection) => measure(connection, duckName(catalog, key), []));
    if (rows > 0) throw new ApiError(409, 'duplicate', `Already Exists: Table ${tableName(key)}`);
  }
  const { added, relaxed } = schemaChanges(tableName(key), before.fields, fields);
  const changed = added[0] ?? relaxed[0];
  if (changed !== undefined) {
    const why =
      added.length > 0
        ? `Cannot add fields (field: ${changed.name})`
        : `Field ${changed.name} has changed mode from ${changed.mode} to NULLABLE`;
    throw new ApiError(400, 'invalid', `Provided Schema does not match Table ${tableName(key)}. ${why}`);
  }
  // By position the job's columns rule, and the table keeps its own.
  const order = fields.map((field) => field.name.toLowerCase()).join('\n');
  if (order !== before.fields.map((field) => field.name.toLowerCase()).join('\n')) {
    throw notImplemented('BigQuery', 'appending with the columns in another order than the table has');
  }
  return table;
}

type FileLoad = {
  before: Table | undefined;
  after: Table;
  append: boolean;
  sources: Source[];
  request: LoadRequest;
  scratch: string;
  control: JobControl;
  input: number;
};

async function loadFiles(
  catalog: Catalog,
  key: TableKey,
  load: FileLoad,
): Promise<{ rows: number; size: number; badRecords: number }> {
  const { request, sources, after, control } = load;
  const format = csvFormat(request);
  const rules: RowRules = { ...request, quotedNewlines: request.allowQuotedNewlines };
  if (request.sourceFormat === 'NEWLINE_DELIMITED_JSON') {
    return write(catalog, key, load, (transaction, name) =>
      loadJson(transaction.connection, name, sources, after.fields, rules),
    );
  }
  // Most rows are short. A file with a longer one is read again with room for the longest that BigQuery takes.
  for (const maximumLine of (await isFast(sources, format, request)) ? [2 * 1024 * 1024, maximumRowBytes] : []) {
    try {
      return await write(catalog, key, load, async ({ connection }, name) => {
        const values = after.fields.map((field, index) => valueOf(field, rawColumn(index), rules, "error('bad')"));
        const reader = readCsv(
          sources.map(({ path }) => path),
          after.fields,
          format,
          maximumLine,
        );
        const [paired] = await Promise.all([
          Promise.all(sources.map(({ path }) => quotesArePaired(path, format.quote))),
          connection.run(`INSERT INTO ${name} SELECT ${values.join(', ')} FROM ${reader}`),
        ]);
        if (!paired.every(Boolean)) throw new Error('A quote is not closed');
        return { badRecords: 0, errors: [] };
      });
    } catch (error) {
      control.signal.throwIfAborted();
      // Why the fast reader gave up, and whether a row is bad at all, the slow one finds out and tells.
      if (!(error instanceof Error && /Maximum line size/i.test(error.message))) break;
    }
  }
  return write(catalog, key, load, ({ connection }, name) =>
    loadRows(connection, name, sources, after.fields, format, rules, load.scratch, control.signal),
  );
}

/** Fills the table in one transaction, which also makes it visible and ends the job. */
async function write(
  catalog: Catalog,
  key: TableKey,
  { before, after, append, sources, control, input, request }: FileLoad,
  fill: (
    transaction: Transaction,
    name: string,
  ) => Promise<{ badRecords: number; errors: { reason: string; message: string }[] }>,
): Promise<{ rows: number; size: number; badRecords: number }> {
  const name = duckName(catalog, key);
  return catalog.transaction(async (transaction) => {
    const { connection } = transaction;
    const stop = (): void => connection.interrupt();
    control.signal.addEventListener('abort', stop, { once: true });
    try {
      const old = append ? (before?.size ?? (await measure(connection, name, after.fields))) : { rows: 0, bytes: 0 };
      if (!append) {
        if (before !== undefined) await dropTable(connection, name, before);
        await connection.run(`CREATE TABLE ${name} (${columnList(after.fields)})`);
      }
      const { badRecords, errors } = await fill(transaction, name);
      if (badRecords > request.maxBadRecords) throw new JobFailure(errors);
      const size = await measure(connection, name, after.fields);
      await transaction.putTable(key, { ...after, size });
      const written = { rows: size.rows - old.rows, size: size.bytes - old.bytes, badRecords };
      await control.seal(transaction, loadStatistics(sources.length, input, written.rows, written.size, badRecords));
      return written;
    } finally {
      control.signal.removeEventListener('abort', stop);
    }
  }, 'functions');
}

/** Whether DuckDB's reader takes all the files together. */
async function isFast(sources: Source[], format: CsvFormat, request: LoadRequest): Promise<boolean> {
  const { allowJaggedRows, ignoreUnknownValues, encoding } = request;
  if (allowJaggedRows || ignoreUnknownValues || encoding !== 'UTF-8' || sources.length === 0) return false;
  return (await Promise.all(sources.map(({ path }) => isPlain(path, format)))).every(Boolean);
}

function csvFormat(request: LoadRequest): CsvFormat {
  const delimiter =
    request.fieldDelimiter === '\\t' || request.fieldDelimiter === 'tab' ? '\t' : request.fieldDelimiter;
  if (delimiter.length !== 1 || delimiter.charCodeAt(0) > 0x7f)
    throw notImplemented('BigQuery', `the field delimiter ${JSON.stringify(delimiter)}`);
  if (request.quote.length > 1 || request.quote.charCodeAt(0) > 0x7f)
    throw notImplemented('BigQuery', `the quote ${JSON.stringify(request.quote)}`);
  const nullMarkers = request.nullMarkers.length > 0 ? request.nullMarkers : [request.nullMarker];
  return {
    delimiter,
    quote: request.quote,
    quotedNewlines: request.allowQuotedNewlines,
    encoding: request.encoding,
    skipRows: request.skipLeadingRows,
    nullMarkers,
    quotedMarkerIsNull: quotedMarkerIsNull && !nullMarkers.includes(''),
  };
}

async function findSource(uri: string, find: (uri: string) => Promise<string>): Promise<string> {
  let path: string;
  try {
    path = await find(uri);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
    throw new JobFailure([{ reason: 'notFound', message: `Not found: URI ${uri}` }]);
  }
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(2), 0, 2, 0);
    if (buffer.readUInt16BE(0) === 0x1f8b) throw notImplemented('BigQuery', 'load of compressed files');
  } finally {
    await file.close();
  }
  return path;
}
