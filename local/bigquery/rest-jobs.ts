import * as z from 'zod';
import { ApiError } from '../http.ts';
import { jobKey, jobReference, jobResource, type Job, type JobError } from './jobs.ts';
import type { Page } from './answers.ts';
import { parseBody } from './metadata.ts';
import { dryRun } from './query.ts';
import { parseQuery } from './query-request.ts';
import type { TimestampFormat } from './results.ts';
import { toApiSchema } from './schema.ts';
import { planQuery, startJob, type JobContext } from './start-job.ts';

const formatOptions = z
  .object({ useInt64Timestamp: z.boolean().optional(), timestampOutputFormat: z.string().optional() })
  .optional();

const queryBody = z.looseObject({
  location: z.string().optional(),
  maxResults: z.number().int().min(0).optional(),
  timeoutMs: z.union([z.number(), z.string()]).transform(Number).optional(),
  dryRun: z.boolean().optional(),
  formatOptions,
  labels: z.record(z.string(), z.string()).optional(),
});

/** Of a query request, what is not the query's configuration. */
const envelope = [
  'kind',
  'location',
  'maxResults',
  'timeoutMs',
  'dryRun',
  'formatOptions',
  'labels',
  'requestId',
  'jobCreationMode',
  'jobTimeoutMs',
  'parameterMode',
];

/** BigQuery: jobs.query and getQueryResults wait "10 seconds" by default, and never longer than 200. */
const defaultWait = 10_000;
const longestWait = 200_000;

/** jobs.query: starts a query and answers its first page if it is done in time. */
export async function query(context: JobContext, project: string, body: unknown): Promise<Record<string, unknown>> {
  const request = parseBody(queryBody, body);
  const configuration = Object.fromEntries(
    Object.entries(request).filter(([name, value]) => !envelope.includes(name) && value !== undefined),
  );
  const parsed = parseQuery(configuration);
  if (request.dryRun === true) {
    const { totalBytesProcessed, query } = await dryRun(context.catalog, project, parsed);
    const schema = query.schema === undefined ? {} : { schema: toApiSchema(query.schema) };
    return {
      kind: 'bigquery#queryResponse',
      ...schema,
      jobReference: { projectId: project },
      totalBytesProcessed,
      jobComplete: true,
      cacheHit: false,
    };
  }
  const job = await startJob(context, project, planQuery(context, project, parsed), {
    location: request.location,
    configuration: {
      query: configuration,
      jobType: 'QUERY',
      ...(request.labels === undefined ? {} : { labels: request.labels }),
    },
  });
  await context.jobs.settled(job, wait(request.timeoutMs));
  return results(context, job, 'bigquery#queryResponse', {
    start: 0,
    maximum: request.maxResults ?? Infinity,
    timestamps: timestampFormat(request.formatOptions?.useInt64Timestamp, request.formatOptions?.timestampOutputFormat),
  });
}

/** jobs.getQueryResults */
export async function getQueryResults(
  context: JobContext,
  project: string,
  id: string,
  search: URLSearchParams,
): Promise<Record<string, unknown>> {
  const job = context.jobs.get(project, id, search.get('location') ?? undefined);
  if (job.configuration['query'] === undefined)
    throw new ApiError(400, 'invalid', `Cannot get the query results of a job that is no query: ${jobKey(job)}`);
  await context.jobs.settled(job, wait(search.has('timeoutMs') ? Number(search.get('timeoutMs')) : undefined));
  return results(context, job, 'bigquery#getQueryResultsResponse', pageOf(search));
}

async function results(
  context: JobContext,
  job: Job,
  kind: string,
  page: { start: number; maximum: number; timestamps: TimestampFormat },
): Promise<Record<string, unknown>> {
  const answer = { kind, jobReference: jobReference(job), location: job.location };
  if (job.state !== 'DONE') return { ...answer, jobComplete: false };
  const [failure] = job.errors;
  if (failure !== undefined) throw new ApiError(statusOf(failure), failure.reason, failure.message);
  const statistics = z
    .looseObject({
      query: z
        .looseObject({ statementType: z.string().optional(), numDmlAffectedRows: z.string().optional() })
        .optional(),
    })
    .parse(job.statistics);
  const done = {
    ...answer,
    jobComplete: true,
    totalBytesProcessed: job.statistics['totalBytesProcessed'],
    cacheHit: false,
  };
  const { statementType, numDmlAffectedRows } = statistics.query ?? {};
  const fields = context.answers.fieldsOf(jobKey(job));
  if (fields === undefined && statementType !== 'SELECT') {
    return {
      ...done,
      totalRows: numDmlAffectedRows ?? '0',
      ...(numDmlAffectedRows === undefined ? {} : { numDmlAffectedRows }),
    };
  }
  const { rows, total, next }: Page = await context.answers.page(jobKey(job), page);
  return {
    ...done,
    schema: toApiSchema(fields ?? []),
    totalRows: String(total),
    ...(rows.length === 0 ? {} : { rows }),
    ...(next === undefined ? {} : { pageToken: String(next) }),
  };
}

/** jobs.list: the newest first, of all states or some. */
export function listJobs({ jobs }: JobContext, project: string, search: URLSearchParams): Record<string, unknown> {
  if (search.get('parentJobId') !== null) return { kind: 'bigquery#jobList', jobs: [] };
  const states = search.getAll('stateFilter').map((state) => state.toUpperCase());
  const earliest = Number(search.get('minCreationTime') ?? 0);
  const latest = Number(search.get('maxCreationTime') ?? Infinity);
  const found = jobs
    .list(project)
    .filter(
      (job) => (states.length === 0 || states.includes(job.state)) && job.created >= earliest && job.created <= latest,
    );
  const { items, nextPageToken } = pageOfList(found, search);
  return {
    kind: 'bigquery#jobList',
    jobs: items.map((job) => {
      const resource = jobResource(job);
      return { ...resource, state: job.state, ...(job.errors[0] === undefined ? {} : { errorResult: job.errors[0] }) };
    }),
    ...(nextPageToken === undefined ? {} : { nextPageToken }),
  };
}

/** A page of a list; the token is the place of the next one's first item. */
export function pageOfList<T>(all: T[], search: URLSearchParams): { items: T[]; nextPageToken: string | undefined } {
  const start = Number(search.get('pageToken') ?? 0);
  const size = Number(search.get('maxResults') ?? 1000) || 1000;
  const end = start + size;
  return { items: all.slice(start, end), nextPageToken: end < all.length ? String(end) : undefined };
}

/** Which rows a request asks for, and how it wants TIMESTAMPs. */
export function pageOf(search: URLSearchParams): { start: number; maximum: number; timestamps: TimestampFormat } {
  const token = search.get('pageToken') ?? search.get('startIndex') ?? '0';
  if (!/^\d+$/.test(token)) throw new ApiError(400, 'invalid', `Invalid page token: ${token}`);
  const useInt64 = search.get('formatOptions.useInt64Timestamp');
  return {
    start: Number(token),
    maximum: search.get('maxResults') === null ? Infinity : Number(search.get('maxResults')),
    timestamps: timestampFormat(
      useInt64 === null ? undefined : useInt64 === 'true',
      search.get('formatOptions.timestampOutputFormat') ?? undefined,
    ),
  };
}

function timestampFormat(useInt64: boolean | undefined, output: string | undefined): TimestampFormat {
  if (output === 'INT64' || output === 'ISO8601_STRING') return output;
  return useInt64 === true ? 'INT64' : 'FLOAT64';
}

function wait(milliseconds: number | undefined): number {
  return Math.min(milliseconds ?? defaultWait, longestWait);
}

/** The HTTP status that an error of a job has where a request asks for the job's result. */
function statusOf({ reason }: JobError): number {
  const statuses: Record<string, number> = {
    notFound: 404,
    duplicate: 409,
    conditionNotMet: 412,
    notImplemented: 501,
    internalError: 500,
    backendError: 503,
  };
  return statuses[reason] ?? 400;
}
