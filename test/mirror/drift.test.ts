import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { Client } from 'pg';
import { takeSnapshot } from '../../functions/export/snapshot.ts';
import { urlSource } from '../../functions/export/source.ts';
import { parseConfig } from '../../functions/mirror/config.ts';
import { driftSince, driftText, EarlierPlanSchema, type Drift } from '../../functions/mirror/drift.ts';
import type { Plan } from '../../functions/mirror/plan.ts';
import { testDatabase } from '../postgres.ts';

/** What two plans of one database tell of what was done to it in between. */

const HEAD = 'project: commons-test\nregion: us-central1\nlocation: US\ndataset: d\n';
const ALL = 'chunks: [{ name: c, tables: ["*.*"] }]';

async function planOf(url: string, yaml: string, runId: string): Promise<Plan> {
  const run = { runId, attempt: 1, trigger: 'manual' } as const;
  const { plan, client } = await takeSnapshot(urlSource(url, 'test'), parseConfig(HEAD + yaml, 'mirror.yaml'), run);
  await client.end();
  return plan;
}

async function drift(t: TestContext, sql: string, change: string, yaml = ALL, after = yaml): Promise<Drift> {
  const { url } = await testDatabase(t, sql);
  const before = await planOf(url, yaml, '20261121T030000Z');
  const client = new Client(url);
  await client.connect();
  await client.query(change);
  await client.end();
  const now = await planOf(url, after, '20261122T030000Z');
  return driftSince(EarlierPlanSchema.parse(JSON.parse(JSON.stringify(before))), now);
}

test('nothing has changed', async (t) => {
  const found = await drift(t, 'CREATE TABLE t (id int, name text)', 'INSERT INTO t VALUES (1)');
  assert.deepEqual(found, { since: '20261121T030000Z', changes: [], standing: [] });
});

test('columns that came, went, and changed type or name', async (t) => {
  const { changes } = await drift(
    t,
    'CREATE TABLE t (id int, name text, amount numeric(10, 2), gone date, swapped int)',
    `ALTER TABLE t ADD fresh jsonb, DROP gone, ALTER id TYPE bigint, ALTER amount TYPE numeric(50, 2);
     ALTER TABLE t RENAME name TO full_name; ALTER TABLE t DROP swapped; ALTER TABLE t ADD swapped text`,
  );
  assert.deepEqual(changes, [
    'public.t.id: integer is now bigint, INT64 in BigQuery',
    'public.t.name is now full_name',
    'public.t.amount: numeric(10,2) is now numeric(50,2), STRING in BigQuery',
    'public.t.gone: gone',
    'public.t.swapped: gone',
    'public.t.fresh: new, jsonb, JSON in BigQuery',
    'public.t.swapped: new, text, STRING in BigQuery',
  ]);
});

test('where mirror.yaml lists the columns, a new one stays out and is named', async (t) => {
  const only = `${ALL}\ncolumns: { public.t: { only: [id] } }`;
  const { changes } = await drift(t, 'CREATE TABLE t (id int, secret text)', 'ALTER TABLE t ADD fresh text', only);
  assert.deepEqual(changes, ['public.t.fresh: new, and left out until mirror.yaml lists it']);
});

test('what mirror.yaml itself takes in or leaves out', async (t) => {
  const source = 'CREATE TABLE t (id int, secret text, name text); CREATE TABLE u (id int)';
  const before = `${ALL}\ncolumns: { public.t: { except: [secret] } }`;
  const after = `chunks: [{ name: c, tables: ["*.*"], except: [public.u] }]\ncolumns: { public.t: { except: [name] } }`;
  assert.deepEqual(await drift(t, source, '', before, after), {
    since: '20261121T030000Z',
    changes: [
      'public.t.name: left out by mirror.yaml now',
      'public.t.secret: mirrored now, text, STRING in BigQuery',
      'public.u: left out by mirror.yaml now',
    ],
    standing: [],
  });
});

test('tables that came, went and changed their name, and views that stay on what is gone', async (t) => {
  const found = await drift(
    t,
    'CREATE TABLE old (id int); CREATE TABLE gone (id int); CREATE TABLE kept (id int); CREATE TABLE again (id int)',
    `ALTER TABLE old RENAME TO "new name"; ALTER TABLE "new name" ADD more int; DROP TABLE gone; CREATE TABLE fresh (id int);
     DROP TABLE again; CREATE TABLE again (id text)`,
  );
  assert.deepEqual(found.changes, [
    'public.old is now public."new name"',
    'public."new name".more: new, integer, INT64 in BigQuery',
    'public.again.id: integer is now text, STRING in BigQuery',
    'public.fresh: new',
    'public.gone: gone',
  ]);
  const standing = ['gone', 'old'].map((table) => ({
    schema: 'public',
    table,
    warehouseTable: table,
    shard: '20261121',
  }));
  assert.deepEqual(found.standing, standing);
  assert.equal(
    driftText({ ...found, changes: found.changes.slice(-1), standing: standing.slice(0, 1) }),
    'The source has changed since run 20261121T030000Z:\npublic.gone: gone\nThe view gone stays on shard 20261121.',
  );
  const many = Array.from({ length: 32 }, (_, i) => `change ${i}`);
  assert.match(driftText({ ...found, changes: many }), /\nchange 29\nand 2 more\nThe view gone/u);
});
