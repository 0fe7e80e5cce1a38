import * as z from 'zod';
import { ApiError, notImplemented } from '../http.ts';
import { changeTime, etagOf, type Catalog, type Dataset, type TableKey } from './catalog.ts';
import { checkEtag, mergeMetadata, asRecord, canonicalLocation, parseBody } from './metadata.ts';
import { quoteName } from './sql/types.ts';
import { partWithSharers } from './shared-rows.ts';

const millis = z.union([z.string().regex(/^\d+$/), z.number()]).transform(String);

/** What of a dataset a client may set; everything else in a request is output only. */
const settable = z.object({
  friendlyName: z.string().nullable().optional(),
  description: z.string().nullable().optional(),
  labels: z.record(z.string(), z.string().nullable()).nullable().optional(),
  access: z.array(z.record(z.string(), z.unknown())).optional(),
  defaultTableExpirationMs: millis.nullable().optional(),
  defaultPartitionExpirationMs: millis.nullable().optional(),
  maxTimeTravelHours: millis.nullable().optional(),
  storageBillingModel: z.string().nullable().optional(),
  isCaseInsensitive: z.boolean().optional(),
  defaultEncryptionConfiguration: z.object({ kmsKeyName: z.string() }).nullable().optional(),
  resourceTags: z.record(z.string(), z.string()).nullable().optional(),
});

const datasetRequest = settable.extend({
  datasetReference: z.object({ datasetId: z.string() }).optional(),
  location: z.string().optional(),
});

/** BigQuery: "The minimum value is 3600000 milliseconds (one hour)." */
const minimumExpiration = 3_600_000;

export async function insertDataset(catalog: Catalog, project: string, body: unknown): Promise<unknown> {
  const { datasetReference, location, ...metadata } = parseDataset(body);
  const id = datasetReference?.datasetId ?? '';
  // BigQuery: "up to 1,024 characters; letters (uppercase or lowercase), numbers, and underscores".
  if (!/^[A-Za-z0-9_]{1,1024}$/.test(id)) {
    const rule = 'Dataset IDs must be alphanumeric (plus underscores) and must be at most 1024 characters long.';
    throw new ApiError(400, 'invalid', `Invalid dataset ID "${id}". ${rule}`);
  }
  return catalog.locked([{ project, dataset: id, table: '' }], async () => {
    if (catalog.findDataset(project, id) !== undefined) {
      throw new ApiError(409, 'duplicate', `Already Exists: Dataset ${project}:${id}`);
    }
    const created = catalog.now();
    const dataset: Dataset = {
      project,
      id,
      name: catalog.freeSchemaName(id),
      location: canonicalLocation(location ?? 'US'),
      created,
      modified: created,
      metadata: mergeMetadata({}, metadata),
    };
    await catalog.transaction(async (transaction) => {
      await transaction.connection.run(`CREATE SCHEMA ${quoteName(dataset.name)}`);
      transaction.putDataset(dataset);
    });
    return datasetResource(dataset);
  });
}

export function getDataset(catalog: Catalog, project: string, id: string): unknown {
  return datasetResource(catalog.getDataset(project, id));
}

export function listDatasets(catalog: Catalog, project: string): unknown[] {
  return catalog.listDatasets(project).map((dataset) => ({
    kind: 'bigquery#dataset',
    id: `${project}:${dataset.id}`,
    datasetReference: { datasetId: dataset.id, projectId: project },
    ...(dataset.metadata['labels'] === undefined ? {} : { labels: dataset.metadata['labels'] }),
    location: dataset.location,
  }));
}

/** `replace` is update: what the request does not name is cleared; a patch leaves it. */
export async function changeDataset(
  catalog: Catalog,
  project: string,
  id: string,
  body: unknown,
  { ifMatch, replace }: { ifMatch: string | undefined; replace: boolean },
): Promise<unknown> {
  const { datasetReference: _, location, ...metadata } = parseDataset(body);
  return catalog.locked([{ project, dataset: id, table: '' }], async () => {
    const before = catalog.getDataset(project, id);
    checkEtag(ifMatch, etagOf(before));
    if (location !== undefined && canonicalLocation(location) !== before.location) {
      throw new ApiError(400, 'invalid', `Dataset location cannot be changed from ${before.location} to ${location}`);
    }
    const dataset: Dataset = {
      ...before,
      modified: changeTime(before, catalog.now()),
      metadata: mergeMetadata(replace ? {} : before.metadata, metadata),
    };
    await catalog.record((changes) => changes.putDataset(dataset));
    return datasetResource(dataset);
  });
}

/** @throws ApiError 400 `resourceInUse` for a dataset that holds tables, unless `deleteContents` */
export async function deleteDataset(
  catalog: Catalog,
  project: string,
  id: string,
  deleteContents: boolean,
): Promise<void> {
  const key = { project, dataset: id, table: '' };
  await catalog.locked([key], async () => {
    const dataset = catalog.getDataset(project, id);
    const tables = catalog.listTables(project, id);
    if (tables.length > 0 && !deleteContents) {
      throw new ApiError(400, 'resourceInUse', `Dataset ${project}:${id} is still in use`);
    }
    await catalog.locked(
      tables.map((table) => ({ project, dataset: id, table: table.id })),
      () =>
        catalog.transaction(async (transaction) => {
          const isHere = (each: TableKey): boolean => each.project === project && each.dataset === id;
          for (const table of tables) {
            await partWithSharers(catalog, transaction, { project, dataset: id, table: table.id }, isHere);
          }
          const expired = catalog.expiredTables().filter(isHere);
          for (const each of expired) transaction.removeTable(each);
          for (const table of tables) transaction.removeTable({ project, dataset: id, table: table.id });
          await transaction.connection.run(`DROP SCHEMA ${quoteName(dataset.name)} CASCADE`);
          transaction.removeDataset(dataset);
        }),
    );
  });
}

function parseDataset(body: unknown): z.infer<typeof datasetRequest> {
  for (const unsupported of [
    'externalDatasetReference',
    'linkedDatasetSource',
    'defaultCollation',
    'defaultRoundingMode',
  ]) {
    if (asRecord(body)[unsupported] !== undefined) throw notImplemented('BigQuery', `a dataset's ${unsupported}`);
  }
  const request = parseBody(datasetRequest, body);
  const expiration = request.defaultTableExpirationMs;
  if (typeof expiration === 'string' && expiration !== '0' && Number(expiration) < minimumExpiration) {
    throw new ApiError(
      400,
      'invalid',
      `Default table expiration must be at least ${minimumExpiration} ms, received ${expiration}.`,
    );
  }
  return request;
}

function datasetResource(dataset: Dataset): unknown {
  return {
    kind: 'bigquery#dataset',
    etag: etagOf(dataset),
    id: `${dataset.project}:${dataset.id}`,
    selfLink: `https://bigquery.googleapis.com/bigquery/v2/projects/${dataset.project}/datasets/${dataset.id}`,
    datasetReference: { datasetId: dataset.id, projectId: dataset.project },
    ...dataset.metadata,
    creationTime: String(dataset.created),
    lastModifiedTime: String(dataset.modified),
    location: dataset.location,
    type: 'DEFAULT',
  };
}
