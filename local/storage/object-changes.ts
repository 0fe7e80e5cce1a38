import { ApiError } from '../http.ts';
import { messagesDue } from './events.ts';
import type { ExpectedHashes } from './hashes.ts';
import { checkPreconditions, type Preconditions } from './preconditions.ts';
import type { Origin } from './resources.ts';
import type { Bucket, ObjectAttributes, StoredObject } from './state.ts';
import type { Content, Store } from './store.ts';

/** An object to be: all that is known before its last byte has come. */
export type NewObject = {
  bucket: string;
  name: string;
  attributes: ObjectAttributes;
  kmsKeyName?: string | undefined;
  componentCount?: number | undefined;
  expected?: ExpectedHashes | undefined;
  preconditions: Preconditions;
  origin: Origin;
};

/** The bucket. Throws 404. */
export function findBucket(store: Store, name: string): Bucket {
  const bucket = store.bucket(name);
  if (!bucket) throw new ApiError(404, 'notFound', `The specified bucket does not exist: ${name}`);
  return bucket;
}

/** The live object, if `generation` is given only that one. Throws 404. */
export function findObject(store: Store, bucket: string, name: string, generation?: number): StoredObject {
  findBucket(store, bucket);
  const object = store.object(bucket, name);
  if (!object || (generation !== undefined && generation !== object.generation)) {
    const which = generation === undefined ? '' : `#${generation}`;
    throw new ApiError(404, 'notFound', `No such object: ${bucket}/${name}${which}`);
  }
  return object;
}

/** Refuses early what `insertObject` would refuse in the end: before gigabytes are sent. Throws 404 and 412. */
export function checkInsert(store: Store, { bucket, name, preconditions }: NewObject): void {
  findBucket(store, bucket);
  checkPreconditions(preconditions, store.object(bucket, name), 'write');
}

/**
 * Makes `content` the live object of that name, in one synchronous step, so that of two creators with
 * ifGenerationMatch=0 one wins. Throws 404, 412, and 400 when the bytes are not those that the client hashed.
 */
export function insertObject(store: Store, request: NewObject, content: Content): StoredObject {
  const bucket = findBucket(store, request.bucket);
  checkInsert(store, request);
  checkHash('CRC32C', request.expected?.crc32c, content.crc32c);
  checkHash('MD5 hash', request.expected?.md5Hash, content.md5Hash);
  const overwritten = store.object(request.bucket, request.name);
  const now = new Date().toISOString();
  const object: StoredObject = {
    bucket: request.bucket,
    name: request.name,
    generation: store.nextGeneration(),
    metageneration: 1,
    size: content.size,
    crc32c: content.crc32c,
    md5Hash: request.componentCount ? undefined : content.md5Hash,
    componentCount: request.componentCount,
    kmsKeyName: request.kmsKeyName ?? defaultKmsKey(bucket),
    timeCreated: now,
    updated: now,
    attributes: request.attributes,
  };
  store.commit(
    [
      { type: 'object', object },
      ...messagesDue(
        bucket,
        'OBJECT_FINALIZE',
        object,
        request.origin,
        overwritten && { overwroteGeneration: String(overwritten.generation) },
      ),
      ...(overwritten
        ? messagesDue(bucket, removalEvent(bucket), overwritten, request.origin, {
            overwrittenByGeneration: String(object.generation),
          })
        : []),
    ],
    { path: content.path, of: object },
  );
  return object;
}

/** Gives the object other attributes and the next metageneration. */
export function updateObject(
  store: Store,
  object: StoredObject,
  attributes: ObjectAttributes,
  origin: Origin,
): StoredObject {
  const updated: StoredObject = {
    ...object,
    attributes,
    metageneration: object.metageneration + 1,
    updated: new Date().toISOString(),
  };
  store.commit([
    { type: 'object', object: updated },
    ...messagesDue(findBucket(store, object.bucket), 'OBJECT_METADATA_UPDATE', updated, origin),
  ]);
  return updated;
}

export function deleteObject(store: Store, object: StoredObject, origin: Origin): void {
  const bucket = findBucket(store, object.bucket);
  store.commit([
    { type: 'objectDeleted', bucket: object.bucket, name: object.name },
    ...messagesDue(bucket, removalEvent(bucket), object, origin),
  ]);
}

/** In a bucket with versioning the live object is archived, not deleted; here its bytes go all the same. */
function removalEvent(bucket: Bucket): 'OBJECT_ARCHIVE' | 'OBJECT_DELETE' {
  return isVersioned(bucket) ? 'OBJECT_ARCHIVE' : 'OBJECT_DELETE';
}

export function isVersioned({ attributes: { versioning } }: Bucket): boolean {
  return (
    typeof versioning === 'object' && versioning !== null && 'enabled' in versioning && versioning.enabled === true
  );
}

function defaultKmsKey({ attributes: { encryption } }: Bucket): string | undefined {
  if (typeof encryption !== 'object' || encryption === null || !('defaultKmsKeyName' in encryption)) return undefined;
  return typeof encryption.defaultKmsKeyName === 'string'
    ? `${encryption.defaultKmsKeyName}/cryptoKeyVersions/1`
    : undefined;
}

function checkHash(kind: 'CRC32C' | 'MD5 hash', expected: string | undefined, calculated: string | undefined): void {
  if (expected === undefined || expected === calculated) return;
  throw new ApiError(
    400,
    'invalid',
    `Provided ${kind} "${expected}" doesn't match calculated ${kind} "${calculated ?? ''}".`,
  );
}
