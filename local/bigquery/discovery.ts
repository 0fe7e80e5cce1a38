/** Query parameters by type; a name that ends in `*` may be repeated. */
type Parameters = { boolean?: string; integer?: string; string?: string };

const jobs = 'projects/{+projectId}/jobs';
const job = `${jobs}/{+jobId}`;
const queries = 'projects/{+projectId}/queries';
const datasets = 'projects/{+projectId}/datasets';
const dataset = `${datasets}/{+datasetId}`;
const tables = `${dataset}/tables`;
const table = `${tables}/{+tableId}`;

const page: Parameters = { integer: 'maxResults', string: 'pageToken' };
const here: Parameters = { string: 'location' };
const rows: Parameters = {
  boolean: 'formatOptions.useInt64Timestamp',
  integer: 'maxResults timeoutMs',
  string: 'location pageToken startIndex selectedFields formatOptions.timestampOutputFormat',
};

const resources: Record<string, Record<string, [method: string, path: string, query?: Parameters]>> = {
  datasets: {
    list: ['GET', datasets, { ...page, boolean: 'all', string: 'pageToken filter' }],
    insert: ['POST', datasets, { integer: 'accessPolicyVersion' }],
    get: ['GET', dataset, { integer: 'accessPolicyVersion', string: 'datasetView' }],
    patch: ['PATCH', dataset, { integer: 'accessPolicyVersion', string: 'updateMode' }],
    update: ['PUT', dataset, { integer: 'accessPolicyVersion', string: 'updateMode' }],
    delete: ['DELETE', dataset, { boolean: 'deleteContents' }],
  },
  tables: {
    list: ['GET', tables, page],
    insert: ['POST', tables],
    get: ['GET', table, { string: 'selectedFields view' }],
    patch: ['PATCH', table, { boolean: 'autodetect_schema' }],
    update: ['PUT', table, { boolean: 'autodetect_schema' }],
    delete: ['DELETE', table],
  },
  tabledata: {
    list: ['GET', `${table}/data`, rows],
    insertAll: ['POST', `${table}/insertAll`],
  },
  jobs: {
    list: [
      'GET',
      jobs,
      {
        boolean: 'allUsers',
        integer: 'maxResults',
        string: 'pageToken maxCreationTime minCreationTime parentJobId projection stateFilter*',
      },
    ],
    insert: ['POST', jobs],
    get: ['GET', job, here],
    cancel: ['POST', `${job}/cancel`, here],
    delete: ['DELETE', `${job}/delete`, here],
    query: ['POST', queries],
    getQueryResults: ['GET', `${queries}/{+jobId}`, rows],
  },
  projects: { list: ['GET', 'projects', page] },
  routines: { list: ['GET', `${dataset}/routines`, { ...page, string: 'pageToken filter readMask' }] },
  models: { list: ['GET', `${dataset}/models`, page] },
};

/**
 * The discovery document from which Google's `bq` builds its client.
 * @param root the server's own URL
 */
export function discoveryDocument(root: string): unknown {
  return {
    kind: 'discovery#restDescription',
    discoveryVersion: 'v1',
    id: 'bigquery:v2',
    name: 'bigquery',
    version: 'v2',
    protocol: 'rest',
    rootUrl: `${root}/`,
    servicePath: 'bigquery/v2/',
    baseUrl: `${root}/bigquery/v2/`,
    basePath: '/bigquery/v2/',
    batchPath: 'batch/bigquery/v2',
    parameters: {},
    schemas: { Resource: { id: 'Resource', type: 'object', additionalProperties: { type: 'any' } } },
    resources: Object.fromEntries(
      Object.entries(resources).map(([resource, methods]) => [
        resource,
        {
          methods: Object.fromEntries(
            Object.entries(methods).map(([name, [httpMethod, path, query = {}]]) => [
              name,
              methodDocument(`bigquery.${resource}.${name}`, httpMethod, path, query),
            ]),
          ),
        },
      ]),
    ),
  };
}

function methodDocument(id: string, httpMethod: string, path: string, query: Parameters): unknown {
  const inPath = [...path.matchAll(/\{\+(\w+)\}/g)].map(([, name = '']) => name);
  const takesBody = ['POST', 'PUT', 'PATCH'].includes(httpMethod) && !path.endsWith('/cancel');
  const upload = (prefix: string) => ({ multipart: true, path: `${prefix}/upload/bigquery/v2/${path}` });
  return {
    id,
    httpMethod,
    path,
    parameterOrder: inPath,
    parameters: {
      ...Object.fromEntries(inPath.map((name) => [name, { type: 'string', location: 'path', required: true }])),
      ...Object.fromEntries(
        Object.entries(query).flatMap(([type, names]) => names.split(' ').map((name) => queryParameter(name, type))),
      ),
    },
    ...(takesBody ? { request: { $ref: 'Resource' } } : {}),
    ...(httpMethod === 'DELETE' ? {} : { response: { $ref: 'Resource' } }),
    ...(id === 'bigquery.jobs.insert'
      ? {
          supportsMediaUpload: true,
          mediaUpload: { accept: ['*/*'], protocols: { resumable: upload('/resumable'), simple: upload('') } },
        }
      : {}),
  };
}

function queryParameter(name: string, type: string): [string, unknown] {
  const repeated = name.endsWith('*');
  return [repeated ? name.slice(0, -1) : name, { type, location: 'query', ...(repeated ? { repeated } : {}) }];
}
