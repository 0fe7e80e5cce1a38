import { BigQuery } from '@google-cloud/bigquery';
import { z } from 'zod';
import { environment } from '../environment.ts';
import { SafeError } from '../mirror/errors.ts';
import { credentialsFor } from './credentials.ts';

/** BigQuery's REST API: jobs by name, and tables. No error text of BigQuery passes beyond this file: it quotes cell values. */

let client: BigQuery | undefined;

function bigquery(): BigQuery {
  const {
    GOOGLE_CLOUD_PROJECT: projectId,
    BIGQUERY_ENDPOINT: apiEndpoint,
    BIGQUERY_LOCATION: location,
  } = environment();
  client ??= new BigQuery({ projectId, location, ...(apiEndpoint && { apiEndpoint }), ...credentialsFor(apiEndpoint) });
  return client;
}

/** What BigQuery answered, without its text: the reason, where, and the HTTP status where the request itself failed. */
export class BigQueryError extends SafeError {
  readonly status: number | undefined;
  readonly reason: string;

  constructor(what: string, reason: string, status?: number) {
    super(`BigQuery: ${what}: ${reason}${status ? ` (HTTP ${status})` : ''}`);
    this.name = 'BigQueryError';
    this.reason = reason;
    this.status = status;
  }
}

const Failure = z.object({ reason: z.string().default('unknown'), location: z.string().optional() });
const count = z.coerce.number().int().optional();

const Job = z.object({
  status: z.object({ state: z.string(), errorResult: Failure.optional() }),
  statistics: z
    .object({
      startTime: count,
      endTime: count,
      load: z.object({ outputRows: count, outputBytes: count }).optional(),
    })
    .default({}),
});

/** A job's state. `failure.location` is a file and an offset in it, never a value. */
export type JobState = {
  done: boolean;
  failure?: { reason: string; location?: string | undefined };
  outputRows?: number | undefined;
};

/** BigQuery's job configuration; passed through as it is. */
export type JobConfiguration = { jobType?: string; labels?: Record<string, string> } & (
  { load: Record<string, unknown> } | { query: Record<string, unknown> } | { copy: Record<string, unknown> }
);

/** Starts a job under `id` (≤ 1,024 of `[A-Za-z0-9_-]`). False where a job of that id exists: "409 means find the job". */
export async function insertJob(id: string, configuration: JobConfiguration): Promise<boolean> {
  try {
    await bigquery().createJob({ jobId: id, configuration });
    return true;
  } catch (error) {
    if (statusOf(error) === 409) return false;
    // The client turns a job that failed at once into an exception; the job itself stands, and tells it again.
    if (statusOf(error) === undefined && (await getJob(id))) return true;
    throw apiError(error, `could not start job ${id}`);
  }
}

/** A job's state; undefined where no job of that id exists. */
export async function getJob(id: string): Promise<JobState | undefined> {
  try {
    const [metadata] = await bigquery().job(id, { location: environment().BIGQUERY_LOCATION }).getMetadata();
    const { status, statistics } = Job.parse(metadata);
    return {
      done: status.state === 'DONE',
      ...(status.errorResult && { failure: status.errorResult }),
      outputRows: statistics.load?.outputRows,
    };
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw apiError(error, `could not look up job ${id}`);
  }
}

/** The first row of a query job's result: counts and sums of our own, never a source row. */
export async function resultOf(id: string): Promise<Record<string, unknown>> {
  try {
    const job = bigquery().job(id, { location: environment().BIGQUERY_LOCATION });
    const [rows] = await job.getQueryResults({ maxResults: 1 });
    return (rows[0] ?? {}) as Record<string, unknown>;
  } catch (error) {
    throw apiError(error, `could not read the result of job ${id}`);
  }
}

export type FieldSchema = {
  name: string;
  type: string;
  mode?: 'NULLABLE' | 'REQUIRED' | 'REPEATED';
  description?: string;
  fields?: FieldSchema[];
};

const Table = z.object({
  type: z.string().default('TABLE'),
  etag: z.string().default(''),
  numRows: z.coerce.number().int().default(0),
  numBytes: z.coerce.number().int().default(0),
  expirationTime: z.coerce.number().int().optional(),
  description: z.string().optional(),
  labels: z.record(z.string(), z.string()).default({}),
  encryptionConfiguration: z.object({ kmsKeyName: z.string().optional() }).optional(),
  view: z.object({ query: z.string() }).optional(),
  tableConstraints: z.object({ foreignKeys: z.array(z.unknown()).default([]) }).optional(),
});
export type TableState = z.infer<typeof Table>;

/** A table's or view's metadata; undefined where there is none. Free of charge. */
export async function getTable(dataset: string, table: string): Promise<TableState | undefined> {
  try {
    return Table.parse(await request('GET', tablePath(dataset, table)));
  } catch (error) {
    if (error instanceof BigQueryError && error.status === 404) return undefined;
    throw error;
  }
}

const TableList = z.object({
  tables: z.array(z.object({ tableReference: z.object({ tableId: z.string() }) })).default([]),
  nextPageToken: z.string().optional(),
});

/** Ids of a dataset's tables and views: a request for each thousand, where asking for each would be a thousand. */
export async function listTables(dataset: string): Promise<Set<string>> {
  const ids = new Set<string>();
  let pageToken: string | undefined;
  do {
    const qs = { maxResults: 1000, ...(pageToken !== undefined && { pageToken }) };
    const { tables, nextPageToken } = TableList.parse(await request('GET', `/datasets/${dataset}/tables`, { qs }));
    for (const { tableReference } of tables) ids.add(tableReference.tableId);
    pageToken = nextPageToken;
  } while (pageToken !== undefined);
  return ids;
}

/** Creates a table or view. False where one of that name exists. */
export async function insertTable(dataset: string, table: string, resource: object): Promise<boolean> {
  const tableReference = { projectId: environment().GOOGLE_CLOUD_PROJECT, datasetId: dataset, tableId: table };
  try {
    await request('POST', `/datasets/${dataset}/tables`, { json: { tableReference, ...resource } });
    return true;
  } catch (error) {
    if (error instanceof BigQueryError && error.status === 409) return false;
    throw error;
  }
}

/** Changes metadata, and gives all of it; with an etag only if nobody else has since. Undefined where somebody has. */
export async function patchTable(
  dataset: string,
  table: string,
  changes: object,
  etag?: string,
): Promise<TableState | undefined> {
  try {
    const headers: Record<string, string> = etag ? { 'If-Match': etag } : {};
    return Table.parse(await request('PATCH', tablePath(dataset, table), { json: changes, headers }));
  } catch (error) {
    if (error instanceof BigQueryError && error.status === 412) return undefined;
    throw error;
  }
}

/** The key that a written table must have; absent where somebody decided for Google's own keys. */
export function encryption(): { kmsKeyName: string } | undefined {
  const { KMS_KEY } = environment();
  return KMS_KEY === 'google-managed' ? undefined : { kmsKeyName: KMS_KEY };
}

export function tableReference(dataset: string, table: string): Record<string, string> {
  return { projectId: environment().GOOGLE_CLOUD_PROJECT, datasetId: dataset, tableId: table };
}

const tablePath = (dataset: string, table: string): string =>
  `/datasets/${dataset}/tables/${encodeURIComponent(table)}`;

type Request = { json?: object; headers?: Record<string, string>; qs?: Record<string, string | number> };

function request(method: string, uri: string, options: Request = {}): Promise<unknown> {
  return new Promise((resolve, reject) => {
    bigquery().request({ method, uri, ...options }, (error: Error | null, body: unknown) =>
      error ? reject(apiError(error, `${method} ${uri}`)) : resolve(body),
    );
  });
}

const statusOf = (error: unknown): number | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined;

const Reasons = z.object({ errors: z.array(z.object({ reason: z.string() })).min(1) });

function apiError(error: unknown, what: string): BigQueryError {
  if (error instanceof BigQueryError) return error;
  const reasons = Reasons.safeParse(error);
  const reason = reasons.success ? (reasons.data.errors[0]?.reason ?? 'unknown') : networkCode(error);
  return new BigQueryError(what, reason, statusOf(error));
}

const networkCode = (error: unknown): string =>
  error instanceof Error && 'code' in error && /^[A-Z_]{1,40}$/u.test(String(error.code))
    ? String(error.code)
    : 'no reason given';
