import { Socket } from 'node:net';

/**
 * A plain socket that reads into one large buffer, again and again. Node's own reading makes a new 64 KB buffer for every
 * read; at the rate of a COPY, collecting those costs more than everything that is done with the bytes.
 *
 * PostgreSQL sends 8 KB at a time, and a reader that is woken by each spends more on waking up than on reading, as does
 * PostgreSQL on waking it. So after a read that left room in the buffer the socket rests, while the kernel gathers what
 * comes. Where the network or the server is what limits, nothing is lost by it; where the reader is, its reads fill the
 * buffer, and it never rests.
 */

/** What comes in the time of a rest at 128 MB/s, which is more than PostgreSQL formats on one processor core of today. */
const READ_BYTES = 256 * 1024;
const REST_MS = 2;
/** A short COPY ends before resting pays. */
const BYTES_BEFORE_REST = 1024 * 1024;

type Take = (chunk: Buffer) => void;

const takers = new WeakMap<object, { take: Take; bytes: number }>();

/** For pg's `stream` option. Whoever has not asked for the bytes as they lie gets copies, by 'data', as from any socket. */
export function largeReadSocket(): Socket {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  let rest: NodeJS.Timeout | undefined;
  const socket: Socket = new Socket({
    onread: {
      buffer,
      callback: (bytes) => {
        // Somebody has resumed the socket before its rest was over.
        clearTimeout(rest);
        const chunk = buffer.subarray(0, bytes);
        const taker = takers.get(socket);
        if (!taker) {
          socket.emit('data', Buffer.from(chunk));
          return true;
        }
        taker.bytes += bytes;
        taker.take(chunk);
        // One that its taker has paused is the taker's to resume.
        if (bytes < READ_BYTES && taker.bytes > BYTES_BEFORE_REST && !socket.isPaused()) {
          socket.pause();
          rest = setTimeout(() => socket.resume(), REST_MS);
        }
        return true;
      },
    },
  });
  return socket;
}

/** Gives every read of a large-read socket to `take`, which must be done with the bytes when it returns; or no longer. */
export function takeReads(stream: object, take: Take | undefined): void {
  if (take) takers.set(stream, { take, bytes: 0 });
  else takers.delete(stream);
}
