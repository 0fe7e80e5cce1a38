import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { rm } from 'node:fs/promises';
import { startBigQuery, type TestBigQuery } from './bigquery-server.ts';

/** A copy shares its rows with the table that it is of: whatever then happens to one must not show in the other. */

async function open(t: TestContext): Promise<TestBigQuery> {
  const bigquery = await startBigQuery();
  t.after(async () => {
    await bigquery.stop().catch(() => undefined);
    await rm(bigquery.folder, { recursive: true, force: true });
  });
  for (const dataset of ['d', 'other']) {
    await bigquery.request('POST', '/datasets', { datasetReference: { datasetId: dataset } });
  }
  await query(bigquery, `CREATE TABLE d.source (id INT64 NOT NULL, name STRING)`);
  await query(bigquery, `INSERT INTO d.source (id, name) VALUES (1, 'one'), (2, 'two')`);
  return bigquery;
}

const reference = (name: string) => {
  const [datasetId, tableId] = name.split('.');
  return { projectId: 'p', datasetId, tableId };
};

async function copy(bigquery: TestBigQuery, source: string, to: string): Promise<Record<string, string> | undefined> {
  const tables = { sourceTable: reference(source), destinationTable: reference(to) };
  const job = await bigquery.run({ copy: { ...tables, writeDisposition: 'WRITE_TRUNCATE' } });
  assert.deepEqual(job.status, { state: 'DONE' });
  return job.statistics.copy;
}

async function query(bigquery: TestBigQuery, sql: string): Promise<string | undefined> {
  const job = await bigquery.run({ query: { query: sql, useLegacySql: false } });
  return job.status.errorResult?.message;
}

async function names(bigquery: TestBigQuery, table: string): Promise<unknown> {
  const [rows] = await bigquery.client.query(`SELECT STRING_AGG(name ORDER BY id) AS names FROM p.${table}`);
  return rows[0]?.names;
}

const path = (table: string): string => {
  const [dataset, id] = table.split('.');
  return `/datasets/${dataset}/tables/${id}`;
};

test('a copy has the rows of its source, by query, page and count', async (t) => {
  const bigquery = await open(t);
  assert.deepEqual(await copy(bigquery, 'd.source', 'other.copied'), { copiedRows: '2', copiedLogicalBytes: '26' });
  assert.equal(await names(bigquery, 'other.copied'), 'one,two');
  const page = await bigquery.request('GET', `${path('other.copied')}/data`);
  assert.deepEqual((page.body as { rows: unknown }).rows, [
    { f: [{ v: '1' }, { v: 'one' }] },
    { f: [{ v: '2' }, { v: 'two' }] },
  ]);
  const { body } = await bigquery.request('GET', path('other.copied'));
  assert.deepEqual([(body as { type: string }).type, (body as { numRows: string }).numRows], ['TABLE', '2']);
});

for (const [what, change] of Object.entries({
  'rows inserted': `INSERT INTO d.source (id, name) VALUES (3, 'three')`,
  'rows updated': `UPDATE d.source SET name = 'changed' WHERE TRUE`,
  'rows deleted': `DELETE FROM d.source WHERE TRUE`,
  truncated: `TRUNCATE TABLE d.source`,
  replaced: `CREATE OR REPLACE TABLE d.source AS SELECT 9 AS other`,
  'replaced by what its copy holds': `CREATE OR REPLACE TABLE d.source AS SELECT id + 1 AS id, 'x' AS name FROM other.copied`,
  dropped: `DROP TABLE d.source`,
})) {
  test(`of a source ${what}, the copies stay as they were, also after a restart`, async (t) => {
    const bigquery = await open(t);
    await copy(bigquery, 'd.source', 'other.copied');
    await copy(bigquery, 'other.copied', 'd.again');
    assert.equal(await query(bigquery, change), undefined);
    for (const table of ['other.copied', 'd.again']) assert.equal(await names(bigquery, table), 'one,two');
    await bigquery.stop();
    const reopened = await startBigQuery({ folder: bigquery.folder });
    try {
      for (const table of ['other.copied', 'd.again']) assert.equal(await names(reopened, table), 'one,two');
    } finally {
      await reopened.stop();
    }
  });
}

test('a copy that is written leaves its source and the other copies alone, and keeps its required columns', async (t) => {
  const bigquery = await open(t);
  await copy(bigquery, 'd.source', 'other.copied');
  await copy(bigquery, 'd.source', 'other.second');
  assert.equal(
    await query(
      bigquery,
      `BEGIN TRANSACTION; INSERT INTO other.copied (id, name) VALUES (3, 'three');
       UPDATE other.copied SET name = 'ONE' WHERE id = 1; COMMIT TRANSACTION`,
    ),
    undefined,
  );
  assert.equal(await names(bigquery, 'other.copied'), 'ONE,two,three');
  for (const table of ['d.source', 'other.second']) assert.equal(await names(bigquery, table), 'one,two');
  assert.match((await query(bigquery, `INSERT INTO other.copied (name) VALUES ('x')`)) ?? '', /NOT NULL/);
});

test('a transaction that is rolled back leaves the rows shared', async (t) => {
  const bigquery = await open(t);
  await copy(bigquery, 'd.source', 'other.copied');
  await query(bigquery, `BEGIN TRANSACTION; DELETE FROM d.source WHERE TRUE; ROLLBACK TRANSACTION`);
  assert.equal(await names(bigquery, 'other.copied'), 'one,two');
  await query(bigquery, `DELETE FROM d.source WHERE id = 1`);
  assert.deepEqual([await names(bigquery, 'd.source'), await names(bigquery, 'other.copied')], ['two', 'one,two']);
});

test('columns that are added to one are not in the other', async (t) => {
  const bigquery = await open(t);
  await copy(bigquery, 'd.source', 'other.copied');
  const fields = [
    { name: 'id', type: 'INT64', mode: 'NULLABLE' },
    { name: 'name', type: 'STRING' },
  ];
  for (const [table, more] of [
    ['d.source', 'a'],
    ['other.copied', 'b'],
  ] as const) {
    const schema = { fields: [...fields, { name: more, type: 'STRING' }] };
    assert.equal((await bigquery.request('PATCH', path(table), { schema })).status, 200);
    assert.equal(await query(bigquery, `INSERT INTO ${table} (name, ${more}) VALUES ('new', 'x')`), undefined);
    assert.equal(await names(bigquery, table), 'new,one,two');
  }
});

test('a copy outlives the dataset of its source, and is copied back over it', async (t) => {
  const bigquery = await open(t);
  await copy(bigquery, 'd.source', 'other.copied');
  await query(bigquery, `CREATE VIEW other.shown AS SELECT * FROM p.other.copied`);
  await copy(bigquery, 'other.copied', 'd.source');
  assert.equal(await names(bigquery, 'd.source'), 'one,two');
  await copy(bigquery, 'd.source', 'other.copied');
  assert.equal((await bigquery.request('DELETE', '/datasets/d?deleteContents=true')).status, 204);
  for (const table of ['other.copied', 'other.shown']) assert.equal(await names(bigquery, table), 'one,two');
});

test('loads into a copy and into its source each change one of them', async (t) => {
  const bigquery = await open(t);
  await copy(bigquery, 'd.source', 'other.copied');
  const uri = await bigquery.put('rows.csv', '3,three\n');
  for (const [table, writeDisposition] of [
    ['other.copied', 'WRITE_APPEND'],
    ['d.source', 'WRITE_TRUNCATE'],
  ] as const) {
    const load = { sourceUris: [uri], destinationTable: reference(table), sourceFormat: 'CSV', writeDisposition };
    assert.deepEqual((await bigquery.run({ load })).status, { state: 'DONE' });
  }
  assert.deepEqual(
    [await names(bigquery, 'other.copied'), await names(bigquery, 'd.source')],
    ['one,two,three', 'three'],
  );
});

test('many at once: copies of a table while it is replaced again and again', async (t) => {
  const bigquery = await open(t);
  await Promise.all(
    Array.from({ length: 12 }, async (_, i) => {
      if (i % 3 === 2) {
        const sql = `CREATE OR REPLACE TABLE d.source AS SELECT id, name FROM p.d.source`;
        assert.equal(await query(bigquery, sql), undefined);
      } else await copy(bigquery, 'd.source', `other.copied_${i % 4}`);
    }),
  );
  for (const table of ['d.source', 'other.copied_0', 'other.copied_1', 'other.copied_3']) {
    assert.equal(await names(bigquery, table), 'one,two');
  }
});
