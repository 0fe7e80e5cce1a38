import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { testDatabase } from '../postgres.ts';
import { LOADING, openValuesHarness, type ValuesHarness } from './harness.ts';

/** `verify:` PostgreSQL's fingerprint of a table against BigQuery's, with error rows and without, and what a difference says. */

let harness: ValuesHarness;
before(async () => {
  harness = await openValuesHarness();
});
after(() => harness.close());

const VERIFY = 'chunks: [{ name: all, tables: ["*.*"] }]\nverify: all';

/** Every covered type, with its odd values, and one row twice. */
const COLUMNS = `id int, small smallint, big bigint, flag bool, amount numeric(12, 4), wide numeric(38, 0), any_number numeric,
  long numeric(60, 50), cash money, day date, at_time time, stamp timestamp, moment timestamptz, raw bytea, words text,
  padded char(5), address inet, span interval, bits bit(3), ratio float8, doc jsonb, list int[]`;
const GOOD = `
  (1, -32768, 9223372036854775807, true, 1.5000, 1, 1.50, 0.5, '-1234.50', '0001-01-01', '23:59:59.999999',
   '9999-12-31 23:59:59.999999', '0001-01-01 00:00:00.000001+00', '\\x00ff', E'a"\\n\\tä\\u0001 ', 'ab', '10.0.0.1/8', '1 day', B'101',
   0.1, '{"a": 1}', '{1,2}'),
  (2, 0, 0, false, 0, 0, 0.00, 0, '0', '1970-01-01', '00:00:00', '1969-12-31 23:59:59.5', '2024-02-29 12:00:00.123+02', '', '', '', '::1',
   '0', B'000', 'NaN', 'null', '{}'),
  (2, 0, 0, false, 0, 0, 0.00, 0, '0', '1970-01-01', '00:00:00', '1969-12-31 23:59:59.5', '2024-02-29 12:00:00.123+02', '', '', '', '::1',
   '0', B'000', 'NaN', 'null', '{}')`;
const SOURCE = `
  CREATE TABLE good (${COLUMNS}); INSERT INTO good VALUES ${GOOD}; INSERT INTO good (id) VALUES (NULL);
  CREATE TABLE mixed (${COLUMNS}); INSERT INTO mixed VALUES ${GOOD};
  INSERT INTO mixed (id, any_number, day, at_time, stamp, moment, amount, words, list) VALUES
    (3, 'NaN', 'infinity', '24:00:00', '0044-03-15 BC', '10000-01-01', 7.1000, 'in a bad row', NULL),
    (4, 1e-50, NULL, '01:00:00.10', '2024-01-01', '2024-01-01 00:00:00.1+00', NULL, NULL, '[0:0]={1}');
  CREATE TABLE nothing (id int, name text);
  CREATE TABLE documents (doc jsonb); INSERT INTO documents VALUES ('1')`;
const NOT_COVERED = ['ratio', 'doc', 'list'];

type Planned = { table: string; verify?: { covered: string[]; notCovered: string[] } };

test('rows that have arrived agree, wherever they are, and columns that are not covered are told', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  const { plan, marker } = await harness.mirror(url, VERIFY);
  const tables = plan.chunks.flatMap((chunk) => chunk.tables) as unknown[] as Planned[];
  const notCovered = Object.fromEntries(tables.map(({ table, verify }) => [table, verify?.notCovered]));
  assert.deepEqual(notCovered, { good: NOT_COVERED, mixed: NOT_COVERED, nothing: [], documents: ['doc'] });
  const verified = marker as { table: string; loaded: number; errors: number; verified?: number }[];
  assert.deepEqual(
    verified
      .map(({ table, loaded, errors, verified }) => [table, loaded, errors, verified])
      .toSorted(([a], [b]) => String(a).localeCompare(String(b))),
    [
      ['documents', 1, 0, undefined],
      ['good', 4, 0, 19],
      ['mixed', 3, 2, 19],
      ['nothing', 0, 0, 2],
    ],
  );
});

/** What BigQuery has is changed, verified, and changed back. */
const CHANGES: [change: string, back: string, what: string][] = [
  [`UPDATE t SET words = 'b' WHERE id = 1`, `UPDATE t SET words = 'a' WHERE id = 1`, 'in words; 3 and 3 rows'],
  [`UPDATE t SET words = '' WHERE id = 3`, `UPDATE t SET words = NULL WHERE id = 3`, 'in words; 3 and 3 rows'],
  [
    `UPDATE t SET moment = TIMESTAMP '2024-01-01 00:00:00.000002+00' WHERE id = 1`,
    `UPDATE t SET moment = TIMESTAMP '2024-01-01 00:00:00.000001+00' WHERE id = 1`,
    'in moment; 3 and 3 rows',
  ],
  [`INSERT INTO t (id) VALUES (4)`, `DELETE FROM t WHERE id = 4`, 'in id, words, moment; 3 and 4 rows'],
  // Every column has the same values as before, in other rows.
  [
    `UPDATE t SET words = IF(words = 'a', 'b', 'a') WHERE words IS NOT NULL`,
    `UPDATE t SET words = IF(words = 'a', 'b', 'a') WHERE words IS NOT NULL`,
    'in which values stand in one row; 3 and 3 rows',
  ],
];

test('a difference is told by its columns, and by no value', async (t) => {
  const { url } = await testDatabase(
    t,
    `CREATE TABLE t (id int, words text, moment timestamptz);
     INSERT INTO t VALUES (1, 'a', '2024-01-01 00:00:00.000001+00'), (2, 'b', NULL), (3, NULL, NULL)`,
  );
  const { runId } = await harness.mirror(url, VERIFY);
  const { planOf } = await import('../../functions/ledger/run.ts');
  const { readJson } = await import('../../functions/cloud/storage.ts');
  const { verified } = await import('../../functions/load/verify.ts');
  const { manifestObject, ManifestSchema } = await import('../../functions/mirror/plan.ts');
  const plan = await planOf(runId);
  const manifest = await readJson('data', manifestObject(runId, 1, 'all'), ManifestSchema);
  const [table, exported] = [plan.chunks[0]?.tables[0], manifest?.value.tables[0]];
  assert.ok(table && exported);
  let generation = 0;
  const verify = (): Promise<number | undefined> => {
    generation += 1;
    return verified({ plan, chunk: 'all', table, exported, generation, deadline: Date.now() + 60_000 }, false);
  };
  for (const [change, back, what] of CHANGES) {
    await query(change.replaceAll(/\bt\b/gu, `${LOADING}.t_${runId}`));
    await assert.rejects(verify(), {
      name: 'PermanentError',
      message:
        `public.t: the fingerprints of PostgreSQL and BigQuery differ ${what}. ` +
        `Next: commons-mirror retry ${runId} load all --redo; if it repeats, start a new run`,
    });
    await query(back.replaceAll(/\bt\b/gu, `${LOADING}.t_${runId}`));
    assert.equal(await verify(), 3);
  }
});

async function query(sql: string): Promise<void> {
  const answer = await fetch(`${harness.bigquery}/queries`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: sql, useLegacySql: false }),
  });
  const { error } = (await answer.json()) as { error?: unknown };
  assert.equal(error, undefined);
}
