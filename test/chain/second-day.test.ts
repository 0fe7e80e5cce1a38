import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { testDatabase } from '../postgres.ts';
import { mirrorYaml, openHarness, select, slackText, type Harness } from './harness.ts';
import { hold } from './proxy.ts';

/** Runs of two days have a shard each. Kiritimati is 26 hours ahead of GMT+12, so that a run in each is a run on each. */

let harness: Harness;
before(async () => {
  harness = await openHarness();
});
after(() => harness.close());

const CHUNKS = `
chunks: [{ name: all, tables: [public.*] }]
coverage: { total: 0, perTable: 0 }
keepDays: 7`;
const DAY_1 = mirrorYaml(`timeZone: Etc/GMT+12${CHUNKS}`);
const DAY_2 = mirrorYaml(`timeZone: Pacific/Kiritimati${CHUNKS}`);

const SOURCE = `
  CREATE TABLE stays (id int PRIMARY KEY, on_day date);
  INSERT INTO stays VALUES (1, '2026-01-01'), (2, 'infinity');
  CREATE TABLE goes (id int PRIMARY KEY);
  INSERT INTO goes VALUES (7);
  CREATE TABLE changes (id int NOT NULL, retyped int, dropped text, renamed text);
  INSERT INTO changes VALUES (1, 2, 'd', 'r');
  CREATE SCHEMA x;`;

const DAY_MS = 86_400_000;

const fieldsOf = async (id: string): Promise<string[]> => {
  const { schema } = (await harness.table(id)) ?? {};
  const fields = typeof schema === 'object' && 'fields' in schema ? schema.fields : [];
  return fields?.map(({ name, type, mode }) => `${name} ${type} ${mode}`) ?? [];
};

const expirationOf = async (id: string): Promise<number | undefined> => {
  const table = await harness.table(id);
  assert.ok(table, `${id} exists`);
  return table.expirationTime === undefined ? undefined : Number(table.expirationTime);
};

test('the next day moves the views, and only then do the tables that they showed before expire', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  const first = await harness.run(url, DAY_1);
  assert.equal(first.state, 'published', first.reason);
  const day1 = first.shard;

  await select(
    url,
    `INSERT INTO stays VALUES (3, '2026-01-03'); DROP TABLE goes; CREATE TABLE comes (id int); INSERT INTO comes VALUES (9);
     ALTER TABLE changes ALTER retyped TYPE text, DROP dropped, ADD added boolean;
     ALTER TABLE changes RENAME renamed TO "new name"; UPDATE changes SET added = true`,
  );
  const move = hold(harness.services, ({ method, path }) => method === 'PATCH' && path.endsWith('/tables/stays'));
  const begun = await harness.begin(url, DAY_2);
  await move.begun;
  // Every copy is there, and checked; the views are about to move.
  const day2 = (await harness.tables()).find((id) => id.startsWith('comes_'))?.slice('comes_'.length) ?? '';
  assert.ok(day2 > day1, `${day2} is after ${day1}`);
  assert.deepEqual(await harness.query('SELECT id FROM `commons-local.commons.stays` ORDER BY id'), [{ id: 1 }]);
  for (const table of ['stays', 'goes', 'changes', 'commons_mirror_errors']) {
    assert.equal(await expirationOf(`${table}_${day1}`), undefined, table);
  }
  const before = Date.now();
  move.release();
  const second = await begun.ended;
  assert.equal(second.state, 'published', second.reason);
  assert.equal(second.shard, day2);
  await harness.idle();

  // The views of what this run has show it, in its new shape.
  assert.deepEqual(
    await harness.query('SELECT id, CAST(on_day AS STRING) AS on_day FROM `commons-local.commons.stays` ORDER BY id'),
    [
      { id: 1, on_day: '2026-01-01' },
      { id: 3, on_day: '2026-01-03' },
    ],
  );
  assert.deepEqual(await harness.query('SELECT * FROM `commons-local.commons.comes`'), [{ id: 9 }]);
  assert.deepEqual(await harness.query('SELECT * FROM `commons-local.commons.changes`'), [
    { id: 1, retyped: '2', new_name: 'r', added: true },
  ]);
  assert.deepEqual(await fieldsOf(`changes_${day2}`), [
    'id INTEGER REQUIRED',
    'retyped STRING NULLABLE',
    'new_name STRING NULLABLE',
    'added BOOLEAN NULLABLE',
  ]);
  assert.deepEqual(await fieldsOf(`changes_${day1}`), [
    'id INTEGER REQUIRED',
    'retyped INTEGER NULLABLE',
    'dropped STRING NULLABLE',
    'renamed STRING NULLABLE',
  ]);
  // What is gone from the source is still shown, as it was last, and does not expire.
  assert.deepEqual(await harness.query('SELECT * FROM `commons-local.commons.goes`'), [{ id: 7 }]);
  for (const id of [`goes_${day1}`, `stays_${day2}`, `changes_${day2}`, `comes_${day2}`, 'commons_mirror_sli']) {
    assert.equal(await expirationOf(id), undefined, id);
  }
  for (const id of [`stays_${day1}`, `changes_${day1}`, `commons_mirror_errors_${day1}`]) {
    const expiration = (await expirationOf(id)) ?? 0;
    assert.ok(expiration >= before + 7 * DAY_MS && expiration <= Date.now() + 7 * DAY_MS, `${id}: ${expiration}`);
  }
  // What has changed is in the report, and told once; the table that is gone is named with the shard that its view stays on.
  const changes = [
    'public.changes.dropped: gone',
    'public.changes.retyped: integer is now text, STRING in BigQuery',
    'public.changes.renamed is now new name',
    'public.changes.added: new, boolean, BOOL in BigQuery',
    'public.comes: new',
    'public.goes: gone',
  ];
  assert.deepEqual(second.changes.toSorted(), changes.toSorted());
  assert.deepEqual(second.standing, [{ schema: 'public', table: 'goes', warehouseTable: 'goes', shard: day1 }]);
  const told = (await harness.slack()).map(slackText);
  assert.equal(told.length, 1);
  const [message = ''] = told;
  assert.ok(message.includes(`Commons Mirror: export of run ${second.runId} says`), message);
  assert.ok(message.includes(`The source has changed since run ${first.runId}:`), message);
  for (const change of changes) assert.ok(message.includes(change), change);
  assert.ok(message.includes(`The view goes stays on shard ${day1}.`), message);

  // Nothing more has changed: nothing more is told, but the table that is gone stays in the report, until mirror.yaml drops it.
  const idle = await harness.run(url, DAY_2);
  assert.deepEqual([idle.state, idle.changes, idle.standing], ['published', [], second.standing]);
  const without = await harness.run(url, DAY_2.replace('[public.*]', '[public.*], except: [public.goes]'));
  assert.deepEqual([without.state, without.changes, without.standing], ['published', [], []]);
  assert.equal((await harness.slack()).length, 1);

  const [{ n: kept } = {}] = await harness.query(
    `SELECT COUNT(*) AS n FROM \`commons-local.commons.commons_mirror_errors_${day1}\` WHERE run_id = '${first.runId}'`,
  );
  assert.equal(kept, 1);

  // It comes back: now the shard that its view has shown meanwhile expires too; what expires already keeps its date.
  const date = await expirationOf(`stays_${day1}`);
  await select(url, 'CREATE TABLE goes (id int PRIMARY KEY); INSERT INTO goes VALUES (8)');
  const third = await harness.run(url, DAY_2);
  assert.equal(third.state, 'published', third.reason);
  assert.equal(third.shard, day2);
  await harness.idle();
  assert.deepEqual(await harness.query('SELECT * FROM `commons-local.commons.goes`'), [{ id: 8 }]);
  assert.ok((await expirationOf(`goes_${day1}`)) !== undefined);
  assert.equal(await expirationOf(`stays_${day1}`), date);
  for (const id of await harness.tables()) if (id.endsWith(day2)) assert.equal(await expirationOf(id), undefined, id);
  assert.deepEqual(third.changes, ['public.goes: new']);
  assert.equal((await harness.slack()).length, 2);
});
