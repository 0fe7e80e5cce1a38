import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import pg from 'pg';
import { copyOut } from '../../functions/export/copy-out.ts';

/**
 * What PostgreSQL says in a COPY, canned, and cut into two TCP segments at every byte: a server says such a thing once in a
 * thousand runs. The message formats: PostgreSQL, "Message Formats".
 */

function message(type: string, ...parts: (string | Buffer)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const header = Buffer.alloc(5);
  header.write(type);
  header.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

const AUTHENTICATED = message('R', Buffer.alloc(4));
const READY = message('Z', 'T');
const NOTICE = message('N', 'SNOTICE\0VNOTICE\0C00000\0Mhalf way\0\0');
const ERROR = message('E', 'SERROR\0VERROR\0C22012\0Mdivision by zero\0\0');
const PARAMETER = message('S', 'application_name\0changed\0');
const NOTIFICATION = message('A', Buffer.from([0, 0, 0, 7]), 'channel\0payload\0');
const BEGIN = message('H', Buffer.from([0, 0, 1, 0, 0]));
const HEADER = 'id,note\n';
const ROWS = ['1,"a"\n', '2,"b\nc ""d"""\n', `3,"${'é'.repeat(20)}"\n`, '4,\n'];
const [ROW1, ROW2, ROW3, ROW4] = ROWS.map((row) => message('d', row));
const DONE = Buffer.concat([message('c'), message('C', 'COPY 4\0'), READY]);

const TRANSCRIPT = Buffer.concat(
  [
    BEGIN,
    message('d', HEADER),
    ROW1,
    NOTICE,
    ROW2,
    PARAMETER,
    NOTIFICATION,
    ROW3,
    ROW4,
    DONE,
    // What comes of itself may come at once behind the end.
    NOTIFICATION,
    PARAMETER,
  ].filter((part) => part !== undefined),
);
const FAILED = Buffer.concat(
  [BEGIN, message('d', HEADER), ROW1, NOTICE, ERROR, READY].filter((part) => part !== undefined),
);

/** A server that lets anybody in and answers each query as `answer` says. */
async function fakeServer(t: TestContext, answer: (sql: string, socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(Buffer.concat([AUTHENTICATED, READY]));
      socket.on('data', (data) => {
        if (data.toString('latin1', 0, 1) === 'Q') answer(data.toString('utf8', 5, data.length - 1), socket);
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `postgres://user@127.0.0.1:${(server.address() as AddressInfo).port}/database`;
}

async function connect(t: TestContext, url: string): Promise<{ client: pg.Client; bytesRead: () => number }> {
  const client = new pg.Client(url);
  client.on('error', () => {});
  await client.connect();
  t.after(() => client.connection.stream.destroy());
  const { stream } = client.connection;
  return { client, bytesRead: () => Number(Reflect.get(stream, 'bytesRead')) };
}

/** Writes the pieces one by one, each once the client has read the one before. */
async function write(socket: Socket, pieces: readonly Buffer[], bytesRead: () => number): Promise<void> {
  let expected = bytesRead();
  for (const piece of pieces) {
    socket.write(piece);
    expected += piece.length;
    while (bytesRead() < expected && !socket.destroyed) await new Promise((resolve) => setImmediate(resolve));
  }
}

async function copied(client: pg.Client): Promise<{ text: string; rows: number; count: number }> {
  const copy = copyOut(client, 'COPY');
  let text = '';
  let rows = 0;
  for (;;) {
    const next = await copy.next();
    if (next.done) return { text, rows, count: next.value };
    text += next.value.bytes.toString();
    rows += next.value.rows;
  }
}

const cutAt = (bytes: Buffer, at: number): Buffer[] =>
  [bytes.subarray(0, at), bytes.subarray(at)].filter((b) => b.length > 0);

test('cut anywhere, the rows, the messages between them and what follows arrive as they are', async (t) => {
  let pieces: Buffer[] = [];
  let bytesRead = (): number => 0;
  let said = Promise.resolve();
  const url = await fakeServer(t, (sql, socket) => {
    const answer = sql === 'COPY' ? pieces : [Buffer.concat([message('C', 'SELECT 0\0'), READY])];
    said = said.then(() => write(socket, answer, bytesRead));
  });
  const connection = await connect(t, url);
  const { client } = connection;
  bytesRead = connection.bytesRead;
  const heard = { notices: 0, parameters: 0, notifications: 0 };
  client.on('notice', ({ message: text }) => (heard.notices += text === 'half way' ? 1 : 0));
  client.on('notification', ({ payload }) => (heard.notifications += payload === 'payload' ? 1 : 0));
  client.connection.on('parameterStatus', () => (heard.parameters += 1));

  const cuts = Array.from({ length: TRANSCRIPT.length }, (_, at) => cutAt(TRANSCRIPT, at));
  const single = Array.from(TRANSCRIPT, (byte) => Buffer.from([byte]));
  for (const [i, cut] of [...cuts, single].entries()) {
    pieces = cut;
    const what = `cut at ${i}`;
    assert.deepEqual(await copied(client), { text: HEADER + ROWS.join(''), rows: 5, count: 4 }, what);
    // pg has kept its place among the messages.
    assert.equal((await client.query('OTHER')).command, 'SELECT', what);
    const turns = i + 1;
    assert.deepEqual(heard, { notices: turns, parameters: 2 * turns, notifications: 2 * turns }, what);
  }
});

test('cut anywhere, an error in the middle is thrown', async (t) => {
  const url = await fakeServer(t, (sql, socket) => {
    void write(socket, cutAt(FAILED, Number(sql.split(' ')[1])), bytesRead);
  });
  let bytesRead = (): number => 0;
  for (let at = 0; at < FAILED.length; at++) {
    const connection = await connect(t, url);
    bytesRead = connection.bytesRead;
    await assert.rejects(copyOut(connection.client, `COPY ${at}`).next(), {
      code: '22012',
      message: 'division by zero',
    });
  }
});

test('cut anywhere, a connection that ends in the middle is an error, however whole the last row looked', async (t) => {
  const upToTheTag = TRANSCRIPT.indexOf(message('C', 'COPY 4\0'));
  const url = await fakeServer(t, (sql, socket) => socket.end(TRANSCRIPT.subarray(0, Number(sql.split(' ')[1]))));
  for (let at = 1; at <= upToTheTag; at++) {
    const { client } = await connect(t, url);
    await assert.rejects(copyOut(client, `COPY ${at}`).next(), { message: 'Connection terminated unexpectedly' });
  }
});

test('a COPY without a count is none', async (t) => {
  const url = await fakeServer(t, (_, socket) => {
    socket.write(Buffer.concat([BEGIN, message('c'), message('C', 'COPY\0'), READY]));
  });
  const { client } = await connect(t, url);
  assert.deepEqual(await copied(client), { text: '', rows: 0, count: Number.NaN });
});
