import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { copyOut } from '../../functions/export/copy-out.ts';
import { urlSource, type Source } from '../../functions/export/source.ts';
import { testDatabase } from '../postgres.ts';

/** What a silent connection's fate is, over a line on this machine that can swallow what passes. */

const LIMITS = { silenceMs: 600, probeMs: 600 };

type Line = {
  source: Source;
  /** The way from the database, of every connection that is open now. */
  swallow: () => void;
  /** New connections are taken, and lead nowhere. */
  block: () => void;
  url: string;
};

async function open(t: TestContext, sql = 'SELECT', user?: { name: string; password: string }): Promise<Line> {
  const { url } = await testDatabase(t, sql);
  const target = new URL(url);
  const pairs = new Set<{ near: Socket; far: Socket }>();
  let isBlocked = false;
  const server = createServer((near) => {
    near.on('error', () => {});
    if (isBlocked) return void near.resume();
    const far = connect({ host: target.hostname, port: Number(target.port) });
    far.on('error', () => {});
    const pair = { near, far };
    pairs.add(pair);
    near.pipe(far).pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
    t.after(() => near.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const through = new URL(url);
  through.hostname = '127.0.0.1';
  through.port = String((server.address() as AddressInfo).port);
  if (user) Object.assign(through, { username: user.name, password: user.password });
  return {
    source: urlSource(through.href, 'watched', LIMITS),
    swallow: () => pairs.forEach(({ near, far }) => far.unpipe(near).resume()),
    block: () => (isBlocked = true),
    url,
  };
}

const given = (why: string): RegExp =>
  new RegExp(
    `^PostgreSQL at 127\\.0\\.0\\.1:\\d+/test_\\w+ has sent nothing for 0\\.6 s, and ${why}: it was given up$`,
    'u',
  );

async function rowsOf(client: pg.Client, sql: string, onBlock: () => unknown = () => {}): Promise<number> {
  let rows = 0;
  for await (const block of copyOut(client, sql)) {
    rows += block.rows;
    await onBlock();
  }
  return rows;
}

test('a query that is at work is left alone, however long it is silent', async (t) => {
  const { source } = await open(t);
  const client = await source.connect();
  assert.equal(await rowsOf(client, 'COPY (SELECT 1 FROM pg_sleep(3)) TO STDOUT'), 1);
  await client.end();
});

test('an answer that got lost is noticed: the backend has nothing more to say', async (t) => {
  const { source, swallow } = await open(t);
  const client = await source.connect();
  swallow();
  const begun = Date.now();
  await assert.rejects(client.query('SELECT 1'), { name: 'SafeError', message: given('its backend has sent all') });
  assert(Date.now() - begun < 4000);
});

test('a server that takes no new connection is given up, with the query and with the goodbye', async (t) => {
  const { source, swallow, block } = await open(t);
  const [asking, ending] = [await source.connect(), await source.connect()];
  swallow();
  block();
  await Promise.all([
    assert.rejects(asking.query('SELECT 1'), {
      name: 'SafeError',
      message: given('its server takes no new connection'),
    }),
    // Its end resolves, instead of waiting for ever.
    ending.end(),
  ]);
});

test('a refusal is a sign of life', async (t) => {
  const name = `watched_${process.pid}`;
  const password = 'only-for-this-test';
  const { source, url } = await open(t, `CREATE ROLE ${name} LOGIN PASSWORD '${password}' CONNECTION LIMIT 1`, {
    name,
    password,
  });
  t.after(async () => {
    const admin = new pg.Client(url);
    await admin.connect();
    await admin.query(`DROP ROLE ${name}`);
    await admin.end();
  });
  const client = await source.connect();
  assert.equal(await rowsOf(client, 'COPY (SELECT 1 FROM pg_sleep(3)) TO STDOUT'), 1);
  await client.end();
});

test('a reader that takes its time is not taken for a silent database', async (t) => {
  const { source } = await open(t);
  const client = await source.connect();
  const sql = `COPY (SELECT repeat('x', 100000) FROM generate_series(1, 300)) TO STDOUT`;
  let pauses = 0;
  const rows = await rowsOf(client, sql, async () => pauses++ < 2 && sleep(2000));
  assert.equal(rows, 300);
  await client.end();
});
