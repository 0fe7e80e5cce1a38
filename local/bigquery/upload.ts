import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ApiError, readBody, sendJson } from '../http.ts';

/** Starts a load job of an uploaded file; answers the job's resource. */
export type StartUpload = (project: string, job: unknown, path: string) => Promise<unknown>;

/** Media uploads to `jobs`: multipart, and resumable in one or more pieces. Files live in `scratch` until their job has ended. */
export function openUploads(scratch: string, start: StartUpload) {
  const sessions = new Map<string, { project: string; job: unknown; path: string; received: number }>();
  return { handle };

  async function handle(
    request: IncomingMessage,
    response: ServerResponse,
    project: string,
    query: URLSearchParams,
  ): Promise<void> {
    const session = query.get('upload_id');
    if (session !== null) return resume(request, response, session);
    switch (query.get('uploadType')) {
      case 'multipart':
        return multipart(request, response, project);
      case 'resumable':
        return open(request, response, project);
      default:
        throw new ApiError(
          400,
          'invalid',
          `Uploads need uploadType=multipart or resumable, received ${String(query.get('uploadType'))}`,
        );
    }
  }

  async function open(request: IncomingMessage, response: ServerResponse, project: string): Promise<void> {
    const body = await readBody(request);
    const id = randomUUID();
    const path = join(scratch, id);
    await writeFile(path, '');
    sessions.set(id, { project, job: parseJson(body.toString('utf8')), path, received: 0 });
    const own = new URL(request.url ?? '/', `http://${request.headers.host ?? '127.0.0.1'}`);
    own.searchParams.set('upload_id', id);
    response.writeHead(200, { location: own.href, 'x-guploader-uploadid': id, 'content-length': 0 });
    response.end();
  }

  async function resume(request: IncomingMessage, response: ServerResponse, id: string): Promise<void> {
    const session = sessions.get(id);
    if (session === undefined) throw new ApiError(404, 'notFound', `Not found: upload ${id}`);
    const range = /^bytes (?:(\d+)-(\d+|\*)|\*)\/(\d+|\*)$/.exec(request.headers['content-range'] ?? 'bytes 0-*/*');
    if (range === null)
      throw new ApiError(400, 'invalid', `Content-Range is not readable: ${request.headers['content-range']}`);
    const [, from, , total] = range;
    if (from !== undefined) {
      if (Number(from) !== session.received)
        throw new ApiError(400, 'invalid', `Content-Range starts at ${from}, expected ${session.received}`);
      for await (const piece of request as AsyncIterable<Buffer>) {
        await appendFile(session.path, piece);
        session.received += piece.length;
      }
    } else request.resume();
    // An open end means that this was all: the client did not know how much it would be.
    const whole = total === '*' ? range[2] === '*' : session.received >= Number(total);
    if (!whole) {
      const range = session.received === 0 ? {} : { range: `bytes=0-${session.received - 1}` };
      response.writeHead(308, { ...range, 'content-length': 0 });
      response.end();
      return;
    }
    sessions.delete(id);
    sendJson(response, 200, await start(session.project, session.job, session.path));
  }

  async function multipart(request: IncomingMessage, response: ServerResponse, project: string): Promise<void> {
    const boundary = /boundary=(?:"([^"]+)"|([^;]+))/i.exec(request.headers['content-type'] ?? '');
    const mark = boundary?.[1] ?? boundary?.[2];
    if (mark === undefined)
      throw new ApiError(400, 'invalid', 'A multipart upload needs a boundary in its content-type');
    const whole = join(scratch, randomUUID());
    try {
      await pipeline(request, createWriteStream(whole));
      const { job, path } = await splitParts(whole, mark, scratch);
      sendJson(response, 200, await start(project, job, path));
    } finally {
      await rm(whole, { force: true });
    }
  }
}

/** A multipart/related body of two parts: the job, then the file. */
async function splitParts(whole: string, mark: string, scratch: string): Promise<{ job: unknown; path: string }> {
  const body = await readFile(whole);
  const delimiter = Buffer.from(`--${mark}`);
  const second = body.indexOf(delimiter, delimiter.length);
  const last = body.lastIndexOf(delimiter);
  if (!body.subarray(0, delimiter.length).equals(delimiter) || second === -1 || last <= second) {
    throw new ApiError(400, 'invalid', 'A multipart upload needs two parts: the job and the file');
  }
  const job = parseJson(partContent(body.subarray(delimiter.length, second)).toString('utf8'));
  const path = join(scratch, randomUUID());
  await writeFile(path, partContent(body.subarray(second + delimiter.length, last)));
  return { job, path };
}

/** A part without its headers and the line ends around it. */
function partContent(part: Buffer): Buffer {
  const lineEnd = part.includes('\r\n\r\n') ? '\r\n' : '\n';
  const start = part.indexOf(lineEnd + lineEnd);
  return part.subarray(start + 2 * lineEnd.length, part.length - lineEnd.length);
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(400, 'parseError', 'Parse Error: the request body is not JSON');
  }
}
