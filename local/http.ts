import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** Answers one HTTP request whole. A thrown `ApiError` becomes its status and Google's error envelope. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** An answer in the shape that Google's JSON APIs give errors in, and that its clients parse. */
export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.reason = reason;
  }
}

/** What a stand-in says to an operation that it does not have: never a guess, so that nothing looks supported that is not. */
export function notImplemented(service: string, operation: string): ApiError {
  return new ApiError(501, 'notImplemented', `The local ${service} does not implement: ${operation}`);
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json; charset=UTF-8',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

export function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { status, reason, message } =
    error instanceof ApiError
      ? error
      : { status: 500, reason: 'internalError', message: error instanceof Error ? error.message : String(error) };
  sendJson(response, status, { error: { code: status, message, errors: [{ message, domain: 'global', reason }] } });
}

/** The whole request body. Throws 413 beyond `limit` bytes. */
export async function readBody(request: IncomingMessage, limit = 64 * 1024 * 1024): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) throw new ApiError(413, 'uploadTooLarge', `Request body exceeds ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const KEEP_ALIVE_MS = 600_000;

/** A server on loopback. `close` ends what is under way. */
export type Served = { url: string; port: number; close: () => Promise<void> };

/**
 * Serves `handle` on loopback only, with `tls` by https; `port` 0 takes any free one. Rejects with EADDRINUSE when the
 * port is taken.
 */
export async function serve(handle: Handler, port = 0, tls?: { key: string; cert: string }): Promise<Served> {
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    handle(request, response).catch((error: unknown) => sendError(response, error));
  };
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  // Long loads and long polls are answered when they are done, not when Node's default patience ends.
  server.requestTimeout = 0;
  // Google's `bq` does not try again where a connection that it keeps was closed meanwhile, which Node does after 5 s.
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const bound = (server.address() as AddressInfo).port;
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${bound}`,
    port: bound,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}
