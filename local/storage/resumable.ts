import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError } from '../http.ts';
import { readChunks, type Reply } from './call.ts';
import { readContentRange, type ContentRange } from './content-range.ts';
import { openContentWriter, type ContentWriter } from './content-writer.ts';
import { needsMd5, readHashHeader } from './hashes.ts';
import { insertObject, type NewObject } from './object-changes.ts';
import { objectResource } from './resources.ts';
import type { StoredObject } from './state.ts';
import type { Store } from './store.ts';

type Session = {
  target: NewObject;
  size: number | undefined;
  writer: ContentWriter;
  /** The request that is sending, so that the next one can end it and wait until it has. */
  sending: { request: IncomingMessage; ended: Promise<void> } | undefined;
  result: StoredObject | 'cancelled' | undefined;
  lastUsed: number;
};

export type Sessions = {
  /** Opens a session for an object, of `size` bytes if known, and gives its id. */
  start: (target: NewObject, size: number | undefined) => Promise<string>;
  /** A PUT to the session: a chunk, the rest, or the question how far it is. */
  resume: (id: string, request: IncomingMessage, response: ServerResponse) => Promise<Reply>;
  cancel: (id: string) => Promise<Reply>;
};

/** "A resumable session URI expires after one week." */
const EXPIRY_MS = 7 * 24 * 3600 * 1000;
/** Ended sessions still answer with their result; only so many, so that memory stays flat. */
const MOST_ENDED = 10_000;

/** The resumable upload sessions. They live in memory: after a restart they answer 404 and the client starts over. */
export function openSessions(store: Store): Sessions {
  const sessions = new Map<string, Session>();
  const ended: string[] = [];

  function find(id: string): Session {
    const session = sessions.get(id);
    if (!session) throw new ApiError(404, 'notFound', `No such upload session: ${id}; start the upload again`);
    session.lastUsed = Date.now();
    return session;
  }

  async function end(id: string, session: Session, result: Session['result']): Promise<void> {
    session.result = result;
    await session.writer.discard();
    ended.push(id);
    if (ended.length > MOST_ENDED) sessions.delete(ended.shift() ?? '');
  }

  async function expire(): Promise<void> {
    for (const [id, { lastUsed, writer }] of sessions) {
      if (lastUsed > Date.now() - EXPIRY_MS) continue;
      sessions.delete(id);
      await writer.discard();
    }
  }

  async function receive(
    id: string,
    session: Session,
    range: ContentRange,
    request: IncomingMessage,
  ): Promise<StoredObject | undefined> {
    const { writer } = session;
    const total = range.total ?? session.size;
    try {
      if (range.kind === 'bytes') {
        // Bytes that would leave a hole are not taken; the answer says where to go on.
        if (range.first > writer.size()) return undefined;
        const final = range.last === undefined || range.last + 1 === total;
        await writer.append(
          dropFirst(readChunks(request), writer.size() - range.first),
          final ? 'everything' : 'granules',
        );
        if (!final) return undefined;
        checkSize(range, total, writer.size());
      } else if (total === undefined || total !== writer.size()) return undefined;
      const expected = { ...session.target.expected, ...readHashHeader(request.headers['x-goog-hash']) };
      const content = await writer.finish({ md5: needsMd5(expected) });
      const object = insertObject(store, { ...session.target, expected }, content);
      await end(id, session, object);
      return object;
    } catch (error) {
      // Of a connection that broke, what came is kept for the client to go on from; anything else ends the session.
      if (!isBrokenConnection(error)) {
        sessions.delete(id);
        await writer.discard();
      }
      throw error;
    }
  }

  return {
    start: async (target, size) => {
      await expire();
      const id = randomUUID();
      const writer = openContentWriter(store.temporaryPath());
      sessions.set(id, { target, size, writer, sending: undefined, result: undefined, lastUsed: Date.now() });
      return id;
    },

    resume: async (id, request, response) => {
      const session = find(id);
      const range = readContentRange(request.headers['content-range']);
      checkLength(range, session.size, request.headers['content-length']);
      // A client that lost its connection comes back before the old one is known to be dead.
      while (session.sending) {
        session.sending.request.destroy();
        await session.sending.ended;
      }
      if (session.result === undefined) {
        const received = receive(id, session, range, request);
        const ended = received.then(
          () => undefined,
          () => undefined,
        );
        session.sending = { request, ended };
        try {
          await received;
        } finally {
          session.sending = undefined;
        }
      }
      if (session.result === 'cancelled') return { status: 499 };
      if (session.result) return { status: 200, body: objectResource(session.result, session.target.origin) };
      if (session.writer.size() > 0) response.setHeader('range', `bytes=0-${session.writer.size() - 1}`);
      response.setHeader('x-guploader-uploadid', id);
      return { status: 308 };
    },

    cancel: async (id) => {
      const session = find(id);
      while (session.sending) {
        session.sending.request.destroy();
        await session.sending.ended;
      }
      if (session.result === undefined) await end(id, session, 'cancelled');
      // "499 Client Closed Request" is how the service confirms it.
      return { status: 499 };
    },
  };
}

/** Throws 400 where the headers already contradict each other. */
function checkLength(range: ContentRange, size: number | undefined, contentLength: string | undefined): void {
  if (range.total !== undefined && size !== undefined && range.total !== size) {
    throw new ApiError(
      400,
      'invalid',
      `Content-Range says ${range.total} bytes in all, X-Upload-Content-Length ${size}`,
    );
  }
  if (range.kind !== 'bytes' || range.last === undefined || contentLength === undefined) return;
  const announced = range.last - range.first + 1;
  if (Number(contentLength) !== announced) {
    throw new ApiError(400, 'invalid', `Content-Range says ${announced} bytes, Content-Length ${contentLength}`);
  }
}

function checkSize(range: Extract<ContentRange, { kind: 'bytes' }>, total: number | undefined, received: number): void {
  if (total === undefined || total === received) return;
  throw new ApiError(
    400,
    'invalid',
    `Invalid request. There were ${received - range.first} byte(s) in the request body. There should have been ` +
      `${total - range.first} byte(s) (starting at offset ${range.first} and ending at offset ${total - 1}) ` +
      `according to the Content-Range header.`,
  );
}

async function* dropFirst(chunks: AsyncIterable<Buffer>, count: number): AsyncGenerator<Buffer> {
  let left = count;
  for await (const chunk of chunks) {
    if (left < chunk.length) yield left > 0 ? chunk.subarray(left) : chunk;
    left = Math.max(0, left - chunk.length);
  }
}

/** Node's errors for a request whose connection closed, or was closed here, before its end. */
function isBrokenConnection(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'ECONNRESET' || error.code === 'ERR_STREAM_PREMATURE_CLOSE')
  );
}
