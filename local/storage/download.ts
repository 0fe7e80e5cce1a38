import type { ServerResponse } from 'node:http';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { ApiError } from '../http.ts';
import { segment, type Call } from './call.ts';
import { DEFAULT_CONTENT_TYPE } from './object-attributes.ts';
import { findObject } from './object-changes.ts';
import { withMd5 } from './md5.ts';
import { checkPreconditions, readNumber, readPreconditions } from './preconditions.ts';
import { objectEtag } from './resources.ts';
import type { StoredObject } from './state.ts';
import type { Store } from './store.ts';

/** Sends an object's bytes, all or the range asked for. Throws 404, 412, 416, and 304 for an unchanged one. */
export async function download(store: Store, call: Call, response: ServerResponse): Promise<void> {
  const object = findObject(store, segment(call, 1), segment(call, 3), readNumber(call.query, 'generation'));
  checkPreconditions(readPreconditions(call.query), object, 'read');
  const { contentEncoding, cacheControl } = object.attributes;
  // Decompressive transcoding: who does not take gzip gets such an object unpacked, and never a range of it.
  const unpack =
    contentEncoding === 'gzip' &&
    !cacheControl?.includes('no-transform') &&
    !/\bgzip\b/.test(call.headers['accept-encoding'] ?? '');
  const range = unpack ? undefined : readRange(call.headers.range, object.size, response);
  const file = await open(store.contentPath(object));
  const hashed = await withMd5(store, object);
  response.writeHead(range ? 206 : 200, {
    ...objectHeaders(hashed),
    ...(contentEncoding !== undefined && !unpack && { 'content-encoding': contentEncoding }),
    ...(!unpack && {
      'accept-ranges': 'bytes',
      'content-length': range ? range.last - range.first + 1 : object.size,
    }),
    ...(range && { 'content-range': `bytes ${range.first}-${range.last}/${object.size}` }),
  });
  const bytes = file.createReadStream({
    highWaterMark: 1024 * 1024,
    ...(range && { start: range.first, end: range.last }),
  });
  await (unpack ? pipeline(bytes, createGunzip(), response) : pipeline(bytes, response));
}

function objectHeaders(object: StoredObject): Record<string, string> {
  const { contentType, contentEncoding, contentDisposition, contentLanguage, cacheControl, storageClass } =
    object.attributes;
  const hashes = [`crc32c=${object.crc32c}`, ...(object.md5Hash ? [`md5=${object.md5Hash}`] : [])];
  return {
    'content-type': contentType ?? DEFAULT_CONTENT_TYPE,
    'cache-control': cacheControl ?? 'no-cache, no-store, max-age=0, must-revalidate',
    ...(contentDisposition !== undefined && { 'content-disposition': contentDisposition }),
    ...(contentLanguage !== undefined && { 'content-language': contentLanguage }),
    etag: objectEtag(object),
    'last-modified': new Date(object.updated).toUTCString(),
    'x-goog-generation': String(object.generation),
    'x-goog-metageneration': String(object.metageneration),
    'x-goog-hash': hashes.join(','),
    'x-goog-storage-class': storageClass ?? 'STANDARD',
    // Clients check the hash of what they receive only if this says that it is what was stored.
    'x-goog-stored-content-encoding': contentEncoding ?? 'identity',
    'x-goog-stored-content-length': String(object.size),
    ...(object.componentCount && { 'x-goog-component-count': String(object.componentCount) }),
  };
}

/** The one range of bytes asked for; several, or what is no range, are ignored as HTTP allows. Throws 416. */
function readRange(
  header: string | undefined,
  size: number,
  response: ServerResponse,
): { first: number; last: number } | undefined {
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (from === '' && to === '') return undefined;
  if (from !== '' && to !== '' && Number(to) < Number(from)) return undefined;
  const first = from === '' ? Math.max(0, size - Number(to)) : Number(from);
  const last = from === '' || to === '' ? size - 1 : Math.min(size - 1, Number(to));
  if (first <= last) return { first, last };
  response.setHeader('content-range', `bytes */${size}`);
  throw new ApiError(
    416,
    'requestedRangeNotSatisfiable',
    `The requested range ${header ?? ''} cannot be satisfied: the object has ${size} bytes`,
  );
}
