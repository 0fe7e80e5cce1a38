import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DuckDBInstance, type JS } from '@duckdb/node-api';
import { openBigQuery } from '../../local/bigquery/index.ts';
import { byText, loadOf, reference, startBigQuery, type TestBigQuery } from './bigquery-server.ts';

const least = '-578960446186580977117854925043439539266.34992332820282019728792003956564819968';
const most = '578960446186580977117854925043439539266.34992332820282019728792003956564819967';
const smallest = '0.00000000000000000000000000000000000001';
const fields = [
  { name: 'id', type: 'INTEGER', mode: 'REQUIRED' },
  { name: 'n', type: 'BIGNUMERIC', mode: 'NULLABLE' },
];
/** What a file has, and what is stored of it. */
const values: [written: string, stored: string | null][] = [
  ['100', '100'],
  ['-12.50', '-12.5'],
  ['1.', '1'],
  ['.5', '0.5'],
  ['-0.00', '0'],
  ['-0', '0'],
  ['-0.25', '-0.25'],
  ['+7', '7'],
  ['007.10', '7.1'],
  ['1e-3', '0.001'],
  ['12E2', '1200'],
  ['0.33333333333333333333', '0.33333333333333333333'],
  [`-${smallest}`, `-${smallest}`],
  ['0.000000000000000000000000000000000000005', smallest],
  [`${'9'.repeat(38)}.50`, `${'9'.repeat(38)}.5`],
  [most, most],
  [least, least],
  ['\\N', null],
];

describe('BIGNUMERIC at rest', () => {
  let bigquery: TestBigQuery;
  before(async () => {
    bigquery = await startBigQuery();
    await bigquery.client.createDataset('ds');
    const lines = values.map(([written], index) => `${index},${written}\n`).join('');
    await succeed(loadOf(await bigquery.put('t', `id,n\n${lines}`), 't', fields));
  });
  after(() => bigquery.close());

  const succeed = async (configuration: Record<string, unknown>): Promise<void> => {
    assert.deepEqual((await bigquery.run(configuration)).status.errorResult, undefined);
  };
  const run = (query: string): Promise<void> => succeed({ query: { query, useLegacySql: false } });
  /** A query's columns' types and rows. */
  const ask = async (query: string): Promise<{ types: unknown[]; rows: unknown[][] }> => {
    const { status, body } = await bigquery.request('POST', '/queries', { query, useLegacySql: false });
    assert.equal(status, 200, JSON.stringify(body));
    const { schema, rows = [] } = body as {
      schema: { fields: { type: string }[] };
      rows?: { f: { v: unknown }[] }[];
    };
    return { types: schema.fields.map(({ type }) => type), rows: rows.map(({ f }) => f.map(({ v }) => v)) };
  };
  const stored = values.map(([, text], index) => [String(index), text]);

  it('is canonical text in the answers, and BIGNUMERIC in the schemas', async () => {
    assert.deepEqual(byText(await bigquery.rows('t')), byText(stored));
    const { types, rows } = await ask('SELECT id, n FROM ds.t');
    assert.deepEqual(types, ['INTEGER', 'BIGNUMERIC']);
    assert.deepEqual(byText(rows), byText(stored));
  });

  it('reads all spellings of a JSON file alike', async () => {
    const lines = ['{"id":1,"n":12.50}', '{"id":2,"n":"-0.0"}', '{"id":3,"n":null}', `{"id":4,"n":"${least}"}`];
    const uri = await bigquery.put('json', `${lines.join('\n')}\n`);
    const options = { sourceFormat: 'NEWLINE_DELIMITED_JSON', skipLeadingRows: undefined, nullMarker: undefined };
    await succeed(loadOf(uri, 'json', fields, options));
    assert.deepEqual(byText(await bigquery.rows('json')), [
      ['1', '12.5'],
      ['2', '0'],
      ['3', null],
      ['4', least],
    ]);
  });

  it('compares, sorts and groups as numbers', async () => {
    await run(
      "CREATE TABLE ds.numbers AS SELECT * FROM UNNEST([STRUCT(1 AS id, BIGNUMERIC '9' AS n), (2, BIGNUMERIC '10'), (3, BIGNUMERIC '-1.5'), (4, NULL)])",
    );
    const column = async (sql: string): Promise<unknown[]> => (await ask(sql)).rows.map(([value]) => value);
    assert.deepEqual(await column('SELECT n FROM ds.numbers ORDER BY n'), [null, '-1.5', '9', '10']);
    assert.deepEqual(await column("SELECT n FROM ds.numbers WHERE n > 8 AND n < BIGNUMERIC '9.5'"), ['9']);
    assert.deepEqual(await column('SELECT MAX(x.n) FROM ds.numbers AS x'), ['10']);
    assert.deepEqual(await column("SELECT CONCAT(CAST(n AS STRING), '!') FROM ds.numbers WHERE id = 3"), ['-1.5!']);
    assert.deepEqual(
      await column('SELECT a.id FROM ds.numbers a JOIN ds.numbers b ON a.n = b.n WHERE b.id < 3 ORDER BY a.id'),
      ['1', '2'],
    );
    assert.deepEqual(await column('SELECT COUNT(*) FROM (SELECT n FROM ds.numbers UNION ALL SELECT n FROM ds.numbers) GROUP BY n'), ['2', '2', '2', '2']); // prettier-ignore
  });

  it('is written by INSERT, UPDATE and DELETE, also in a script that makes the table', async () => {
    await run(`
      CREATE TABLE ds.dml (id INT64, n BIGNUMERIC, s STRING);
      INSERT INTO ds.dml (id, n, s) VALUES (1, BIGNUMERIC '1.50', 'a'), (2, 2, 'b'), (3, NULL, 'c'), (4, NUMERIC '0.25', 'd');
      INSERT INTO ds.dml (n, id) SELECT n, id + 10 FROM ds.dml WHERE n > 1;
      UPDATE ds.dml AS x SET n = BIGNUMERIC '20', s = CAST(x.n AS STRING) WHERE n = 2 AND x.id < 10;
      DELETE FROM ds.dml WHERE n < BIGNUMERIC '0.5';
    `);
    assert.deepEqual(byText(await bigquery.rows('dml')), [
      ['1', '1.5', 'a'],
      ['11', '1.5', null],
      ['12', '2', null],
      ['2', '20', '2'],
      ['3', null, 'c'],
    ]);
    const wrong = await bigquery.run({
      query: { query: "INSERT INTO ds.dml (n) VALUES ('7')", useLegacySql: false },
    });
    assert.equal(wrong.status.errorResult?.reason, 'invalidQuery');
    const counted = await bigquery.run({
      query: { query: 'UPDATE ds.dml SET n = 1 WHERE n IS NULL', useLegacySql: false },
    });
    assert.equal(counted.statistics.query?.['numDmlAffectedRows'], '1');
  });

  it('is written by queries and copies, and read where it replaces itself', async () => {
    const into = (query: string, writeDisposition: string) =>
      succeed({ query: { query, useLegacySql: false, destinationTable: reference('into'), writeDisposition } });
    await into('SELECT id, n FROM ds.t WHERE id < 2', 'WRITE_EMPTY');
    await into("SELECT 5 AS id, BIGNUMERIC '0.10' AS n", 'WRITE_APPEND');
    await into('SELECT id, n FROM ds.into WHERE n < 100', 'WRITE_TRUNCATE');
    await succeed({
      copy: {
        sourceTables: [reference('into')],
        destinationTable: reference('into'),
        writeDisposition: 'WRITE_APPEND',
      },
    });
    assert.deepEqual(byText(await bigquery.rows('into')), [
      ['1', '-12.5'],
      ['1', '-12.5'],
      ['5', '0.1'],
      ['5', '0.1'],
    ]);
    await run('CREATE OR REPLACE TABLE ds.into AS SELECT * FROM ds.into WHERE n > 0');
    assert.deepEqual((await ask('SELECT * FROM ds.into')).types, ['INTEGER', 'BIGNUMERIC']);
  });

  it('is not taken for a STRING by a copy of several tables', async () => {
    await run("CREATE TABLE ds.texts AS SELECT 1 AS id, 'x' AS n");
    const copied = await bigquery.run({
      copy: { sourceTables: [reference('t'), reference('texts')], destinationTable: reference('mixed') },
    });
    assert.deepEqual(copied.status.errorResult, {
      reason: 'invalid',
      message:
        'Provided Schema does not match Table p:ds.texts. The source tables of a copy need the same columns in the same order',
    });
  });

  it('keeps its place inside arrays and STRUCTs', async () => {
    await run(
      "CREATE TABLE ds.nested AS SELECT [BIGNUMERIC '1.50', BIGNUMERIC '2'] AS a, STRUCT(BIGNUMERIC '3' AS n, 'x' AS s) AS u, [STRUCT(BIGNUMERIC '4.0' AS n)] AS r",
    );
    const cells = [[{ v: '1.5' }, { v: '2' }], { f: [{ v: '3' }, { v: 'x' }] }, [{ v: { f: [{ v: '4' }] } }]];
    assert.deepEqual(await bigquery.rows('nested'), [cells]);
    assert.deepEqual((await ask('SELECT * FROM ds.nested')).rows, [cells]);
    assert.deepEqual((await ask('SELECT x FROM ds.nested, UNNEST(a) AS x ORDER BY x DESC')).rows, [['2'], ['1.5']]);
  });

  it('is text to plain DuckDB, in tables and views, and again BIGNUMERIC afterwards', async () => {
    const own = await startBigQuery();
    const rowsOf = async (...queries: string[]): Promise<JS[][][]> => {
      const instance = await DuckDBInstance.create(own.file, { access_mode: 'READ_ONLY' });
      const connection = await instance.connect();
      try {
        const found: JS[][][] = [];
        for (const query of queries) found.push((await connection.runAndReadAll(query)).getRowsJS());
        return found;
      } finally {
        connection.closeSync();
        instance.closeSync();
      }
    };
    try {
      await own.client.createDataset('ds');
      await own.run(loadOf(await own.put('t', 'id,n\n1,100\n2,-12.50\n'), 't', fields));
      const views = {
        whole: 'SELECT * FROM ds.t',
        some: 'SELECT x.n AS amount FROM `p.ds.t` AS x',
        above: 'SELECT * FROM ds.some',
      };
      for (const [name, query] of Object.entries(views)) {
        await own.run({ query: { query: `CREATE VIEW ds.${name} AS ${query}`, useLegacySql: false } });
      }
      await own.stop();
      assert.deepEqual(
        await rowsOf(
          'SELECT id::INTEGER, n FROM ds.t ORDER BY id',
          'SELECT n, typeof(n) FROM ds.whole ORDER BY id',
          'FROM ds.some ORDER BY amount',
          'FROM ds.above ORDER BY amount',
          "SELECT sql FROM duckdb_views() WHERE view_name = 'whole'",
        ),
        [
          [[1, '100'], [2, '-12.5']],
          [['100', 'VARCHAR'], ['-12.5', 'VARCHAR']],
          [['-12.5'], ['100']],
          [['-12.5'], ['100']],
          [['CREATE VIEW ds.whole AS SELECT * FROM ds.t AS t;']],
        ],
      ); // prettier-ignore
      const again = await startBigQuery({ folder: own.folder });
      try {
        const [rows] = await again.client.query('SELECT amount FROM ds.above WHERE amount < -12');
        assert.deepEqual(JSON.parse(JSON.stringify(rows)), [{ amount: '-12.5' }]);
        const table = await again.request('GET', '/datasets/ds/tables/above');
        assert.deepEqual((table.body as { schema: unknown }).schema, {
          fields: [{ name: 'amount', type: 'BIGNUMERIC', mode: 'NULLABLE' }],
        });
      } finally {
        await again.stop();
      }
    } finally {
      // It may have stopped before.
      await own.stop().catch(() => undefined);
      await rm(own.folder, { recursive: true, force: true });
    }
  });
});

it('refuses a file of another layout, naming the directory to delete', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bigquery-layout-'));
  try {
    const file = join(folder, 'warehouse.duckdb');
    const instance = await DuckDBInstance.create(file);
    const connection = await instance.connect();
    await connection.run('CREATE SCHEMA _commons_mirror; CREATE TABLE _commons_mirror.tables (id VARCHAR)');
    connection.closeSync();
    instance.closeSync();
    const locate = (): Promise<string> => Promise.reject(new Error('no object'));
    // Twice: the refusal lets go of the file.
    for (const _ of [1, 2]) {
      await assert.rejects(openBigQuery({ file, locate }), {
        message:
          `The local BigQuery's file ${file} has layout 1, and this version reads layout 3 only: ` +
          `delete the directory ${folder} and start again, which mirrors everything anew.`,
      });
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
