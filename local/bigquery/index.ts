import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiError, notImplemented, readBody, sendError, sendJson, type Handler } from '../http.ts';
import { openAnswers, selectFields, tablePage } from './answers.ts';
import { openCatalog, etagOf, type TableKey } from './catalog.ts';
import { changeDataset, deleteDataset, getDataset, insertDataset, listDatasets } from './datasets.ts';
import { discoveryDocument } from './discovery.ts';
import { jobResource, openJobs } from './jobs.ts';
import { getQueryResults, listJobs, pageOf, pageOfList, query } from './rest-jobs.ts';
import { insertJob, type JobContext } from './start-job.ts';
import { changeTable, deleteTable, getTable, insertTable, listTables, sweepExpired } from './tables.ts';
import { openUploads, parseJson } from './upload.ts';

/** A request on its way to an operation: the path's variables, the query string, the headers, the body as JSON. */
type Call = {
  path: Record<string, string>;
  search: URLSearchParams;
  request: IncomingMessage;
  response: ServerResponse;
  body: () => Promise<unknown>;
};

/** An operation answers JSON, or undefined for 204 No Content. */
type Operation = (call: Call) => unknown;

const sweepMilliseconds = 60_000;

const pollMilliseconds = 250;

/** As many as jobs may write at once. */
const warmConnections = 4;

/**
 * BigQuery's REST API (v2) over a DuckDB file: a dataset is a schema, a table a table, a view a view; what DuckDB does not know of
 * them is in the schema `_commons_mirror`. What is not implemented answers 501 with its name. After `close` the file opens in
 * DuckDB alone.
 *
 * @param options.locate the local file of a gs:// URI; throws ApiError 404
 */
export async function openBigQuery(options: {
  file: string;
  locate: (uri: string) => Promise<string>;
  now?: () => number;
  /** Makes ready before anybody asks, in the background. */
  warm?: boolean;
}): Promise<{ handle: Handler; close: () => Promise<void> }> {
  const catalog = await openCatalog(options.file, options.now ?? Date.now);
  const scratch = await mkdtemp(join(tmpdir(), 'local-bigquery-'));
  const jobs = await openJobs(catalog);
  const context: JobContext = { catalog, jobs, answers: openAnswers(catalog), locate: options.locate, scratch };
  const uploads = openUploads(scratch, (project, job, path) => insertJob(context, project, job, path));
  await sweepExpired(catalog);
  const warming = catalog.warm(options.warm ? warmConnections : 0).then(
    () => undefined,
    // Who asks for a connection hears why it cannot be made.
    () => undefined,
  );
  let sweeping = Promise.resolve();
  const sweeper = setInterval(() => {
    // A table that cannot be swept now is not seen by anybody, and tried again.
    sweeping = sweepExpired(catalog).catch(() => undefined);
  }, sweepMilliseconds);
  sweeper.unref();

  const routes = operations(context).map(([route, operation]) => compile(route, operation));
  return {
    handle: async (request, response) => {
      try {
        const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
        const upload = /^(?:\/resumable)?\/upload(?:\/bigquery\/v2)?\/projects\/([^/]+)\/jobs$/.exec(pathname);
        if (upload !== null)
          return await uploads.handle(request, response, decodeURIComponent(upload[1] ?? ''), searchParams);
        if (pathname === '/$discovery/rest' || pathname === '/discovery/v1/apis/bigquery/v2/rest') {
          return sendJson(response, 200, discoveryDocument(`http://${request.headers.host ?? '127.0.0.1'}`));
        }
        const path = pathname.replace(/^\/bigquery\/v2/, '').replace(/\/$/, '');
        const found = routes.map((route) => route(request.method ?? 'GET', path)).find((each) => each !== undefined);
        if (found === undefined) throw notImplemented('BigQuery', `${request.method} ${pathname}`);
        const body = async (): Promise<unknown> => parseJson((await readBody(request)).toString('utf8') || '{}');
        const answer = await found.operation({ path: found.path, search: searchParams, request, response, body });
        if (answer === undefined) response.writeHead(204).end();
        else sendJson(response, 200, answer);
      } catch (error) {
        sendError(response, error);
      }
    },
    close: async () => {
      clearInterval(sweeper);
      await Promise.all([sweeping, warming]);
      await jobs.close();
      await catalog.close();
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

/** What is implemented, by method and path. */
function operations(context: JobContext): [string, Operation][] {
  const { catalog, jobs } = context;
  const project = ({ path }: Call): string => path['project'] ?? '';
  const dataset = ({ path }: Call): string => path['dataset'] ?? '';
  const key = (call: Call): TableKey => ({
    project: project(call),
    dataset: dataset(call),
    table: call.path['table'] ?? '',
  });
  const change = ({ request }: Call, replace: boolean) => ({ ifMatch: request.headers['if-match'], replace });
  const job = (call: Call) => jobs.get(project(call), call.path['job'] ?? '', call.search.get('location') ?? undefined);
  const datasets = '/projects/:project/datasets';
  const tables = `${datasets}/:dataset/tables`;
  const jobsPath = '/projects/:project/jobs';
  return [
    [`GET ${datasets}`, (call) => list('bigquery#datasetList', 'datasets', listDatasets(catalog, project(call)), call)],
    [`POST ${datasets}`, async (call) => insertDataset(catalog, project(call), await call.body())],
    [`GET ${datasets}/:dataset`, (call) => getDataset(catalog, project(call), dataset(call))],
    [
      `PATCH ${datasets}/:dataset`,
      async (call) => changeDataset(catalog, project(call), dataset(call), await call.body(), change(call, false)),
    ],
    [
      `PUT ${datasets}/:dataset`,
      async (call) => changeDataset(catalog, project(call), dataset(call), await call.body(), change(call, true)),
    ],
    [
      `DELETE ${datasets}/:dataset`,
      (call) => deleteDataset(catalog, project(call), dataset(call), call.search.get('deleteContents') === 'true'),
    ],

    [
      `GET ${tables}`,
      (call) => list('bigquery#tableList', 'tables', listTables(catalog, project(call), dataset(call)), call),
    ],
    [`POST ${tables}`, async (call) => insertTable(catalog, project(call), dataset(call), await call.body())],
    [`GET ${tables}/:table`, (call) => getTable(catalog, key(call), call.request.headers['if-match'])],
    [`PATCH ${tables}/:table`, async (call) => changeTable(catalog, key(call), await call.body(), change(call, false))],
    [`PUT ${tables}/:table`, async (call) => changeTable(catalog, key(call), await call.body(), change(call, true))],
    [`DELETE ${tables}/:table`, (call) => deleteTable(catalog, key(call))],
    [`GET ${tables}/:table/data`, (call) => listRows(context, key(call), call.search)],
    [`POST ${tables}/:table/insertAll`, refuse('tabledata.insertAll')],

    [`GET ${jobsPath}`, (call) => listJobs(context, project(call), call.search)],
    [`POST ${jobsPath}`, async (call) => insertJob(context, project(call), await call.body())],
    [
      `GET ${jobsPath}/:job`,
      async (call) => {
        const found = job(call);
        // BigQuery takes its time, too; whoever waits for a job asks less often, and hears of its end at once.
        await jobs.settled(found, pollMilliseconds);
        return jobResource(found);
      },
    ],
    [
      `POST ${jobsPath}/:job/cancel`,
      (call) => {
        jobs.cancel(job(call));
        return { kind: 'bigquery#jobCancelResponse', job: jobResource(job(call)) };
      },
    ],
    [`DELETE ${jobsPath}/:job/delete`, (call) => jobs.remove(job(call))],
    ['POST /projects/:project/queries', async (call) => query(context, project(call), await call.body())],
    [
      'GET /projects/:project/queries/:job',
      (call) => getQueryResults(context, project(call), call.path['job'] ?? '', call.search),
    ],
    ...['routines', 'models'].map((kind): [string, Operation] => [`* ${datasets}/:dataset/${kind}*`, refuse(kind)]),
    [`* ${tables}/:table/rowAccessPolicies*`, refuse('row access policies')],
    [`* ${tables}/:table:*`, refuse('IAM policies of tables')],
  ];
}

/** tabledata.list */
async function listRows(
  { catalog }: JobContext,
  key: TableKey,
  search: URLSearchParams,
): Promise<Record<string, unknown>> {
  const table = catalog.getTable(key);
  if (table.view !== undefined) throw new ApiError(400, 'invalid', 'Cannot list a table of type VIEW.');
  const fields = selectFields(table.fields, search.get('selectedFields'));
  const { rows, total, next } = await tablePage(catalog, key, fields, pageOf(search));
  return {
    kind: 'bigquery#tableDataList',
    etag: etagOf(table),
    totalRows: String(total),
    ...(rows.length === 0 ? {} : { rows }),
    ...(next === undefined ? {} : { pageToken: String(next) }),
  };
}

function list(kind: string, name: string, all: unknown[], { search }: Call): Record<string, unknown> {
  const { items, nextPageToken } = pageOfList(all, search);
  return {
    kind,
    ...(items.length === 0 ? {} : { [name]: items }),
    totalItems: all.length,
    ...(nextPageToken === undefined ? {} : { nextPageToken }),
  };
}

function refuse(operation: string): Operation {
  return () => {
    throw notImplemented('BigQuery', operation);
  };
}

/** `PATCH /a/:b` as a matcher: `:b` is one segment, a trailing `*` is any rest, the method `*` is any. */
function compile(route: string, operation: Operation) {
  const [method = '', path = ''] = route.split(' ');
  const pattern = new RegExp(`^${path.replaceAll('*', '.*').replaceAll(/:(\w+)/g, '(?<$1>[^/]+)')}$`);
  return (asked: string, pathname: string): { operation: Operation; path: Record<string, string> } | undefined => {
    const groups = method === '*' || method === asked ? pattern.exec(pathname)?.groups : undefined;
    if (groups === undefined) return undefined;
    return {
      operation,
      path: Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, decodeURIComponent(value)])),
    };
  };
}
