import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BigQuery } from '@google-cloud/bigquery';
import { PassThroughClient } from 'google-auth-library';
import * as z from 'zod';
import { ApiError, serve } from '../../local/http.ts';
import { openBigQuery } from '../../local/bigquery/index.ts';

const errorProto = z.object({ reason: z.string(), message: z.string(), location: z.string().optional() });

const jobResource = z.object({
  id: z.string(),
  jobReference: z.object({ jobId: z.string(), location: z.string() }),
  configuration: z.looseObject({ jobType: z.string() }),
  statistics: z.looseObject({
    load: z.record(z.string(), z.string()).optional(),
    copy: z.record(z.string(), z.string()).optional(),
    query: z.looseObject({}).optional(),
  }),
  status: z.object({ state: z.string(), errorResult: errorProto.optional(), errors: z.array(errorProto).optional() }),
});
export type JobResource = z.infer<typeof jobResource>;

export type TestBigQuery = Awaited<ReturnType<typeof startBigQuery>>;

/** The stand-in with Google's client on it, and a folder for a bucket: `gs://b/NAME` is what `put` wrote. */
export async function startBigQuery(options: { folder?: string; now?: () => number } = {}) {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'bigquery-test-')));
  const objects = new Map<string, string>();
  const file = join(folder, 'warehouse.duckdb');
  const server = await openBigQuery({
    file,
    locate: (uri) => {
      const path = objects.get(uri);
      if (path === undefined) return Promise.reject(new ApiError(404, 'notFound', `No such object: ${uri}`));
      return Promise.resolve(path);
    },
    ...(options.now === undefined ? {} : { now: options.now }),
  });
  const http = await serve(server.handle);
  const client = new BigQuery({
    projectId: 'p',
    apiEndpoint: http.url,
    authClient: new PassThroughClient(),
    autoRetry: false,
  });

  /** A request under `/projects/p`: status and body. */
  async function request(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: unknown }> {
    const response = await fetch(`${http.url}/bigquery/v2/projects/p${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  }

  /** Starts a job and waits for its end, without the seconds that Google's client leaves between its questions. */
  async function run(configuration: Record<string, unknown>, jobId?: string): Promise<JobResource> {
    const reference = jobId === undefined ? {} : { jobReference: { projectId: 'p', jobId } };
    const started = await request('POST', '/jobs', { configuration, ...reference });
    if (started.status !== 200) throw new Error(`${started.status} ${JSON.stringify(started.body)}`);
    const { jobReference } = jobResource.parse(started.body);
    return ended(jobReference.jobId, jobReference.location);
  }

  async function ended(jobId: string, location: string): Promise<JobResource> {
    for (;;) {
      const answer = await request('GET', `/jobs/${jobId}?location=${location}`);
      const job = jobResource.parse(answer.body);
      if (job.status.state === 'DONE') return job;
      await delay(5);
    }
  }

  async function stop(): Promise<void> {
    await http.close();
    await server.close();
  }

  return {
    client,
    url: http.url,
    folder,
    file,
    request,
    run,
    ended,
    put: async (name: string, content: string | Buffer): Promise<string> => {
      const uri = `gs://b/${name}`;
      const path = join(folder, `object-${objects.size}`);
      await writeFile(path, content);
      objects.set(uri, path);
      return uri;
    },
    /** The rows of `ds.TABLE` as the REST API encodes them. */
    rows: async (table: string): Promise<unknown[][]> => {
      const answer = await request('GET', `/datasets/ds/tables/${table}/data?formatOptions.useInt64Timestamp=true`);
      const page = z.object({ rows: z.array(z.object({ f: z.array(z.object({ v: z.unknown() })) })).default([]) });
      return page.parse(answer.body).rows.map(({ f }) => f.map(({ v }) => v));
    },
    /** Stops the server, keeps its folder. */
    stop,
    close: async (): Promise<void> => {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A load of `uri` into `ds.TABLE` as the mirror asks for it. */
export function loadOf(
  uris: string | string[],
  table: string,
  fields: Record<string, unknown>[],
  options: Record<string, unknown> = {},
): { load: Record<string, unknown> } {
  return {
    load: {
      sourceUris: [uris].flat(),
      destinationTable: { projectId: 'p', datasetId: 'ds', tableId: table },
      schema: { fields },
      sourceFormat: 'CSV',
      skipLeadingRows: 1,
      nullMarker: '\\N',
      allowQuotedNewlines: true,
      preserveAsciiControlCharacters: true,
      writeDisposition: 'WRITE_TRUNCATE',
      ...options,
    },
  };
}

export function reference(table: string): { projectId: string; datasetId: string; tableId: string } {
  return { projectId: 'p', datasetId: 'ds', tableId: table };
}

/** Rows in an order of their own, for a table has none. */
export function byText(rows: unknown[][]): unknown[][] {
  const text = (row: unknown[]): string => JSON.stringify(row);
  return rows.toSorted((one, other) => (text(one) < text(other) ? -1 : 1));
}
