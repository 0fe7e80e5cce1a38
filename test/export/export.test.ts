import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import { deleteObject } from '../../functions/cloud/storage.ts';
import { exportRun } from '../../functions/export/index.ts';
import { ExportResultSchema } from '../../functions/export/result.ts';
import { urlSource, type Source } from '../../functions/export/source.ts';
import { markerOf } from '../../functions/ledger/markers.ts';
import { planOf } from '../../functions/ledger/run.ts';
import { parseConfig } from '../../functions/mirror/config.ts';
import { SafeError } from '../../functions/mirror/errors.ts';
import { ManifestSchema, type Manifest } from '../../functions/mirror/plan.ts';
import { testDatabase } from '../postgres.ts';
import { buckets } from './buckets.ts';

const { read, list } = buckets();

const HEAD = 'project: commons-test\nregion: us-central1\nlocation: US\ndataset: d\n';
let runs = 0;

/** An export of its own run, to be started by `attempt`. */
async function open(
  t: TestContext,
  yaml: string,
  sql: string,
  sourceAt = (url: string): Source => urlSource(url, 'exporter'),
) {
  const { url } = await testDatabase(t, sql);
  const runId = `20261122T0300${String(runs++).padStart(2, '0')}Z`;
  const watcher = new pg.Client(url);
  await watcher.connect();
  t.after(() => watcher.end());
  const attempt = (n: number, signal = new AbortController().signal): Promise<void> =>
    exportRun(sourceAt(url), parseConfig(HEAD + yaml, 'mirror.yaml'), { runId, attempt: n }, 'manual', signal);
  return { runId, attempt, watcher };
}

const manifestAt = async (name: string): Promise<Manifest> =>
  ManifestSchema.parse(JSON.parse((await read(name)).toString()));

const TWO_CHUNKS = `
chunks:
  - { name: one, tables: [public.a, public.p] }
  - { name: two, tables: [care.*] }
builder: [public.form]`;
const TABLES = `
  CREATE TABLE a AS SELECT n AS id, 'note ' || n AS note FROM generate_series(1, 3) AS n;
  CREATE TABLE p (id int) PARTITION BY LIST (id);
  CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
  INSERT INTO p VALUES (1), (2), (2);
  CREATE SCHEMA care; CREATE TABLE care.empty (id int NOT NULL); COMMENT ON COLUMN care.empty.id IS 'the key';
  CREATE TABLE form (id int); INSERT INTO form VALUES (7);`;

test('every chunk’s rows, schemas and manifest are in the bucket, the plan and the marker in the ledger', async (t) => {
  const { runId, attempt } = await open(t, TWO_CHUNKS, TABLES);
  await attempt(1);
  const plan = await planOf(runId);
  assert.deepEqual(
    await list(`chunks/${runId}/`),
    ['builder', 'one', 'two'].map((name) => `chunks/${runId}/1/${name}.json`),
  );
  const one = await manifestAt(`chunks/${runId}/1/one.json`);
  assert.deepEqual(
    one.tables.map(({ schema, table, warehouseTable, rows, oversize, parts }) => [
      schema,
      table,
      warehouseTable,
      rows,
      oversize,
      parts.map((part) => `${part.object}: ${part.rows}`).toSorted(),
    ]),
    [
      ['public', 'a', 'a', 3, false, [`data/${runId}/1/a/0-1-0.csv: 3`]],
      ['public', 'p', 'p', 3, false, [`data/${runId}/1/p/0-1-0.csv: 1`, `data/${runId}/1/p/1-1-0.csv: 2`]],
    ],
  );
  assert.equal(
    (await read(`data/${runId}/1/a/0-1-0.csv`)).toString(),
    'id,note\n"1","note 1"\n"2","note 2"\n"3","note 3"\n',
  );
  assert.equal((await read(`data/${runId}/1/care__empty/0-1-0.csv`)).toString(), 'id\n');
  assert.deepEqual(JSON.parse((await read(`data/${runId}/1/care__empty/schema.json`)).toString()), [
    { name: 'id', type: 'INT64', mode: 'REQUIRED', description: 'the key' },
  ]);
  assert.equal(
    (await read(`data/${runId}/1/schema.csv`)).toString().split('\n')[3],
    '"public","p","1","id","integer","true","","p","id","INT64"',
  );
  assert.deepEqual(
    [plan.attempt, plan.shard, plan.chunks.map(({ name }) => name)],
    [1, '20261122', ['one', 'two', 'builder']],
  );
  const marker = await markerOf(runId, 'export', undefined, ExportResultSchema);
  assert.deepEqual([marker?.result.tables, marker?.result.rows], [4, 7]);
  // An attempt that comes once more finds it done.
  await attempt(2);
  assert.equal((await planOf(runId)).attempt, 1);
});

test('an attempt that died after its last manifest is finished by the next one, without a new export', async (t) => {
  const { runId, attempt, watcher } = await open(t, TWO_CHUNKS, TABLES);
  await attempt(1);
  // Only the marker is missing, as after a kill between the two.
  const before = await list(`data/${runId}/`);
  await deleteObject('ledger', `runs/${runId}/done/export.json`);
  await watcher.query('DROP TABLE a');
  await attempt(2);
  assert.deepEqual(await list(`data/${runId}/`), before);
  const marker = await markerOf(runId, 'export', undefined, ExportResultSchema);
  assert.deepEqual([marker?.result.tables, marker?.result.rows], [4, 7]);
});

const SLOW = `CREATE FUNCTION slow(n int) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT n FROM pg_sleep(0.01)';
  CREATE TABLE a AS SELECT 1 AS id; CREATE TABLE b AS SELECT 2 AS id;
  CREATE VIEW v AS SELECT public.slow(n) AS id FROM generate_series(1, 120) AS n;`;
const SLOW_SECOND =
  'source: { type: url, connections: 2 }\nchunks: [{ name: one, tables: [public.a] }, { name: two, tables: [public.v, public.b] }]';

/** Ends the backends that run a statement like `query`, once there are any. */
async function terminate(watcher: pg.Client, query: string): Promise<void> {
  const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE $1`;
  for (let waited = 0; waited < 5000; waited += 10) {
    if (((await watcher.query(sql, [query])).rowCount ?? 0) > 0) return;
    await wait(10);
  }
  throw new Error(`Nobody runs ${query}`);
}

test('a range whose connection broke is exported again as a whole', async (t) => {
  const { runId, attempt, watcher } = await open(t, SLOW_SECOND, SLOW);
  const exporting = attempt(1);
  await terminate(watcher, 'COPY%"public"."v"%');
  await exporting;
  const [view] = (await manifestAt(`chunks/${runId}/1/two.json`)).tables;
  assert.deepEqual([view?.rows, view?.parts.map(({ object }) => object)], [120, [`data/${runId}/1/v/0-2-0.csv`]]);
});

test('a lost snapshot ends the run’s attempt, and what was handed over ends the run', async (t) => {
  const { runId, attempt, watcher } = await open(t, SLOW_SECOND, SLOW);
  const exporting = attempt(1);
  exporting.catch(() => {});
  await until(async () => (await list(`chunks/${runId}/`)).length === 1);
  await terminate(watcher, 'COPY%"public"."v"%').then(() => terminate(watcher, '%'));
  await assert.rejects(exporting, (error) => error instanceof SafeError);
  assert.deepEqual(await list(`chunks/${runId}/`), [`chunks/${runId}/1/one.json`]);
  await assert.rejects(attempt(2), {
    name: 'PermanentError',
    message:
      `Attempt 1 of run ${runId} ended after it had handed over 1 chunk(s), and its snapshot ended with it; ` +
      'parts of two moments must never mix. Next: start a new run: gcloud run jobs execute mirror-export --project=commons-test --region=us-central1',
  });
  assert.deepEqual(await connectionsLeft(watcher), 0);
});

/** As a restored backup is: nothing writes to it, and what it is of is told. */
const asBackup = (url: string, id = 17): Source => ({
  ...urlSource(url, 'exporter'),
  backup: () => ({ id, createdAt: '2026-11-22T02:00:00.000Z' }),
});

test('a backup’s export goes on with a new snapshot where the snapshot is lost', async (t) => {
  const { runId, attempt, watcher } = await open(t, SLOW_SECOND, SLOW, asBackup);
  const exporting = attempt(1);
  await until(async () => (await list(`chunks/${runId}/`)).length === 1);
  const { rowCount } = await watcher.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'exporter' AND datname = current_database()`,
  );
  assert.ok((rowCount ?? 0) >= 2, 'the snapshot and the COPY');
  await exporting;
  const [view] = (await manifestAt(`chunks/${runId}/1/two.json`)).tables;
  assert.deepEqual([view?.rows, view?.parts.length], [120, 1]);
  // The COPY's connection may end before the snapshot's: then one more try goes to the snapshot that is about to be lost.
  assert.match(view?.parts[0]?.object ?? '', new RegExp(`^data/${runId}/1/v/0-[23]-0\\.csv$`, 'u'));
  assert.equal(await connectionsLeft(watcher), 0);
});

test('a later attempt of a backup’s run exports what the earlier one had not handed over', async (t) => {
  const { runId, attempt, watcher } = await open(t, SLOW_SECOND, SLOW, asBackup);
  const stop = new AbortController();
  const exporting = attempt(1, stop.signal);
  exporting.catch(() => {});
  await until(async () => (await list(`chunks/${runId}/`)).length === 1);
  stop.abort(new SafeError('killed'));
  await assert.rejects(exporting, (error) => error instanceof SafeError);
  const first = await manifestAt(`chunks/${runId}/1/one.json`);
  const plan = await planOf(runId);

  await attempt(2);
  assert.deepEqual(await list(`chunks/${runId}/`), [`chunks/${runId}/1/one.json`, `chunks/${runId}/1/two.json`]);
  assert.deepEqual(await manifestAt(`chunks/${runId}/1/one.json`), first);
  const { tables } = await manifestAt(`chunks/${runId}/1/two.json`);
  assert.deepEqual(
    tables.map(({ rows, parts }) => [rows, parts[0]?.object]),
    [
      [120, `data/${runId}/2/v/0-1-0.csv`],
      [1, `data/${runId}/2/b/0-1-0.csv`],
    ],
  );
  assert.deepEqual(await planOf(runId), plan);
  const marker = await markerOf(runId, 'export', undefined, ExportResultSchema);
  assert.deepEqual([marker?.result.tables, marker?.result.rows], [3, 122]);
  assert.equal(await connectionsLeft(watcher), 0);
});

for (const [what, change, difference] of [
  [
    'another catalogue',
    async (watcher: pg.Client) => watcher.query('ALTER TABLE b ADD note text'),
    'public.b has changed',
  ],
  ['another backup', undefined, 'backup 18 instead of 17'],
] as const) {
  test(`a later attempt that finds ${what} mixes nothing`, async (t) => {
    let id = 17;
    const { runId, attempt, watcher } = await open(t, SLOW_SECOND, SLOW, (url) => asBackup(url, id));
    const stop = new AbortController();
    const exporting = attempt(1, stop.signal);
    exporting.catch(() => {});
    await until(async () => (await list(`chunks/${runId}/`)).length === 1);
    stop.abort(new SafeError('killed'));
    await assert.rejects(exporting, (error) => error instanceof SafeError);
    if (change) await change(watcher);
    else id = 18;
    await assert.rejects(attempt(2), {
      name: 'PermanentError',
      message:
        `Attempt 2 of run ${runId} finds another database than attempt 1 has exported from: ${difference}. ` +
        'Next: start a new run: gcloud run jobs execute mirror-export --project=commons-test --region=us-central1',
    });
    assert.deepEqual(await list(`chunks/${runId}/`), [`chunks/${runId}/1/one.json`]);
    assert.equal(await connectionsLeft(watcher), 0);
  });
}

test('an attempt that handed nothing over is repeated with a new snapshot and names of its own', async (t) => {
  const { runId, attempt, watcher } = await open(t, 'chunks: [{ name: c, tables: [public.v, public.a] }]', SLOW);
  const stop = new AbortController();
  const exporting = attempt(1, stop.signal);
  exporting.catch(() => {});
  await until(
    async () =>
      (await watcher.query(`SELECT FROM pg_stat_activity WHERE query LIKE 'COPY%"v"%' AND pid <> pg_backend_pid()`))
        .rowCount === 1,
  );
  stop.abort(new SafeError('lost the lease'));
  await assert.rejects(exporting, (error) => error instanceof SafeError);
  assert.deepEqual(await list(`chunks/${runId}/`), []);
  assert.equal(await connectionsLeft(watcher), 0);
  await attempt(2);
  assert.equal((await planOf(runId)).attempt, 2);
  const { tables } = await manifestAt(`chunks/${runId}/2/c.json`);
  assert.deepEqual(
    tables.map(({ rows, parts }) => [rows, parts[0]?.object]),
    [
      [120, `data/${runId}/2/v/0-1-0.csv`],
      [1, `data/${runId}/2/a/0-1-0.csv`],
    ],
  );
});

test('a range that fails for good ends the others, and is the failure that is told', async (t) => {
  const { runId, attempt, watcher } = await open(
    t,
    'source: { type: url, connections: 2 }\nchunks: [{ name: c, tables: [public.v, public.w] }]',
    `${SLOW} CREATE FUNCTION missing(n int) RETURNS int VOLATILE LANGUAGE plpgsql AS
       'BEGIN PERFORM pg_sleep(0.1); PERFORM * FROM public.nowhere; RETURN n; END';
     CREATE VIEW w AS SELECT public.missing(1) AS id;
     CREATE OR REPLACE VIEW v AS SELECT public.slow(n) AS id, repeat('x', 9000) AS filler FROM generate_series(1, 9000) AS n`,
  );
  const started = performance.now();
  await assert.rejects(attempt(1), {
    name: 'PermanentError',
    message: 'PostgreSQL, exporting public.w: relation "public.nowhere" does not exist (SQLSTATE 42P01)',
  });
  // The other one alone would take a minute and a half.
  assert.ok(performance.now() - started < 60_000);
  assert.deepEqual(await list(`chunks/${runId}/`), []);
  assert.equal(await connectionsLeft(watcher), 0);
});

async function connectionsLeft(watcher: pg.Client): Promise<number> {
  const sql = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'exporter'`;
  await until(async () => (await watcher.query(sql)).rowCount === 0);
  return (await watcher.query(sql)).rowCount ?? -1;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await condition()) && waited < 5000; waited += 10) await wait(10);
}
