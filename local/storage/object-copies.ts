import { createReadStream, linkSync, rmSync } from 'node:fs';
import { z } from 'zod';
import { ApiError, notImplemented } from '../http.ts';
import { isRecord, segment, type Call, type Operation } from './call.ts';
import { openContentWriter } from './content-writer.ts';
import { shownObject } from './md5.ts';
import { checkObjectName, DEFAULT_CONTENT_TYPE, readAttributes } from './object-attributes.ts';
import { checkInsert, findObject, insertObject, type NewObject } from './object-changes.ts';
import { checkPreconditions, readNumber, readPreconditions } from './preconditions.ts';
import { objectResource } from './resources.ts';
import type { StoredObject } from './state.ts';
import type { Store } from './store.ts';

export const copyObject: Operation = async (store, call, body) => {
  const copy = copyContent(store, call, body);
  return { status: 200, body: await shownObject(store, copy, call.origin) };
};

/** A rewrite is always done in one call here; the real service may ask for several, with a token. */
export const rewriteObject: Operation = async (store, call, body) => {
  const copy = copyContent(store, call, body);
  return {
    status: 200,
    body: {
      kind: 'storage#rewriteResponse',
      totalBytesRewritten: String(copy.size),
      objectSize: String(copy.size),
      done: true,
      resource: await shownObject(store, copy, call.origin),
    },
  };
};

function copyContent(store: Store, call: Call, body: Record<string, unknown>): StoredObject {
  const source = findObject(store, segment(call, 1), segment(call, 3), readNumber(call.query, 'sourceGeneration'));
  checkPreconditions(readPreconditions(call.query, 'ifSource'), source, 'write');
  const request: NewObject = {
    ...newObject(call, segment(call, 6), segment(call, 8)),
    // "If you don't supply a body, the metadata of the source is applied"; with one, only what it says.
    attributes: Object.keys(body).length === 0 ? source.attributes : readAttributes(body),
    componentCount: source.componentCount,
  };
  checkInsert(store, request);
  const path = pin(store, source);
  try {
    const { size, crc32c, md5Hash } = source;
    return insertObject(store, request, { path, size, crc32c, md5Hash });
  } finally {
    rmSync(path, { force: true });
  }
}

/** Another name for the object's bytes, which keeps them while the object itself may go; bytes never change in place. */
function pin(store: Store, object: StoredObject): string {
  const path = store.temporaryPath();
  linkSync(store.contentPath(object), path);
  return path;
}

const MOST_COMPONENTS = 32;

/** Puts up to 32 objects of a bucket together, in the order given. */
export const composeObject: Operation = async (store, call, body) => {
  const bucket = segment(call, 1);
  const sources = readSources(store, bucket, body['sourceObjects']);
  const destination = body['destination'] ?? {};
  if (!isRecord(destination)) throw new ApiError(400, 'invalid', 'Invalid argument: destination is not an object');
  if (body['deleteSourceObjects'] === true) throw notImplemented('GCS', 'objects.compose: deleteSourceObjects');
  const request: NewObject = {
    ...newObject(call, bucket, segment(call, 3)),
    attributes: { contentType: DEFAULT_CONTENT_TYPE, ...readAttributes(destination) },
    componentCount: sources.reduce((sum, source) => sum + (source.componentCount ?? 1), 0),
  };
  checkInsert(store, request);
  const writer = openContentWriter(store.temporaryPath());
  const pins = sources.map((source) => pin(store, source));
  try {
    await writer.append(readAll(pins), 'everything');
    const object = insertObject(store, request, await writer.finish({ md5: false }));
    return { status: 200, body: objectResource(object, call.origin) };
  } finally {
    for (const path of pins) rmSync(path);
    await writer.discard();
  }
};

const generationNumber = z.union([z.number(), z.string()]).optional();
const sourceObjects = z.array(
  z.object({
    name: z.string(),
    generation: generationNumber,
    objectPreconditions: z.object({ ifGenerationMatch: generationNumber }).optional(),
  }),
);

function readSources(store: Store, bucket: string, value: unknown): StoredObject[] {
  const parsed = sourceObjects.safeParse(value);
  if (!parsed.success) throw new ApiError(400, 'invalid', `Invalid sourceObjects: ${z.prettifyError(parsed.error)}`);
  const sources = parsed.data;
  if (sources.length === 0 || sources.length > MOST_COMPONENTS) {
    throw new ApiError(
      400,
      'invalid',
      `The number of source components provided (${sources.length}) is not between 1 and ${MOST_COMPONENTS}.`,
    );
  }
  return sources.map((source) => {
    const { generation } = source;
    const object = findObject(store, bucket, source.name, generation === undefined ? undefined : Number(generation));
    const { objectPreconditions } = source;
    if (objectPreconditions?.ifGenerationMatch !== undefined) {
      const query = new URLSearchParams({ ifGenerationMatch: String(objectPreconditions.ifGenerationMatch) });
      checkPreconditions(readPreconditions(query), object, 'write');
    }
    return object;
  });
}

async function* readAll(paths: string[]): AsyncGenerator<Buffer> {
  for (const path of paths) {
    yield* createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>;
  }
}

function newObject(call: Call, bucket: string, name: string): Omit<NewObject, 'attributes'> {
  checkObjectName(name);
  return {
    bucket,
    name,
    kmsKeyName: call.query.get('destinationKmsKeyName') ?? call.query.get('kmsKeyName') ?? undefined,
    preconditions: readPreconditions(call.query),
    origin: call.origin,
  };
}
