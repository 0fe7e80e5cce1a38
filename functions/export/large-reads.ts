import { Socket } from 'node:net';

/**
 * A plain socket that reads into one large buffer, again and again. Node's own reading makes a new 64 KB buffer for every
 * read; at the rate of a COPY, collecting those costs more than everything that is done with the bytes.
 */

const READ_BYTES = 256 * 1024;

type Take = (chunk: Buffer) => void;

const takers = new WeakMap<object, Take>();

/** For pg's `stream` option. Whoever has not asked for the bytes as they lie gets copies, by 'data', as from any socket. */
export function largeReadSocket(): Socket {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const socket: Socket = new Socket({
    onread: {
      buffer,
      callback: (bytes) => {
        const chunk = buffer.subarray(0, bytes);
        const take = takers.get(socket);
        if (take) take(chunk);
        else socket.emit('data', Buffer.from(chunk));
        return true;
      },
    },
  });
  return socket;
}

/** Gives every read of a large-read socket to `take`, which must be done with the bytes when it returns; or no longer. */
export function takeReads(stream: object, take: Take | undefined): void {
  if (take) takers.set(stream, take);
  else takers.delete(stream);
}
