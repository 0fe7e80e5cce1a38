import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { crc32c } from '@node-rs/crc32';
import pg from 'pg';
import { exportRange, type RangeResult } from '../../functions/export/export-range.ts';
import { urlSource } from '../../functions/export/source.ts';
import { takeSnapshot } from '../../functions/export/snapshot.ts';
import { parseConfig } from '../../functions/mirror/config.ts';
import type { Part, RangePlan, TablePlan } from '../../functions/mirror/plan.ts';
import { testDatabase } from '../postgres.ts';
import { buckets } from './buckets.ts';

const { read, list } = buckets();

const WHOLE = (table: string): RangePlan => ({ relation: `public.${table}`, from: null, to: null });

/** The plan of the database's one table, and connections to it. */
async function open(t: TestContext, sql: string) {
  const { url } = await testDatabase(t, sql);
  const source = urlSource(url, 'test');
  const opened: pg.Client[] = [];
  const connect = async (): Promise<pg.Client> => {
    const client = await source.connect();
    opened.push(client);
    return client;
  };
  t.after(() => Promise.all(opened.map((client) => client.end())));
  const yaml =
    'project: commons-test\nregion: us-central1\nlocation: US\ndataset: d\nchunks: [{ name: c, tables: [public.*] }]';
  const file = parseConfig(yaml, 'mirror.yaml');
  const run = { runId: '20261122T030000Z', attempt: 1, trigger: 'manual' } as const;
  const { plan } = await takeSnapshot({ ...source, connect }, file, run);
  const table = plan.chunks[0]?.tables[0];
  assert.ok(table);
  return { url, connect, table, nullToken: plan.nullToken };
}

type Opened = Awaited<ReturnType<typeof open>>;
const exported = ({ connect, table, nullToken }: Opened, prefix: string, range: RangePlan, bytes?: number) =>
  exportRange(connect, table, range, nullToken, prefix, undefined, bytes);

/** The parts' contents, each checked against what is said of it, without their header. */
async function bodies(parts: readonly Part[], header: string): Promise<string[]> {
  return Promise.all(
    parts.map(async ({ object, rows, bytes, crc32c: expected }) => {
      const content = await read(object);
      const sum = Buffer.alloc(4);
      sum.writeUInt32BE(crc32c(content));
      assert.deepEqual([content.length, sum.toString('base64')], [bytes, expected]);
      const text = content.toString();
      assert.equal(text.slice(0, header.length), header);
      const body = text.slice(header.length);
      // No value below holds a newline except where it is told apart by its quote.
      assert.equal(body.split('"\n').length - 1, rows, object);
      return body;
    }),
  );
}

const NAMES = Array.from({ length: 5 }, (_, i) => `cut/${i}.csv`);

test('parts are cut between rows, each with its header, its rows and its checksum', async (t) => {
  const opened = await open(
    t,
    `CREATE TABLE t AS SELECT n AS id, E'line\\n' || repeat('é"', n % 900) AS note FROM generate_series(1, 6000) AS n`,
  );
  const result = await exported(opened, 'cut/', WHOLE('t'), 3_000_000);
  assert.deepEqual([result.rows, result.oversize, result.parts.length], [6000, false, 5]);
  assert.deepEqual(
    result.parts.map(({ object }) => object),
    NAMES,
  );
  assert.ok(result.parts.every(({ bytes }) => bytes <= 3_000_000));
  const expected = Array.from({ length: 6000 }, (_, i) => `"${i + 1}","line\n${'é""'.repeat((i + 1) % 900)}"\n`).join(
    '',
  );
  assert.equal((await bodies(result.parts, 'id,note\n')).join(''), expected);
  assert.deepEqual(await list('cut/'), NAMES);
});

test('an empty table is one part with its header alone', async (t) => {
  const opened = await open(t, 'CREATE TABLE t (id int, "größe in cm" int)');
  const result = await exported(opened, 'empty/', WHOLE('t'));
  assert.deepEqual(await bodies(result.parts, 'id,größe_in_cm\n'), ['']);
  assert.deepEqual([result.rows, result.parts.map(({ rows }) => rows)], [0, [0]]);
});

test('NULL is the token, unquoted, and every value is quoted, the token’s own text too', async (t) => {
  const opened = await open(t, `CREATE TABLE t (a text); INSERT INTO t VALUES (NULL), (''), (' x ')`);
  const client = new pg.Client(opened.url);
  await client.connect();
  await client.query('INSERT INTO t VALUES ($1)', [opened.nullToken]);
  await client.end();
  const { parts } = await exported(opened, 'null/', WHOLE('t'));
  const text = (await read(parts[0]?.object ?? '')).toString();
  assert.equal(text, `a\n${opened.nullToken}\n""\n" x "\n"${opened.nullToken}"\n`);
});

test('ctid ranges hold every row once, and the last one what was added since', async (t) => {
  const opened = await open(
    t,
    `CREATE TABLE t AS SELECT n AS id, repeat('x', 500) AS filler FROM generate_series(1, 2000) AS n;
     DELETE FROM t WHERE id % 7 = 0`,
  );
  const writer = new pg.Client(opened.url);
  await writer.connect();
  await writer.query(`INSERT INTO t SELECT n, repeat('y', 500) FROM generate_series(100001, 101000) AS n`);
  await writer.end();
  const bounds: [number | null, number | null][] = [
    [null, 30],
    [30, 60],
    [60, 90],
    [90, null],
  ];
  const ids: number[] = [];
  for (const [i, [from, to]] of bounds.entries()) {
    const { rows, parts } = await exported(opened, `ctid/${i}-`, { relation: 'ONLY public.t', from, to });
    const found = (await bodies(parts, 'id,filler\n')).join('').matchAll(/^"(\d+)"/gmu);
    const before = ids.length;
    ids.push(...Array.from(found, ([, id]) => Number(id)));
    assert.equal(ids.length - before, rows);
    assert.ok(rows > 300, `${rows} rows in range ${i}`);
  }
  const first = Array.from({ length: 2000 }, (_, i) => i + 1).filter((id) => id % 7 !== 0);
  const later = Array.from({ length: 1000 }, (_, i) => 100_001 + i);
  assert.deepEqual(
    ids.toSorted((a, b) => a - b),
    [...first, ...later],
  );
});

const MIXED = `CREATE TABLE t (id int, note text, at timestamptz, yes bool, address inet, padded char(5), tags text[], empty text)`;
const row = (id: number, note: string): string =>
  `(${id}, ${note}, '2026-01-02 03:04:05.6+00', true, '10.0.0.1', 'ab', ARRAY['x', 'y'], NULL)`;

test('of a row beyond 100 MB the large value becomes its length and digest; every other row is as it was', async (t) => {
  const opened = await open(
    t,
    `${MIXED}; INSERT INTO t VALUES ${row(1, `'plain "q"'`)}, ${row(2, `repeat('é', 50500000)`)}, ${row(3, `repeat('z', 2000000)`)}`,
  );
  const small = await open(
    t,
    `${MIXED}; INSERT INTO t VALUES ${row(1, `'plain "q"'`)}, ${row(3, `repeat('z', 2000000)`)}`,
  );
  const result = await exported(opened, 'large/', WHOLE('t'));
  assert.deepEqual(
    [result.rows, result.oversize, result.parts.map(({ object }) => object)],
    [3, true, ['large/r0.csv']],
  );

  const lines = await linesOf(result, opened.nullToken);
  const usual = await linesOf(await exported(small, 'usual/', WHOLE('t')), small.nullToken);
  assert.equal(usual[1], '"1","plain ""q""","2026-01-02 03:04:05.6+00","t","10.0.0.1","ab   ","[""x"",""y""]",NULL');
  assert.deepEqual([lines[0], lines[1], lines[3]], usual);
  const digest = createHash('sha256').update('é'.repeat(50_500_000)).digest('hex');
  assert.equal(
    lines[2],
    `"2","NULL#101000000:${digest}","2026-01-02 03:04:05.6+00","t","10.0.0.1","ab   ","[""x"",""y""]",NULL`,
  );
});

/** The lines of a result's only part, with NULL for its token, which is random. */
async function linesOf({ parts }: RangeResult, nullToken: string): Promise<string[]> {
  assert.equal(parts.length, 1);
  const text = (await read(parts[0]?.object ?? '')).toString();
  return text.trimEnd().replaceAll(nullToken, 'NULL').split('\n');
}

test('a row of many values, none of them large by itself, fits after all', async (t) => {
  const columns = Array.from({ length: 60 }, (_, i) => `c${i} text`);
  const values = columns.map(() => `repeat('"', 900000)`);
  const opened = await open(t, `CREATE TABLE t (${columns.join(', ')}); INSERT INTO t VALUES (${values.join(', ')})`);
  const { rows, oversize, parts } = await exported(opened, 'many/', WHOLE('t'));
  assert.deepEqual([rows, oversize], [1, true]);
  const text = (await read(parts[0]?.object ?? '')).toString();
  assert.equal(text.split('#900000:').length - 1, 60);
});

test('the limit counts NULLs as they are written', async (t) => {
  // 1 MB too small with NULL counted as nothing, too large with its token.
  const columns = Array.from({ length: 1000 }, (_, i) => `n${i} int`);
  const opened = await open(
    t,
    `CREATE TABLE t (note text, ${columns.join(', ')}); INSERT INTO t (note) SELECT repeat('x', 99980000)`,
  );
  const { rows, oversize } = await exported(opened, 'nulls/', WHOLE('t'));
  assert.deepEqual([rows, oversize], [1, true]);
});

test('a table that cannot be read leaves no object', async (t) => {
  const opened = await open(t, `CREATE TABLE t AS SELECT n, repeat('x', 90) AS x FROM generate_series(0, 200000) AS n`);
  const [first, ...others] = opened.table.columns;
  assert.ok(first);
  const broken: TablePlan = { ...opened.table, columns: [{ ...first, expression: '1 / (150000 - n)' }, ...others] };
  await assert.rejects(exported({ ...opened, table: broken }, 'broken/', WHOLE('t')), { code: '22012' });
  assert.deepEqual(await list('broken/'), []);
});
