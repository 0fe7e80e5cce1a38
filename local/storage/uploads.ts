import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError, notImplemented } from '../http.ts';
import { parseJson, readChunks, readJson, segment, type Call, type Reply } from './call.ts';
import { openContentWriter } from './content-writer.ts';
import { needsMd5, readExpectedHashes, readHashHeader } from './hashes.ts';
import { readMultipartUpload } from './multipart.ts';
import { checkObjectName, DEFAULT_CONTENT_TYPE, readAttributes } from './object-attributes.ts';
import { checkInsert, insertObject, type NewObject } from './object-changes.ts';
import { readPreconditions } from './preconditions.ts';
import { objectResource } from './resources.ts';
import type { Sessions } from './resumable.ts';
import type { Store } from './store.ts';

/** `POST /upload/storage/v1/b/BUCKET/o`: the whole object in this request, or the start of a resumable session. */
export async function startUpload(
  store: Store,
  sessions: Sessions,
  call: Call,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Reply> {
  if (call.headers['content-encoding'] !== undefined) throw notImplemented('GCS', 'uploads compressed in transport');
  const type = call.query.get('uploadType') ?? '';
  switch (type) {
    case 'media':
      return uploadMedia(store, call, readChunks(request));
    case 'multipart':
      return uploadMultipart(store, call, readChunks(request));
    case 'resumable': {
      const target = newObject(call, await readJson(request), call.headers['x-upload-content-type']);
      checkInsert(store, target);
      const announced = call.headers['x-upload-content-length'];
      const id = await sessions.start(target, typeof announced === 'string' ? Number(announced) : undefined);
      const query = new URLSearchParams({ uploadType: 'resumable', name: target.name, upload_id: id });
      response.setHeader('location', `${call.origin}/upload/storage/v1/b/${target.bucket}/o?${query.toString()}`);
      response.setHeader('x-guploader-uploadid', id);
      return { status: 200 };
    }
    default:
      throw new ApiError(
        400,
        'invalid',
        `Invalid value for uploadType: '${type}'; expected 'media', 'multipart' or 'resumable'`,
      );
  }
}

function uploadMedia(store: Store, call: Call, chunks: AsyncIterable<Buffer>): Promise<Reply> {
  return receive(store, newObject(call, {}, call.headers['content-type']), chunks);
}

async function uploadMultipart(store: Store, call: Call, chunks: AsyncIterable<Buffer>): Promise<Reply> {
  const [, quoted, plain] = /boundary=(?:"([^"]+)"|'?([^\s;']+))/i.exec(call.headers['content-type'] ?? '') ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) {
    throw new ApiError(400, 'badContent', `No boundary in Content-Type '${call.headers['content-type'] ?? ''}'`);
  }
  const { metadata, contentType, media } = await readMultipartUpload(chunks, boundary);
  return receive(store, newObject(call, parseJson(metadata), contentType), media);
}

async function receive(store: Store, target: NewObject, chunks: AsyncIterable<Buffer>): Promise<Reply> {
  checkInsert(store, target);
  const writer = openContentWriter(store.temporaryPath());
  try {
    await writer.append(chunks, 'everything');
    const content = await writer.finish({ md5: needsMd5(target.expected) });
    return { status: 200, body: objectResource(insertObject(store, target, content), target.origin) };
  } finally {
    await writer.discard();
  }
}

/** What the request says about the object. Throws 400 and 501. */
function newObject(call: Call, body: Record<string, unknown>, contentType: string | string[] | undefined): NewObject {
  const name = call.query.get('name') ?? body['name'];
  if (typeof name !== 'string')
    throw new ApiError(400, 'required', 'Required: the object name, as name= or in the metadata');
  checkObjectName(name);
  const type = Array.isArray(contentType) ? contentType[0] : contentType;
  const encoding = call.query.get('contentEncoding') ?? undefined;
  const attributes = readAttributes(body);
  return {
    bucket: segment(call, 1),
    name,
    attributes: {
      ...attributes,
      contentType: attributes.contentType ?? type ?? DEFAULT_CONTENT_TYPE,
      contentEncoding: attributes.contentEncoding ?? encoding,
    },
    kmsKeyName: call.query.get('kmsKeyName') ?? undefined,
    expected: { ...readExpectedHashes(body), ...readHashHeader(call.headers['x-goog-hash']) },
    preconditions: readPreconditions(call.query),
    origin: call.origin,
  };
}
