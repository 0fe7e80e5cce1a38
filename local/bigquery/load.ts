import { stat, open } from 'node:fs/promises';
import { ApiError, notImplemented } from '../http.ts';
import { tableName, type Catalog, type Table, type TableKey, type Transaction } from './catalog.ts';
import { isPlain, rawColumn, readCsv, type CsvFormat } from './csv-fast.ts';
import { quotesArePaired } from './csv-quotes.ts';
import { loadRows, type RowRules, type Source } from './csv-rows.ts';
import { maximumRowBytes } from './csv-scan.ts';
import { valueOf } from './csv-values.ts';
import { mergeMetadata } from './metadata.ts';
import { columnList, measure } from './duck-tables.ts';
import { JobFailure, type JobControl, type JobRun } from './jobs.ts';
import { loadJson } from './json-rows.ts';
import { type LoadRequest, checkSchema, csvFormat } from './load-request.ts';
import { parseSchema } from './schema.ts';
import { dropExpired } from './tables.ts';
import { duckName, rebindViews } from './views.ts';
import { writeTarget } from './write-target.ts';
import { dropRows, ownRows } from './shared-rows.ts';

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
export async function destination(
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
  for (const { first, maximumLine } of (await isFast(sources, format, request)) ? fastTries(load.input) : []) {
    try {
      return await write(catalog, key, load, async ({ connection }, name) => {
        const values = after.fields.map((field, index) =>
          valueOf(field, rawColumn(index), rules, "error('bad')", { first }),
        );
        const reader = readCsv(
          sources.map(({ path }) => path),
          after.fields,
          format,
          maximumLine,
        );
        const insert = `INSERT INTO ${name} SELECT ${values.join(', ')} FROM ${reader}`;
        const [paired] = await Promise.all([
          Promise.all(sources.map(({ path }) => quotesArePaired(path, format.quote))),
          // Several files are read at the same time, one is not.
          catalog.withThreads(sources.length > 1 ? load.input : 0, () => connection.run(insert)),
        ]);
        if (!paired.every(Boolean)) throw new Error('A quote is not closed');
        return { badRecords: 0, errors: [] };
      });
    } catch (error) {
      control.signal.throwIfAborted();
      // Why the fast reader gave up, and whether a row is bad at all, the slow one finds out and tells.
      if (!first && !(error instanceof Error && /Maximum line size/i.test(error.message))) break;
    }
  }
  return write(catalog, key, load, ({ connection }, name) =>
    loadRows(connection, name, sources, after.fields, format, rules, load.scratch, control.signal),
  );
}

/** Up to here, planning a load takes longer than its rows do. */
const smallBytes = 4_000_000;
const ordinaryRowBytes = 2 * 1024 * 1024;

/**
 * How DuckDB's reader is tried. Most rows are short: a file with a longer one is read again with room for the longest that BigQuery
 * takes. And most values are written in the first of their forms: for a small file, all the others are planned only where one is not.
 */
function fastTries(bytes: number): { first: boolean; maximumLine: number }[] {
  return [
    ...(bytes <= smallBytes ? [{ first: true, maximumLine: ordinaryRowBytes }] : []),
    { first: false, maximumLine: ordinaryRowBytes },
    { first: false, maximumLine: maximumRowBytes },
  ];
}

/** Fills the table in one transaction, which also makes it visible and ends the job. */
export async function write(
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
        if (before !== undefined) await dropRows(catalog, transaction, key, before);
        await connection.run(`CREATE TABLE ${name} (${columnList(after.fields)})`);
      } else await ownRows(catalog, transaction, key);
      const { badRecords, errors } = await fill(transaction, name);
      if (badRecords > request.maxBadRecords) throw new JobFailure(errors);
      const size = await catalog.withThreads(input, () => measure(connection, name, after.fields));
      transaction.putTable(key, { ...after, size });
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
