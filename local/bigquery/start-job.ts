import { rm, stat } from 'node:fs/promises';
import * as z from 'zod';
import { ApiError, notImplemented } from '../http.ts';
import type { openAnswers } from './answers.ts';
import type { Catalog, TableKey } from './catalog.ts';
import { parseCopy, runCopy } from './copy.ts';
import { canonicalLocation, parseBody } from './metadata.ts';
import { jobKey, jobResource, type Job, type JobRun, type Jobs } from './jobs.ts';
import { parseLoad } from './load-request.ts';
import { runLoad } from './load.ts';
import { dryRun, runQuery } from './query.ts';
import { parseQuery, type QueryRequest } from './query-request.ts';
import { toApiSchema } from './schema.ts';
import { translate } from './sql/translate.ts';
import type { Field } from './sql/types.ts';
import { duckName } from './views.ts';

const part = z.record(z.string(), z.unknown());

const jobRequest = z.looseObject({
  jobReference: z.object({ jobId: z.string().optional(), location: z.string().optional() }).optional(),
  configuration: z.object({
    load: part.optional(),
    copy: part.optional(),
    query: part.optional(),
    extract: part.optional(),
    jobType: z.string().optional(),
    jobTimeoutMs: z.union([z.string(), z.number()]).optional(),
    dryRun: z.boolean().optional(),
    labels: z.record(z.string(), z.string()).optional(),
  }),
});

export type JobContext = {
  catalog: Catalog;
  jobs: Jobs;
  answers: ReturnType<typeof openAnswers>;
  /** The local file of a gs:// URI. */
  locate: (uri: string) => Promise<string>;
  /** A folder for files that a job needs while it runs. */
  scratch: string;
};

/**
 * jobs.insert. What a request lacks is refused at once; what a job meets when it runs is told by its status.
 * @param upload the file of a load job that came with the request
 */
export async function insertJob(
  context: JobContext,
  project: string,
  body: unknown,
  upload?: string,
): Promise<Record<string, unknown>> {
  const { jobReference, configuration } = parseBody(jobRequest, body);
  const { load, copy, query, extract } = configuration;
  if (extract !== undefined) throw notImplemented('BigQuery', 'extract jobs');
  const kinds = [load, copy, query].filter((each) => each !== undefined);
  if (kinds.length !== 1)
    throw new ApiError(400, 'invalid', 'A job needs exactly one configuration: load, copy or query');
  if (query !== undefined && configuration.dryRun === true) {
    const request = parseQuery(query);
    const statistics = showSchema(await dryRun(context.catalog, project, request));
    return {
      kind: 'bigquery#job',
      configuration,
      jobReference: { projectId: project, location: 'US' },
      statistics,
      status: { state: 'DONE' },
    };
  }
  const planned =
    load !== undefined
      ? planLoad(context, project, load, upload)
      : copy !== undefined
        ? planCopy(context, project, copy)
        : planQuery(context, project, parseQuery(query ?? {}));
  const job = await startJob(context, project, planned, {
    id: jobReference?.jobId,
    location: jobReference?.location,
    configuration: { ...configuration, jobType: load !== undefined ? 'LOAD' : copy !== undefined ? 'COPY' : 'QUERY' },
  });
  return jobResource(job);
}

type Planned = { touches: TableKey[]; run: (key: string) => JobRun };

/** Starts the job where its data is. */
export async function startJob(
  { catalog, jobs }: JobContext,
  project: string,
  { touches, run }: Planned,
  request: { id?: string | undefined; location?: string | undefined; configuration: Record<string, unknown> },
): Promise<Job> {
  const given =
    request.location === undefined || request.location === '' ? undefined : canonicalLocation(request.location);
  for (const { project, dataset } of touches) {
    const { location } = catalog.getDataset(project, dataset);
    if (given !== undefined && location !== given) {
      throw new ApiError(
        404,
        'notFound',
        `Not found: Dataset ${project}:${dataset} was not found in location ${given}`,
      );
    }
  }
  const [first] = touches;
  const location = given ?? (first === undefined ? 'US' : catalog.getDataset(first.project, first.dataset).location);
  return jobs.start({ project, id: request.id, location, configuration: request.configuration }, (control) => {
    // The job's own name is known only now, as it may have been made up.
    const key = jobKey({ project, location, id: control.id });
    return run(key)(control);
  });
}

function planLoad(
  { catalog, locate, scratch }: JobContext,
  project: string,
  body: Record<string, unknown>,
  upload: string | undefined,
): Planned {
  const request = parseLoad(body);
  if (upload === undefined && request.sourceUris.length === 0)
    throw new ApiError(400, 'invalid', 'Load configuration must specify at least one source URI');
  const key = { ...request.destinationTable, project: request.destinationTable.project ?? project };
  if (upload === undefined)
    return { touches: [key], run: () => runLoad(catalog, key, request, { find: locate, scratch }) };
  const find = async (): Promise<string> => {
    await stat(upload);
    return upload;
  };
  const run = runLoad(catalog, key, { ...request, sourceUris: ['upload'] }, { find, scratch });
  return { touches: [key], run: () => (control) => removing(upload, run(control)) };
}

async function removing<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } finally {
    await rm(path, { force: true });
  }
}

function planCopy({ catalog }: JobContext, project: string, body: Record<string, unknown>): Planned {
  const request = parseCopy(body);
  const named = request.sourceTables ?? (request.sourceTable === undefined ? [] : [request.sourceTable]);
  const sources = named.map((source) => ({ ...source, project: source.project ?? project }));
  const key = { ...request.destinationTable, project: request.destinationTable.project ?? project };
  return { touches: [key, ...sources], run: () => runCopy(catalog, key, sources, request) };
}

export function planQuery({ catalog, answers }: JobContext, project: string, request: QueryRequest): Planned {
  return {
    touches: touchedBy(catalog, project, request),
    run: (key) => runQuery(catalog, project, request, (answer) => answers.keep(key, answer)),
  };
}

/** The tables that decide where a query runs. A query that cannot be read fails as a job, so here it touches nothing. */
function touchedBy(catalog: Catalog, project: string, request: QueryRequest): TableKey[] {
  const touched: TableKey[] = [];
  const known = (key: TableKey): void => {
    if (catalog.findDataset(key.project, key.dataset) !== undefined) touched.push(key);
  };
  const { defaultDataset: dataset, destinationTable: target } = request;
  if (target !== undefined) known({ ...target, project: target.project ?? project });
  try {
    translate(request.query, {
      project: dataset?.projectId ?? project,
      ...(dataset === undefined ? {} : { dataset: dataset.datasetId }),
      parameters: request.queryParameters ?? [],
      quote: (key) => {
        known(key);
        return duckName(catalog, key);
      },
    });
  } catch {
    // The job says why.
  }
  return touched;
}

/** A dry run's columns in the REST API's form. */
function showSchema(
  statistics: Record<string, unknown> & { query?: { schema?: Field[] | undefined } },
): Record<string, unknown> {
  const { schema, ...query } = statistics.query ?? {};
  return { ...statistics, query: { ...query, ...(schema === undefined ? {} : { schema: toApiSchema(schema) }) } };
}
