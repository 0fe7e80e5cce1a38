import { ApiError, notImplemented } from '../http.ts';
import { isFlagSet, isRecord, mergePatch, segment, type Call, type Operation } from './call.ts';
import { findBucket } from './object-changes.ts';
import { checkPreconditions, readPreconditions } from './preconditions.ts';
import { bucketResource, locationType } from './resources.ts';
import { page } from './page.ts';

/** What the service itself says about a bucket; sent back by clients that read, change and write. */
const READ_ONLY = new Set(
  [
    'kind id selfLink name projectNumber metageneration generation location locationType etag timeCreated updated',
  ].flatMap((names) => names.split(' ')),
);

/** Attributes that would change what other operations do, in a way that is not built here. */
const REFUSED: Record<string, (value: unknown) => boolean> = {
  acl: isSet,
  defaultObjectAcl: isSet,
  billing: (value) => isRecord(value) && value['requesterPays'] === true,
  defaultEventBasedHold: (value) => value === true,
  hierarchicalNamespace: (value) => isRecord(value) && value['enabled'] === true,
  ipFilter: isSet,
  objectRetention: isSet,
  retentionPolicy: isSet,
};

export const insertBucket: Operation = (store, call, body) => {
  const project = call.query.get('project');
  if (!project) throw new ApiError(400, 'required', 'Required parameter: project');
  if (isFlagSet(call.query, 'enableObjectRetention')) throw notImplemented('GCS', 'buckets: object retention');
  const { name, location = 'US' } = body;
  if (typeof name !== 'string' || !isBucketName(name)) {
    throw new ApiError(
      400,
      'invalid',
      `Invalid bucket name: '${String(name)}'; expected 3 to 63 lower-case letters, digits, '-', '_' and '.'`,
    );
  }
  if (typeof location !== 'string') throw new ApiError(400, 'invalid', 'Invalid argument: location is not a string');
  if (store.bucket(name)) {
    throw new ApiError(
      409,
      'conflict',
      'Your previous request to create the named bucket succeeded and you already own it.',
    );
  }
  const now = new Date().toISOString();
  const bucket = {
    name,
    project,
    metageneration: 1,
    timeCreated: now,
    updated: now,
    location: location.toUpperCase(),
    attributes: writableAttributes(mergePatch({}, body)),
    notifications: [],
    lastNotificationId: 0,
  };
  store.commit([{ type: 'bucket', bucket }]);
  return { status: 200, body: bucketResource(bucket, call.origin) };
};

export const getBucket: Operation = (store, call) => {
  const bucket = findBucket(store, segment(call, 1));
  checkPreconditions(readPreconditions(call.query), bucket, 'read');
  return { status: 200, body: bucketResource(bucket, call.origin) };
};

export const listBuckets: Operation = (store, call) => {
  const project = call.query.get('project');
  if (!project) throw new ApiError(400, 'required', 'Required parameter: project');
  const prefix = call.query.get('prefix') ?? '';
  const all = store
    .buckets()
    .filter((bucket) => bucket.project === project && bucket.name.startsWith(prefix))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const { items, nextPageToken } = page(all, (bucket) => bucket.name, call.query);
  return {
    status: 200,
    body: {
      kind: 'storage#buckets',
      ...(items.length > 0 && { items: items.map((bucket) => bucketResource(bucket, call.origin)) }),
      ...(nextPageToken && { nextPageToken }),
    },
  };
};

export const patchBucket: Operation = (store, call, body) =>
  changeBucket(store, call, (attributes) => writableAttributes(mergePatch(attributes, body)));

export const updateBucket: Operation = (store, call, body) =>
  changeBucket(store, call, () => writableAttributes(mergePatch({}, body)));

function changeBucket(
  store: Parameters<Operation>[0],
  call: Call,
  change: (attributes: Record<string, unknown>) => Record<string, unknown>,
): ReturnType<Operation> {
  const before = findBucket(store, segment(call, 1));
  checkPreconditions(readPreconditions(call.query), before, 'write');
  const bucket = {
    ...before,
    attributes: change(before.attributes),
    metageneration: before.metageneration + 1,
    updated: new Date().toISOString(),
  };
  store.commit([{ type: 'bucket', bucket }]);
  return { status: 200, body: bucketResource(bucket, call.origin) };
}

export const deleteBucket: Operation = (store, call) => {
  const bucket = findBucket(store, segment(call, 1));
  checkPreconditions(readPreconditions(call.query), bucket, 'write');
  if (store.objectNames(bucket.name).length > 0) {
    throw new ApiError(409, 'conflict', 'The bucket you tried to delete is not empty.');
  }
  store.commit([{ type: 'bucketDeleted', name: bucket.name }]);
  return { status: 204 };
};

/** Asked by Google's command line before it works on a bucket's objects. */
export const getStorageLayout: Operation = (store, call) => {
  const { name, location } = findBucket(store, segment(call, 1));
  return {
    status: 200,
    body: {
      kind: 'storage#storageLayout',
      bucket: name,
      location,
      locationType: locationType(location),
      hierarchicalNamespace: { enabled: false },
    },
  };
};

/** None can be made; Google's command line asks before it removes a bucket with all that is in it. */
export const listManagedFolders: Operation = (store, call) => {
  findBucket(store, segment(call, 1));
  return { status: 200, body: { kind: 'storage#managedFolders', items: [] } };
};

/** A name is also a directory here: it holds no slash and does not begin with a dot. */
function isBucketName(name: string): boolean {
  return /^[a-z0-9][a-z0-9._-]+[a-z0-9]$/.test(name) && name.length <= (name.includes('.') ? 222 : 63);
}

function writableAttributes(body: Record<string, unknown>): Record<string, unknown> {
  for (const [name, value] of Object.entries(body)) {
    if (REFUSED[name]?.(value)) throw notImplemented('GCS', `buckets: ${name}`);
  }
  return Object.fromEntries(Object.entries(body).filter(([name]) => !READ_ONLY.has(name)));
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0);
}
