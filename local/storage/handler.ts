import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { ApiError, notImplemented, sendJson, type Handler } from '../http.ts';
import { answerBatch } from './batch.ts';
import { readJson, refuseParameters, type Call, type Reply } from './call.ts';
import { download } from './download.ts';
import { selectFields } from './fields.ts';
import { openSessions, type Sessions } from './resumable.ts';
import { findOperation } from './routes.ts';
import type { Store } from './store.ts';
import { startUpload } from './uploads.ts';

/** Answers the JSON API over `store`. */
export function createHandler(store: Store): Handler {
  const sessions = openSessions(store);
  return async (request, response) => {
    try {
      await answer(store, sessions, request, response);
    } catch (error) {
      // 304 has neither body nor content type; it is a good answer to a read, not a failure.
      if (!(error instanceof ApiError && error.status === 304)) throw error;
      response.writeHead(304).end();
    } finally {
      // What an answer did not need of the request is taken off the connection, so that the client can read the answer.
      request.resume();
    }
  };
}

async function answer(
  store: Store,
  sessions: Sessions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { area, call } = readCall(request.url ?? '/', request.method ?? 'GET', request.headers, originOf(request));
  refuseParameters(call);
  switch (area) {
    case 'batch':
      return answerBatch(request, response, async (part, body) => {
        try {
          const { area, call: inner } = readCall(part.url, part.method, part.headers, call.origin);
          if (area !== 'metadata') throw new ApiError(400, 'invalid', 'A batch holds no uploads or downloads');
          refuseParameters(inner);
          return cut(inner, await findOperation(inner)(store, inner, body));
        } catch (error) {
          return failure(error);
        }
      });
    case 'upload': {
      const reply = await answerUpload(store, sessions, call, request, response);
      return send(call, reply, response);
    }
    case 'metadata': {
      const operation = findOperation(call);
      if (call.query.get('alt') === 'media') {
        if (call.method !== 'GET' || call.path.length !== 4) throw notImplemented('GCS', `alt=media of ${request.url}`);
        return download(store, call, response);
      }
      return send(call, await operation(store, call, await readJson(request)), response);
    }
  }
}

function answerUpload(
  store: Store,
  sessions: Sessions,
  call: Call,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Reply> {
  const [b, , o] = call.path;
  if (b !== 'b' || o !== 'o' || call.path.length !== 3) throw notImplemented('GCS', `${call.method} ${request.url}`);
  const session = call.query.get('upload_id');
  if (session === null && call.method === 'POST') return startUpload(store, sessions, call, request, response);
  if (session === null) throw new ApiError(400, 'required', 'Required parameter: upload_id');
  // Older clients send the pieces with POST.
  if (call.method === 'PUT' || call.method === 'POST') return sessions.resume(session, request, response);
  if (call.method === 'DELETE') return sessions.cancel(session);
  throw notImplemented('GCS', `${call.method} of an upload session`);
}

/** The API's prefixes; without one, as clients ask where STORAGE_EMULATOR_HOST is set, the whole path is the resource's. */
const PREFIX =
  /^\/(?:(?:resumable\/)?(upload)\/storage\/v1|(batch)(?:\/storage\/v1)?|(?:download\/)?storage\/v1)?(?=\/|$)/;

function readCall(
  url: string,
  method: string,
  headers: IncomingHttpHeaders,
  origin: string,
): { area: 'upload' | 'batch' | 'metadata'; call: Call } {
  const { pathname, searchParams } = new URL(url, 'http://localhost');
  const [prefix = '', upload, batch] = PREFIX.exec(pathname) ?? [];
  const rest = pathname.slice(prefix.length).replace(/^\//, '');
  const override = headers['x-http-method-override'];
  return {
    area: upload ? 'upload' : batch ? 'batch' : 'metadata',
    call: {
      method: typeof override === 'string' ? override : method,
      path: rest === '' ? [] : rest.split('/').map(decodeSegment),
      query: searchParams,
      headers,
      origin,
    },
  };
}

function decodeSegment(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ApiError(400, 'invalid', `Invalid path: '${text}' is not percent-encoded UTF-8`);
  }
}

function originOf(request: IncomingMessage): string {
  const scheme = 'encrypted' in request.socket ? 'https' : 'http';
  return `${scheme}://${request.headers.host ?? `127.0.0.1:${request.socket.localPort}`}`;
}

function cut(call: Call, { status, body }: Reply): Reply {
  const fields = call.query.get('fields');
  return body && fields ? { status, body: selectFields(body, fields) } : { status, ...(body && { body }) };
}

function send(call: Call, reply: Reply, response: ServerResponse): void {
  const { status, body } = cut(call, reply);
  if (body) sendJson(response, status, body);
  else response.writeHead(status, status === 204 ? {} : { 'content-length': 0 }).end();
}

function failure(error: unknown): Reply {
  const { status, reason, message } =
    error instanceof ApiError ? error : new ApiError(500, 'internalError', String(error));
  return { status, body: { error: { code: status, message, errors: [{ message, domain: 'global', reason }] } } };
}
