import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { largeReadSocket, takeReads } from '../../functions/export/large-reads.ts';

const PIECE_BYTES = 8 * 1024;
const PIECES = 512;

/** Both ends of a connection. */
async function pair(t: TestContext): Promise<{ near: Socket; far: Socket }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = largeReadSocket();
  const connected = once(server, 'connection') as Promise<[Socket]>;
  near.connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [far] = await connected;
  t.after(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return { near, far };
}

/** PostgreSQL's way: 8 KB at a time, each numbered. */
async function sendPieces(far: Socket, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) {
    const piece = Buffer.alloc(PIECE_BYTES);
    piece.writeUInt32BE(n);
    far.write(piece);
    await nextTurn();
  }
}

test('small reads are gathered once a stream is long; every byte arrives, in order', async (t) => {
  const { near, far } = await pair(t);
  const received: Buffer[] = [];
  let earlyReads = 0;
  takeReads(near, (chunk) => {
    received.push(Buffer.from(chunk));
    if (received.length * PIECE_BYTES <= 1024 * 1024) earlyReads += 1;
  });
  const ended = once(near, 'end');
  await sendPieces(far, 0, PIECES);
  far.end();
  await ended;
  const bytes = Buffer.concat(received);
  const numbers = Array.from({ length: bytes.length / PIECE_BYTES }, (_, n) => bytes.readUInt32BE(n * PIECE_BYTES));
  assert.deepEqual(
    numbers,
    Array.from({ length: PIECES }, (_, n) => n),
  );
  assert.ok(
    received.length - earlyReads < PIECES / 4,
    `${received.length - earlyReads} reads behind the first megabyte`,
  );
});

test('a socket that its taker has paused stays so, also behind a small read', async (t) => {
  const { near, far } = await pair(t);
  const first = 300;
  let bytes = 0;
  const [allRead, paused] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  takeReads(near, (chunk) => {
    bytes += chunk.length;
    if (bytes === first * PIECE_BYTES) allRead.resolve();
    if (bytes <= first * PIECE_BYTES) return;
    near.pause();
    paused.resolve();
  });
  const ended = once(near, 'end');
  await sendPieces(far, 0, first);
  await allRead.promise;
  // One piece alone is a small read.
  await sendPieces(far, first, first + 1);
  await paused.promise;
  await sendPieces(far, first + 1, PIECES);
  far.end();
  await sleep(50);
  assert.equal(bytes, (first + 1) * PIECE_BYTES);
  takeReads(near, (chunk) => (bytes += chunk.length));
  near.resume();
  await ended;
  assert.equal(bytes, PIECES * PIECE_BYTES);
});
