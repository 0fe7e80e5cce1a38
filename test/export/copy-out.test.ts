import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import { copyOut, OversizeRow } from '../../functions/export/copy-out.ts';
import { testDatabase } from '../postgres.ts';

type CopyData = { chunk: Buffer };

async function connect(t: TestContext, url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  // An abandoned COPY ends its connection.
  client.on('error', () => {});
  t.after(() => client.end());
  await client.connect();
  return client;
}

const database = async (t: TestContext, sql?: string): Promise<pg.Client> =>
  connect(t, (await testDatabase(t, sql)).url);

type Copied = { bytes: Buffer; rows: number; blocks: number; count: number };

async function copied(client: pg.Client, sql: string): Promise<Copied> {
  const blocks: Buffer[] = [];
  let rows = 0;
  const copy = copyOut(client, sql);
  for (;;) {
    const next = await copy.next();
    if (next.done) return { bytes: Buffer.concat(blocks), rows, blocks: blocks.length, count: next.value };
    blocks.push(Buffer.from(next.value.bytes));
    rows += next.value.rows;
  }
}

/** What pg's own parser reads of the same COPY. */
async function read(client: pg.Client, sql: string): Promise<{ bytes: Buffer; rows: number }> {
  const messages: Buffer[] = [];
  const listen = ({ chunk }: CopyData): void => void messages.push(Buffer.from(chunk));
  client.connection.on('copyData', listen);
  await client.query(sql);
  client.connection.off('copyData', listen);
  return { bytes: Buffer.concat(messages), rows: messages.length };
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

const COPIES: [what: string, query: string, count: number][] = [
  ['many rows over several blocks', `SELECT n, md5(n::text), 'é"' || n FROM generate_series(1, 60000) AS n`, 60_000],
  ['newlines, quotes, commas and NULLs', `VALUES (1, E'a\\nb,"c"\\r\\n'), (2, NULL), (3, ''), (4, 'N')`, 4],
  ['no rows', 'SELECT 1 AS a, 2 AS "größe" WHERE false', 0],
  ['one row', 'SELECT 1 AS a', 1],
  ['rows of 3 MB between small ones', `SELECT n, repeat('é', n % 3 * 750000) FROM generate_series(1, 7) AS n`, 7],
  ['a row of 30 MB', `SELECT n, repeat('x', CASE n WHEN 2 THEN 30000000 END) FROM generate_series(1, 3) AS n`, 3],
  ['a row of exactly a block', `SELECT repeat('x', 1024 * 1024 - 3) AS a FROM generate_series(1, 3)`, 3],
  ['a row of a block and a byte', `SELECT repeat('x', 1024 * 1024 - 2) AS a FROM generate_series(1, 3)`, 3],
];

test('the bytes are those that pg itself reads, in whole rows, and the count is COPY’s own', async (t) => {
  const client = await database(t);
  // One connection for all: every COPY leaves it as it was.
  for (const [what, query, count] of COPIES) {
    await t.test(what, async () => {
      const sql = `COPY (${query}) TO STDOUT WITH (FORMAT csv, HEADER true, NULL 'N', FORCE_QUOTE *)`;
      const expected = await read(client, sql);
      const found = await copied(client, sql);
      assert.equal(sha256(found.bytes), sha256(expected.bytes));
      assert.equal(found.bytes.length, expected.bytes.length);
      assert.deepEqual([found.rows, found.count], [expected.rows, count]);
      assert.equal(found.rows, count + 1);
    });
  }
});

test('each block ends with a row’s end', async (t) => {
  const client = await database(t);
  const copy = copyOut(client, `COPY (SELECT repeat('x', n % 2000) FROM generate_series(1, 3000) AS n) TO STDOUT CSV`);
  let blocks = 0;
  for await (const { bytes, rows } of copy) {
    blocks += 1;
    assert.equal(bytes.at(-1), 0x0a);
    assert.equal(bytes.toString().split('\n').length - 1, rows);
    assert.ok(bytes.length <= 1024 * 1024);
  }
  assert.equal(blocks, 3);
});

const TALKING = `
  CREATE FUNCTION notice(n int) RETURNS int VOLATILE LANGUAGE plpgsql AS $$
    BEGIN RAISE NOTICE 'row %: %', n, repeat('x', n % 700); RETURN n; END $$;
  CREATE FUNCTION parameter(n int) RETURNS text VOLATILE LANGUAGE sql AS $$
    SELECT set_config('application_name', 'row ' || n, false) $$;
  CREATE FUNCTION notify(n int) RETURNS int VOLATILE LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_notify('rows', n::text); RETURN n; END $$;`;

test('notices in the middle reach pg, and the rows are as without them', async (t) => {
  const client = await database(t, TALKING);
  const notices: string[] = [];
  client.on('notice', ({ message }) => notices.push(message ?? ''));
  const found = await copied(client, 'COPY (SELECT notice(n) FROM generate_series(1, 20000) AS n) TO STDOUT');
  const numbers = Array.from({ length: 20_000 }, (_, i) => i + 1);
  assert.equal(found.bytes.toString(), numbers.map((n) => `${n}\n`).join(''));
  assert.deepEqual(
    notices,
    numbers.map((n) => `row ${n}: ${'x'.repeat(n % 700)}`),
  );
});

test('changed parameters in the middle reach pg, and the rows are as without them', async (t) => {
  const client = await database(t, TALKING);
  let changes = 0;
  client.connection.on('parameterStatus', () => (changes += 1));
  const found = await copied(client, 'COPY (SELECT parameter(n) FROM generate_series(1, 5000) AS n) TO STDOUT');
  assert.equal(found.bytes.toString(), Array.from({ length: 5000 }, (_, i) => `row ${i + 1}\n`).join(''));
  // Since PostgreSQL 14 a change is told once, behind the last row; transcripts below have it among the rows.
  assert.equal(changes, 1);
  assert.deepEqual((await client.query('SHOW application_name')).rows, [{ application_name: 'row 5000' }]);
});

test('a notification that comes with the end of the COPY reaches pg', async (t) => {
  const client = await database(t, TALKING);
  await client.query('LISTEN rows');
  const heard: string[] = [];
  client.on('notification', ({ payload }) => heard.push(payload ?? ''));
  const found = await copied(client, 'COPY (SELECT notify(n) FROM generate_series(1, 300) AS n) TO STDOUT');
  await client.query('SELECT 1');
  assert.equal(found.count, 300);
  assert.equal(heard.length, 300);
});

test('an error in the middle is thrown after the rows before it, and the connection is given up', async (t) => {
  const client = await database(t);
  const copy = copyOut(client, 'COPY (SELECT n, 1 / (n - 200000) FROM generate_series(1, 300000) AS n) TO STDOUT');
  let rows = 0;
  await assert.rejects(
    async () => {
      for await (const block of copy) rows += block.rows;
    },
    { name: 'error', code: '22012', message: 'division by zero' },
  );
  assert.ok(rows > 100_000 && rows < 200_000, `${rows} rows`);
  await assert.rejects(client.query('SELECT 1'), /not queryable|terminated/u);
});

test('an error before the first row is thrown', async (t) => {
  const client = await database(t);
  await assert.rejects(copied(client, 'COPY (SELECT 1 FROM missing) TO STDOUT'), { code: '42P01' });
});

test('a row of exactly 100 MB passes', async (t) => {
  const client = await database(t);
  const found = await copied(
    client,
    `COPY (SELECT repeat('x', 100000000 - 3)) TO STDOUT WITH (FORMAT csv, FORCE_QUOTE *)`,
  );
  assert.deepEqual([found.bytes.length, found.rows, found.count], [100_000_000, 1, 1]);
  assert.deepEqual([found.bytes.indexOf('"x'), found.bytes.lastIndexOf('x"\n')], [0, 100_000_000 - 3]);
});

test('a row beyond 100 MB ends the COPY, after the rows before it', async (t) => {
  const client = await database(t);
  const copy = copyOut(
    client,
    `COPY (SELECT n, repeat('x', CASE n WHEN 3 THEN 100000000 END) FROM generate_series(1, 5) AS n) TO STDOUT CSV`,
  );
  assert.deepEqual((await copy.next()).value, { bytes: Buffer.from('1,\n2,\n'), rows: 2 });
  const error = await copy.next().catch((reason: unknown) => reason);
  assert.ok(error instanceof OversizeRow);
  assert.equal(error.message, "A row of 100000003 bytes exceeds BigQuery's limit of 100000000 bytes");
});

test('a terminated backend is an error, not an end', async (t) => {
  const { url } = await testDatabase(t);
  const [client, other] = await Promise.all([connect(t, url), connect(t, url)]);
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const copy = copyOut(client, `COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000000)) TO STDOUT`);
  await copy.next();
  await other.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]);
  await assert.rejects(async () => {
    for await (const _ of copy);
  }, /terminating connection due to administrator command|Connection terminated unexpectedly|ECONNRESET/u);
});

test('a connection that is already dead is an error', async (t) => {
  const client = await database(t);
  await client.end();
  await assert.rejects(copied(client, 'COPY (SELECT 1) TO STDOUT'), {
    message: 'Client was closed and is not queryable',
  });
});

test('a COPY that nobody reads to its end takes its backend with it', async (t) => {
  const { url } = await testDatabase(t);
  const [client, other] = await Promise.all([connect(t, url), connect(t, url)]);
  for await (const _ of copyOut(client, `COPY (SELECT repeat('x', 1000) FROM generate_series(1, 9000000)) TO STDOUT`)) {
    break;
  }
  const running = `SELECT count(*)::int FROM pg_stat_activity WHERE query LIKE 'COPY%' AND pid <> pg_backend_pid()
    AND datname = current_database()`;
  for (let waited = 0; waited < 5000 && (await other.query(running)).rows[0].count > 0; waited += 20) await wait(20);
  assert.deepEqual((await other.query(running)).rows, [{ count: 0 }]);
});

test('a slow reader holds PostgreSQL back: a few blocks are ahead, never the table', async (t) => {
  const client = await database(t);
  const { stream } = client.connection;
  const bytesRead = (): number => Number(Reflect.get(stream, 'bytesRead'));
  const before = bytesRead();
  const copy = copyOut(client, `COPY (SELECT repeat('x', 1000) FROM generate_series(1, 60000)) TO STDOUT`);
  let taken = 0;
  for await (const { bytes } of copy) {
    taken += bytes.length;
    if (taken < 20_000_000) await wait(10);
    const ahead = bytesRead() - before - taken;
    assert.ok(ahead < 4 * 1024 * 1024, `${ahead} bytes ahead`);
  }
  assert.equal(taken, 60_000 * 1001);
});
