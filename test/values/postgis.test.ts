import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client } from 'pg';
import { DECLARED_AS, TYPE_EXAMPLES } from '../../functions/mirror/type-examples.ts';
import { bigQueryType } from '../../functions/mirror/types.ts';
import { findPostgres, startSystemPostgres } from '../system-postgres.ts';
import { LOADING } from './harness.ts';
import { valuesHarness } from './mirrored.ts';
import { openWarehouse } from './warehouse.ts';

/** PostGIS's types, by the real one. */

const programs = findPostgres('postgis-3');
const reason =
  'No PostgreSQL with PostGIS is installed: its types were NOT tested. Next: apt-get install postgresql-postgis';
if (programs === undefined) console.error(`\n!!! SKIPPED: ${reason}\n`);

describe('PostGIS', { skip: programs === undefined && reason }, () => {
  let url = '';
  const ends: (() => Promise<void>)[] = [];
  before(async () => {
    const server = await startSystemPostgres(programs ?? '');
    ends.push(server.stop);
    url = server.url;
    await query('CREATE EXTENSION postgis; CREATE TYPE place AS (id int, at geometry)');
  });
  after(async () => {
    for (const end of ends) await end();
  });

  const query = async (sql: string, values?: unknown[]): Promise<Record<string, string>[]> => {
    const client = new Client(url);
    await client.connect();
    try {
      return (await client.query<Record<string, string>>(sql, values)).rows;
    } finally {
      await client.end();
    }
  };
  const mirror = async (yaml: string) => {
    const harness = await valuesHarness();
    const run = await harness.mirror(url, yaml);
    assert.deepEqual(run.plan.warnings, []);
    /** Ids of the run's jobs. */
    const jobs = async (): Promise<string[]> => {
      const answer = await fetch(`${harness.bigquery}/jobs?allUsers=true&maxResults=1000`);
      const list = (await answer.json()) as { jobs: { jobReference: { jobId: string } }[] };
      return list.jobs
        .map(({ jobReference }) => jobReference.jobId)
        .filter((id) => id.includes(run.runId))
        .toSorted();
    };
    return { runId: run.runId, warehouse: openWarehouse(harness.bigquery, LOADING), jobs };
  };

  for (const [i, { declared, type, values }] of (TYPE_EXAMPLES['PostGIS'] ?? []).entries()) {
    test(`${declared}, every example of docs/types.md`, async () => {
      const table = `example_${i}`;
      const rows = values.map(([literal], id) => `(${id}, ${literal})`).join(', ');
      await query(
        `CREATE TABLE ${table} (id int, v ${DECLARED_AS[declared] ?? declared}); INSERT INTO ${table} VALUES ${rows}`,
      );
      const as = type.kind === 'as geography' ? `\ncolumns: { public.${table}: { as: { v: geography } } }` : '';
      const { runId, warehouse } = await mirror(`chunks: [{ name: all, tables: [public.${table}] }]${as}`);
      const fields = await warehouse.fields(`${table}_${runId}`);
      assert.equal(fields?.[1]?.type, bigQueryType(type).bigquery);
      const found = new Map((await warehouse.rows(`${table}_${runId}`)).map(([id = '', v = '']) => [id, v]));
      const isDivided = values.some(([, becomes]) => typeof becomes !== 'string');
      for (const { raw, failures } of isDivided ? await warehouse.errorRows(`${table}_errors_${runId}`) : []) {
        found.set(raw[0]?.value ?? '', `refused: ${failures.map((failure) => failure.reason).join()}`);
      }
      assert.deepEqual(
        values.map(([literal], id) => [literal, found.get(String(id))]),
        values.map(([literal, becomes]) => [
          literal,
          typeof becomes === 'string' ? becomes : `refused: ${becomes.refused}`,
        ]),
      );
    });
  }

  test('shapes are cast by SQL, never by a load, which would turn clockwise polygons inside out', async () => {
    await query(`CREATE TABLE shapes AS SELECT 1 AS id, 'POLYGON((0 0,0 1,1 1,0 0))'::geography AS shape, 2 AS others`);
    const { runId, warehouse, jobs } = await mirror(
      'chunks: [{ name: all, tables: [public.shapes] }]\ncolumns: { public.shapes: { as: { shape: geography } } }',
    );
    assert.deepEqual(await warehouse.rows(`shapes_${runId}`), [['1', 'POLYGON((0 0, 0 1, 1 1, 0 0))', '2']]);
    assert.deepEqual(
      (await jobs()).map((id) => id.split('_').slice(1, 3).join(' ')),
      ['bad', 'good', 'staging'].map((purpose) => `${purpose} ${runId}`),
    );
  });

  test('PostGIS reads the same coordinates back from what is mirrored, to the last bit', async () => {
    // Bits of a hash as doubles: of every size.
    await query(
      `CREATE TABLE points AS SELECT i AS id, ST_MakePoint(
         ('x' || substr(md5(i::text), 1, 16))::bit(64)::bigint / 9.3e18 * power(10::float8, i % 600 - 300),
         ('x' || substr(md5(i::text), 17))::bit(64)::bigint / 9.3e18 * power(10::float8, i % 24 - 16)) AS at
       FROM generate_series(1, 6000) AS i`,
    );
    const { runId, warehouse } = await mirror('chunks: [{ name: all, tables: [public.points] }]');
    const rows = await warehouse.rows(`points_${runId}`);
    const [same] = await query(
      `SELECT count(*)::text AS rows, count(*) FILTER (WHERE at::text = read.text::geometry::text)::text AS same,
              count(*) FILTER (WHERE read.text LIKE 'POINT(%)')::text AS readable
       FROM points JOIN unnest($1::int[], $2::text[]) AS read(id, text) USING (id)`,
      [rows.map(([id]) => id), rows.map(([, text]) => text)],
    );
    assert.deepEqual(same, { rows: '6000', same: '6000', readable: '6000' });
  });

  test('an older PostGIS, whose EWKT rounds, is mirrored by its text in hexadecimal', async () => {
    // What the older one lacks, taken away.
    await query(
      `CREATE TABLE older AS SELECT 1 AS id, 'POINT(0.12345678901234566 1)'::geometry AS at;
       ALTER FUNCTION st_asewkt(geometry, int) RENAME TO later; ALTER FUNCTION st_asewkt(geography, int) RENAME TO later`,
    );
    const { runId, warehouse } = await mirror('chunks: [{ name: all, tables: [public.older] }]');
    assert.deepEqual(await warehouse.rows(`older_${runId}`), [['1', '01010000005EF64637DD9ABF3F000000000000F03F']]);
  });

  test('as: geography for another type is refused', async () => {
    await query('CREATE TABLE plain (id int, at text)');
    await assert.rejects(
      mirror('chunks: [{ name: all, tables: [public.plain] }]\ncolumns: { public.plain: { as: { at: geography } } }'),
      {
        message:
          'mirror.yaml has a fault:\n' +
          `  line 6: columns."public.plain".as.at: text is no geography; allowed: PostGIS's geometry and geography`,
      },
    );
  });
});
