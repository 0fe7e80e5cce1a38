import assert from 'node:assert/strict';
import { test } from 'node:test';
import { takeSnapshot } from '../../functions/export/snapshot.ts';
import { urlSource } from '../../functions/export/source.ts';
import { parseConfig } from '../../functions/mirror/config.ts';
import type { KeyPlan } from '../../functions/mirror/plan.ts';
import { testDatabase } from '../postgres.ts';

/** Which keys the plan takes over, and why it leaves the others out: by the catalogue of a real PostgreSQL. */

const COLUMNS = Array.from({ length: 17 }, (_, i) => `k${i}`);
const SOURCE = `
  CREATE EXTENSION citext;
  CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
  CREATE SCHEMA care; CREATE SCHEMA away;
  CREATE TABLE care.teams (id int PRIMARY KEY, "Team Name" text UNIQUE);
  CREATE TABLE away.rooms (id int PRIMARY KEY);
  CREATE TABLE pairs (a int, b bigint, PRIMARY KEY (b, a));
  CREATE TABLE wide (${COLUMNS.map((name) => `${name} int`).join(', ')}, CONSTRAINT wide_key PRIMARY KEY (${COLUMNS.join(', ')}));
  CREATE TABLE bytes (id bytea PRIMARY KEY);
  CREATE TABLE secrets (ssn text PRIMARY KEY, id int UNIQUE);
  CREATE TABLE names (id citext PRIMARY KEY);
  CREATE TABLE blinds (id text COLLATE blind PRIMARY KEY);
  CREATE TABLE codes ("Code!" varchar(10) PRIMARY KEY);
  CREATE TABLE amounts (id numeric PRIMARY KEY);
  CREATE TABLE padded (id char(5) PRIMARY KEY);
  CREATE TABLE parted (id int PRIMARY KEY, team int CONSTRAINT to_teams REFERENCES care.teams) PARTITION BY HASH (id);
  CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0);
  CREATE TABLE refers (
    id int,
    team int NOT NULL CONSTRAINT a_team REFERENCES care.teams,
    team_name text CONSTRAINT b_name REFERENCES care.teams ("Team Name"),
    room int CONSTRAINT c_room REFERENCES away.rooms,
    x int, y int NOT NULL,
    CONSTRAINT d_partly FOREIGN KEY (x, y) REFERENCES pairs (a, b),
    CONSTRAINT e_full FOREIGN KEY (x, y) REFERENCES pairs (a, b) MATCH FULL,
    bytes bytea CONSTRAINT f_bytes REFERENCES bytes,
    secret text CONSTRAINT g_secret REFERENCES secrets,
    secret_id int CONSTRAINT h_secret_id REFERENCES secrets (id),
    name citext CONSTRAINT i_name REFERENCES names,
    blind text COLLATE blind CONSTRAINT j_blind REFERENCES blinds,
    code text CONSTRAINT k_code REFERENCES codes,
    pad char(8) CONSTRAINT l_pad REFERENCES padded,
    amount numeric(10, 0) CONSTRAINT m_number REFERENCES amounts,
    other int CONSTRAINT n_parted REFERENCES parted,
    late int,
    boss int UNIQUE CONSTRAINT p_own REFERENCES refers (boss));
  ALTER TABLE refers ADD CONSTRAINT o_unchecked FOREIGN KEY (late) REFERENCES care.teams NOT VALID;`;

async function keysOf(url: string, rest = ''): Promise<Record<string, KeyPlan>> {
  const yaml = `project: commons-test\nregion: us-central1\nlocation: US\ndataset: d
chunks: [{ name: c, tables: ['*.*'], except: ['away.*'] }]\n${rest}`;
  const run = { runId: '20261122T030000Z', attempt: 1, trigger: 'manual' } as const;
  const { plan, client } = await takeSnapshot(urlSource(url, 'test'), parseConfig(yaml, 'mirror.yaml'), run);
  await client.end();
  const tables = plan.chunks.flatMap((chunk) => chunk.tables);
  return Object.fromEntries(tables.map(({ warehouseTable, keys }) => [warehouseTable, keys]));
}

test('keys are taken over where the mirrored values keep them, and left out with the reason where not', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  const { refers, ...others } = await keysOf(url, 'columns: { public.secrets: { except: [ssn] } }');
  const types = 'BIGNUMERIC, BOOL, DATE, DATETIME, INT64, NUMERIC, STRING, TIMESTAMP';
  const only = (...primaryKey: string[]): KeyPlan => ({ primaryKey, foreignKeys: [], leftOut: [] });
  const without = (key: string, reason: string): KeyPlan => ({ ...only(), leftOut: [{ key, reason }] });
  assert.deepEqual(others, {
    care__teams: only('id'),
    pairs: only('b', 'a'),
    wide: without('wide_key', 'it has 17 columns; BigQuery allows 16'),
    bytes: without('bytes_pkey', `public.bytes.id is BYTES; BigQuery's keys may be ${types}`),
    secrets: without('secrets_pkey', 'public.secrets.ssn is not mirrored'),
    names: only('id'),
    blinds: only('id'),
    codes: only('Code_'),
    amounts: only('id'),
    padded: only('id'),
    parted: {
      ...only('id'),
      foreignKeys: [{ key: 'to_teams', columns: ['team'], table: 'care__teams', referenced: ['id'] }],
    },
  });
  assert.deepEqual(refers, {
    primaryKey: [],
    foreignKeys: [
      { key: 'a_team', columns: ['team'], table: 'care__teams', referenced: ['id'] },
      { key: 'e_full', columns: ['x', 'y'], table: 'pairs', referenced: ['a', 'b'] },
      { key: 'k_code', columns: ['code'], table: 'codes', referenced: ['Code_'] },
      { key: 'n_parted', columns: ['other'], table: 'parted', referenced: ['id'] },
    ],
    leftOut: [
      { key: 'b_name', reason: 'it refers to (Team Name), which is not the primary key of care.teams in BigQuery' },
      { key: 'c_room', reason: 'away.rooms is not mirrored' },
      { key: 'd_partly', reason: 'a part of it may be NULL' },
      { key: 'f_bytes', reason: `public.refers.bytes is BYTES; BigQuery's keys may be ${types}` },
      { key: 'g_secret', reason: 'public.secrets.ssn is not mirrored' },
      { key: 'h_secret_id', reason: 'it refers to (id), which is not the primary key of public.secrets in BigQuery' },
      { key: 'i_name', reason: 'equal values of name and id may be written differently' },
      { key: 'j_blind', reason: 'equal values of blind and id may be written differently' },
      { key: 'l_pad', reason: 'equal values of pad and id may be written differently' },
      { key: 'm_number', reason: 'amount is NUMERIC, id is BIGNUMERIC' },
      { key: 'o_unchecked', reason: 'PostgreSQL has not checked it' },
      { key: 'p_own', reason: 'BigQuery allows none within a table' },
    ],
  });
});

test('a key over a period is no key of equal values', async (t) => {
  const { url } = await testDatabase(
    t,
    `CREATE EXTENSION btree_gist;
     CREATE TABLE stays (room int, during daterange, CONSTRAINT stays_key PRIMARY KEY (room, during WITHOUT OVERLAPS));
     CREATE TABLE meals (room int, during daterange,
       CONSTRAINT in_stay FOREIGN KEY (room, PERIOD during) REFERENCES stays (room, PERIOD during));
     CREATE TABLE single_rooms (room int PRIMARY KEY); CREATE TABLE loose (room int REFERENCES single_rooms NOT ENFORCED)`,
  );
  const { stays, meals, loose } = await keysOf(url);
  assert.deepEqual(stays?.primaryKey, ['room', 'during']);
  assert.deepEqual(meals?.leftOut, [{ key: 'in_stay', reason: 'it is over a period' }]);
  assert.deepEqual(loose?.leftOut, [{ key: 'loose_room_fkey', reason: 'PostgreSQL has not checked it' }]);
});

test('of more than 64 foreign keys, the others are named', async (t) => {
  const columns = Array.from({ length: 65 }, (_, i) => `c${String(i).padStart(2, '0')} int REFERENCES target`);
  const { url } = await testDatabase(
    t,
    `CREATE TABLE target (id int PRIMARY KEY); CREATE TABLE refers (${columns.join(', ')})`,
  );
  const { refers } = await keysOf(url);
  assert.equal(refers?.foreignKeys.length, 64);
  assert.deepEqual(refers.leftOut, [{ key: 'refers_c64_fkey', reason: 'BigQuery allows 64 foreign keys in a table' }]);
});

test('a NOT NULL that somebody else keeps is not REQUIRED', async (t) => {
  const { url } = await testDatabase(
    t,
    `CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
     CREATE FOREIGN TABLE listing (id int NOT NULL) SERVER files OPTIONS (filename '/dev/null', format 'csv');
     CREATE TABLE parted (id int NOT NULL) PARTITION BY LIST (id);
     CREATE FOREIGN TABLE parted_1 PARTITION OF parted FOR VALUES IN (1) SERVER files OPTIONS (filename '/dev/null', format 'csv');
     CREATE TABLE held (id int NOT NULL); CREATE TABLE unchecked (id int); ALTER TABLE unchecked ADD NOT NULL id NOT VALID`,
  );
  const yaml = `project: commons-test\nregion: us-central1\nlocation: US\ndataset: d
chunks: [{ name: c, tables: [public.held, public.listing, public.parted, public.unchecked] }]`;
  const run = { runId: '20261122T030000Z', attempt: 1, trigger: 'manual' } as const;
  const { plan, client } = await takeSnapshot(urlSource(url, 'test'), parseConfig(yaml, 'mirror.yaml'), run);
  await client.end();
  const required = plan.chunks.flatMap(({ tables }) =>
    tables.map(({ table, columns }) => [table, columns[0]?.required]),
  );
  assert.deepEqual(required, [
    ['held', true],
    ['listing', false],
    ['parted', false],
    ['unchecked', false],
  ]);
});
