import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import type { GetRowsOptions, RowsResponse } from '@google-cloud/bigquery';
import * as z from 'zod';
import { loadOf, reference, startBigQuery, type TestBigQuery } from './bigquery-server.ts';

const fields = [{ name: 'a', type: 'STRING', mode: 'NULLABLE' }];
const view = (query: string) => ({ view: { query, useLegacySql: false } });
const failure = (status: number, reason: string, message: string) => ({
  status,
  body: { error: { code: status, message, errors: [{ message, domain: 'global', reason }] } },
});
const table = z.looseObject({ etag: z.string(), expirationTime: z.string().optional() });

describe('datasets and tables', () => {
  let bigquery: TestBigQuery;
  let time = Date.UTC(2026, 10, 22);
  before(async () => {
    bigquery = await startBigQuery({ now: () => time });
    await bigquery.client.createDataset('ds', { location: 'US' });
  });
  after(() => bigquery.close());

  const insert = (resource: Record<string, unknown>, dataset = 'ds') =>
    bigquery.request('POST', `/datasets/${dataset}/tables`, resource);
  const get = async (id: string, dataset = 'ds') => {
    const { status, body } = await bigquery.request('GET', `/datasets/${dataset}/tables/${id}`);
    assert.equal(status, 200);
    return table.parse(body);
  };

  it('keeps datasets', async () => {
    const kmsKeyName = 'projects/p/locations/eu/keyRings/r/cryptoKeys/k';
    const made = await bigquery.request('POST', '/datasets', {
      datasetReference: { datasetId: 'kept' },
      location: 'eu',
      labels: { a: '1', b: '2' },
      defaultTableExpirationMs: '7200000',
      defaultEncryptionConfiguration: { kmsKeyName },
    });
    assert.equal(made.status, 200);
    assert.deepEqual(
      await bigquery.request('POST', '/datasets', { datasetReference: { datasetId: 'kept' } }),
      failure(409, 'duplicate', 'Already Exists: Dataset p:kept'),
    );
    await bigquery.client.dataset('kept').setMetadata({ labels: { a: '3', c: '4' }, description: 'of all' });
    const [metadata] = await bigquery.client.dataset('kept').getMetadata();
    assert.equal(metadata.location, 'EU');
    assert.equal(metadata.description, 'of all');
    assert.deepEqual(metadata.labels, { a: '3', b: '2', c: '4' });
    await insert({ tableReference: { tableId: 't' }, schema: { fields } }, 'kept');
    const made2 = await get('t', 'kept');
    assert.equal(made2.expirationTime, String(time + 7_200_000));
    assert.deepEqual(made2['encryptionConfiguration'], { kmsKeyName });
    assert.deepEqual(
      await bigquery.request('DELETE', '/datasets/kept'),
      failure(400, 'resourceInUse', 'Dataset p:kept is still in use'),
    );
    assert.equal((await bigquery.request('DELETE', '/datasets/kept?deleteContents=true')).status, 204);
    assert.deepEqual(
      await bigquery.request('GET', '/datasets/kept'),
      failure(404, 'notFound', 'Not found: Dataset p:kept'),
    );
    const [datasets] = await bigquery.client.getDatasets();
    assert.deepEqual(
      datasets.map(({ id }) => id),
      ['ds'],
    );
  });

  it('changes a table only in the state that the client has seen', async () => {
    await insert({ tableReference: { tableId: 'state' }, schema: { fields } });
    const { etag } = await get('state');
    const change = (description: string, tag: string) =>
      bigquery.request('PATCH', '/datasets/ds/tables/state', { description }, { 'If-Match': tag });
    assert.equal((await change('one', etag)).status, 200);
    assert.deepEqual(await change('two', etag), failure(412, 'conditionNotMet', 'Precondition Failed'));
    const now = await get('state');
    assert.notEqual(now.etag, etag);
    assert.equal(now['description'], 'one');
    assert.equal((await change('two', now.etag)).status, 200);
    const stale = await bigquery.request('GET', '/datasets/ds/tables/state', undefined, { 'If-Match': etag });
    assert.deepEqual(stale, failure(412, 'conditionNotMet', 'Precondition Failed'));
  });

  it('keeps keys that BigQuery could have, and refuses others', async () => {
    const of = (name: string, type: string, mode = 'NULLABLE') => ({ name, type, mode });
    const columns = Array.from({ length: 17 }, (_, i) => of(`n${i}`, 'INT64'));
    await insert({ tableReference: { tableId: 'held' }, schema: { fields: [of('id', 'INT64'), of('b', 'STRING')] } });
    await insert({
      tableReference: { tableId: 'keyed' },
      schema: { fields: [...columns, of('f', 'FLOAT64'), of('s', 'STRING'), of('many', 'INT64', 'REPEATED')] },
    });
    const patch = (id: string, tableConstraints: unknown) =>
      bigquery.request('PATCH', `/datasets/ds/tables/${id}`, { tableConstraints });
    const refused = async (tableConstraints: unknown, what: string) => {
      const message = `Table constraints of p:ds.keyed: ${what}`;
      assert.deepEqual(await patch('keyed', tableConstraints), failure(400, 'invalid', message));
    };
    const primary = (...names: string[]) => ({ primaryKey: { columns: names } });
    const foreign = (tableId: string, datasetId: string, ...pairs: [string, string][]) => ({
      foreignKeys: [
        {
          referencedTable: { projectId: 'p', datasetId, tableId },
          columnReferences: pairs.map(([referencingColumn, referencedColumn]) => ({
            referencingColumn,
            referencedColumn,
          })),
        },
      ],
    });
    const types = 'BIGNUMERIC, BOOL, DATE, DATETIME, INT64, NUMERIC, STRING, TIMESTAMP';
    await refused(primary(...columns.map(({ name }) => name)), 'a primary key has 1 to 16 columns');
    await refused(primary('n0', 'N0'), 'a primary key has each column once');
    await refused(primary('x'), 'the column x is not found in the schema');
    await refused(primary('f'), `the column f is NULLABLE FLOAT64; allowed: ${types}`);
    await refused(primary('many'), `the column many is REPEATED INT64; allowed: ${types}`);
    const toHeld = foreign('held', 'ds', ['n0', 'ID']);
    await refused(toHeld, 'a foreign key refers to the primary key of p:ds.held');
    assert.equal((await patch('held', primary('id'))).status, 200);
    await refused(foreign('held', 'other', ['n0', 'id']), 'a foreign key stays within its dataset');
    await refused(foreign('keyed', 'ds', ['n0', 'n1']), 'a foreign key refers to another table');
    await refused(foreign('held', 'ds', ['n0', 'b']), 'a foreign key refers to the primary key of p:ds.held');
    await refused(foreign('held', 'ds', ['s', 'id']), 's is STRING, id is INT64');
    const many = { foreignKeys: Array.from({ length: 65 }, () => toHeld.foreignKeys[0]) };
    await refused(many, 'a table has up to 64 foreign keys');
    assert.equal((await patch('keyed', primary('n1'))).status, 200);
    assert.equal((await patch('keyed', toHeld)).status, 200);
    // A patch merges: what it does not name stays.
    assert.deepEqual((await get('keyed'))['tableConstraints'], { ...primary('n1'), ...toHeld });
    assert.equal((await patch('keyed', null)).status, 200);
    assert.equal((await get('keyed'))['tableConstraints'], undefined);
  });

  it('clears with null, and with what an update leaves out', async () => {
    const expirationTime = String(time + 60_000);
    const keys = { primaryKey: { columns: ['a'] } };
    await insert({
      tableReference: { tableId: 'clear' },
      schema: { fields },
      expirationTime,
      description: 'd',
      labels: { a: '1', b: '2' },
      tableConstraints: keys,
    });
    const made = await get('clear');
    assert.equal(made.expirationTime, expirationTime);
    assert.deepEqual(made['tableConstraints'], keys);
    await bigquery.request('PATCH', '/datasets/ds/tables/clear', { expirationTime: null, labels: { a: null } });
    const patched = await get('clear');
    assert.equal(patched.expirationTime, undefined);
    assert.deepEqual(patched['labels'], { b: '2' });
    assert.equal(patched['description'], 'd');
    await bigquery.request('PUT', '/datasets/ds/tables/clear', { schema: { fields } });
    const updated = await get('clear');
    assert.equal(updated['description'], undefined);
    assert.equal(updated['labels'], undefined);
  });

  it('forgets a table that has expired, and frees its id', async () => {
    await insert({ tableReference: { tableId: 'old' }, schema: { fields }, expirationTime: String(time + 1000) });
    await insert({ tableReference: { tableId: 'seen' }, ...view('SELECT a FROM ds.old') });
    time += 1000;
    const gone = failure(404, 'notFound', 'Not found: Table p:ds.old');
    assert.deepEqual(await bigquery.request('GET', '/datasets/ds/tables/old'), gone);
    assert.deepEqual(await bigquery.request('DELETE', '/datasets/ds/tables/old'), gone);
    const [tables] = await bigquery.client.dataset('ds').getTables();
    assert.ok(!tables.some(({ id }) => id === 'old'));
    const made = await insert({ tableReference: { tableId: 'old' }, schema: { fields } });
    assert.equal(made.status, 200);
    assert.equal((await get('old')).expirationTime, undefined);
    await bigquery.client.createDataset('short');
    const expirationTime = String(time + 1000);
    await insert({ tableReference: { tableId: 'old' }, schema: { fields }, expirationTime }, 'short');
    time += 1000;
    assert.equal((await bigquery.request('DELETE', '/datasets/short')).status, 204);
    await bigquery.client.createDataset('short');
    assert.equal((await insert({ tableReference: { tableId: 'old' }, schema: { fields } }, 'short')).status, 200);
    assert.equal((await bigquery.request('DELETE', '/datasets/short?deleteContents=true')).status, 204);
    assert.deepEqual(await bigquery.request('DELETE', '/datasets/ds/tables/seen'), { status: 204, body: undefined });
  });

  it('adds columns and relaxes modes, and nothing else', async () => {
    const key = { name: 'k', type: 'INTEGER', mode: 'REQUIRED' };
    await insert({ tableReference: { tableId: 'shape' }, schema: { fields: [key] } });
    const patch = (changed: object[]) =>
      bigquery.request('PATCH', '/datasets/ds/tables/shape', { schema: { fields: changed } });
    const mismatch = (why: string) =>
      failure(400, 'invalid', `Provided Schema does not match Table p:ds.shape. ${why}`);
    assert.deepEqual(await patch(fields), mismatch('Field k is missing in new schema'));
    assert.deepEqual(
      await patch([{ ...key, type: 'STRING' }]),
      mismatch('Field k has changed type from INTEGER to STRING'),
    );
    assert.deepEqual(
      await patch([key, { name: 'l', type: 'STRING', mode: 'REQUIRED' }]),
      mismatch('Cannot add required fields to an existing schema. (field: l)'),
    );
    const relaxed = [{ ...key, mode: 'NULLABLE', description: 'the key' }, ...fields];
    assert.equal((await patch(relaxed)).status, 200);
    assert.deepEqual((await get('shape'))['schema'], { fields: relaxed });
    assert.deepEqual(await patch([key, ...fields]), mismatch('Field k has changed mode from NULLABLE to REQUIRED'));
    await bigquery.client.query("INSERT INTO ds.shape (k, a) VALUES (NULL, 'x')");
    assert.deepEqual(await bigquery.rows('shape'), [[null, 'x']]);
  });

  it('tells ids apart by case', async () => {
    for (const id of ['Person', 'person', 'PERSON']) {
      const uri = await bigquery.put(id, `a\n${id}\n`);
      await bigquery.run(loadOf(uri, id, fields));
    }
    for (const id of ['Person', 'person', 'PERSON']) {
      assert.deepEqual(await bigquery.rows(id), [[id]]);
      const [rows] = await bigquery.client.query(`SELECT a FROM ds.${id}`);
      assert.deepEqual(rows, [{ a: id }]);
    }
    await bigquery.request('DELETE', '/datasets/ds/tables/person');
    assert.deepEqual(await bigquery.rows('PERSON'), [['PERSON']]);
  });

  it('moves views, and refuses invalid ones', async () => {
    for (const id of ['v1', 'v2']) {
      await bigquery.run(loadOf(await bigquery.put(id, `a\n${id}\n`), id, fields));
    }
    const made = await insert({
      tableReference: { tableId: 'v' },
      ...view('SELECT * FROM `p.ds.v1`'),
      labels: { n: '1' },
    });
    assert.equal(made.status, 200);
    const first = await get('v');
    assert.equal(first['type'], 'VIEW');
    assert.deepEqual(first['view'], { query: 'SELECT * FROM `p.ds.v1`', useLegacySql: false });
    assert.deepEqual(first['schema'], { fields });
    const read = async () => (await bigquery.client.query('SELECT a FROM ds.v'))[0];
    assert.deepEqual(await read(), [{ a: 'v1' }]);
    const patch = (query: string) =>
      bigquery.request('PATCH', '/datasets/ds/tables/v', view(query), { 'If-Match': first.etag });
    assert.deepEqual(
      await patch('SELECT * FROM ds.v3'),
      failure(404, 'notFound', 'Not found: Table p:ds.v3 was not found in location US'),
    );
    assert.equal((await patch('SELECT nothing FROM ds.v1')).status, 400);
    assert.deepEqual(await read(), [{ a: 'v1' }]);
    assert.equal((await patch('SELECT * FROM `p.ds.v2`')).status, 200);
    assert.deepEqual(await read(), [{ a: 'v2' }]);
    assert.equal((await patch('SELECT * FROM `p.ds.v1`')).status, 412);
    await bigquery.request('DELETE', '/datasets/ds/tables/v2');
    await assert.rejects(read(), { code: 404, message: 'Not found: Table p:ds.v2 was not found in location US' });
    assert.deepEqual(
      await bigquery.request('GET', '/datasets/ds/tables/v/data'),
      failure(400, 'invalid', 'Cannot list a table of type VIEW.'),
    );
  });

  it('reads a view as it is written when its table has other columns', async () => {
    await bigquery.run(loadOf(await bigquery.put('w', 'a\nx\n'), 'w', fields));
    await insert({ tableReference: { tableId: 'wv' }, ...view('SELECT * FROM ds.w') });
    await bigquery.run(loadOf(await bigquery.put('w', 'b\n1\n'), 'w', [{ name: 'b', type: 'INT64' }]));
    assert.deepEqual((await bigquery.client.query('SELECT * FROM ds.wv'))[0], [{ b: 1 }]);
  });

  it('lists rows in pages', async () => {
    const lines = Array.from({ length: 5000 }, (_, index) => String(index));
    await bigquery.run(loadOf(await bigquery.put('pages', `a\n${lines.join('\n')}\n`), 'pages', fields));
    const table = bigquery.client.dataset('ds').table('pages');
    const found: string[] = [];
    let query: GetRowsOptions | null | undefined = { maxResults: 2000, autoPaginate: false };
    while (query) {
      const answer: RowsResponse = await table.getRows(query);
      found.push(...answer[0].map(({ a }: { a: string }) => a));
      query = answer[1];
    }
    assert.deepEqual(found, lines);
    const page = await bigquery.request('GET', '/datasets/ds/tables/pages/data?maxResults=1&startIndex=4998');
    const { body } = page;
    assert.deepEqual(body, {
      kind: 'bigquery#tableDataList',
      etag: (await get('pages')).etag,
      totalRows: '5000',
      rows: [{ f: [{ v: '4998' }] }],
      pageToken: '4999',
    });
  });

  it('counts rows and bytes by the sizes of BigQuery', async () => {
    await bigquery.client.query(
      "CREATE TABLE ds.sized AS SELECT 1 AS i, 'é' AS s, TRUE AS b, NUMERIC '1' AS n, [1, 2] AS r, STRUCT('x' AS t) AS u UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL",
    );
    const sized = await get('sized');
    assert.equal(sized['numRows'], '2');
    assert.equal(sized['numBytes'], String(8 + 4 + 1 + 16 + 16 + 3));
    await bigquery.client.query('DELETE FROM ds.sized WHERE i IS NULL');
    assert.equal((await get('sized'))['numRows'], '1');
  });

  it('refuses by name what it does not implement', async () => {
    for (const [method, path, what] of [
      ['POST', '/datasets/ds/tables/v1/insertAll', 'tabledata.insertAll'],
      ['GET', '/datasets/ds/routines', 'routines'],
      ['GET', '/datasets/ds/models', 'models'],
      ['POST', '/nothing', 'POST /bigquery/v2/projects/p/nothing'],
    ] as const) {
      const message = `The local BigQuery does not implement: ${what}`;
      assert.deepEqual(
        await bigquery.request(method, path, method === 'POST' ? {} : undefined),
        failure(501, 'notImplemented', message),
      );
    }
  });

  it('leaves a file that DuckDB alone opens', async () => {
    const own = await startBigQuery();
    try {
      await own.client.createDataset('ds');
      await own.run(loadOf(await own.put('t', 'a\nx\n'), 't', fields));
      await own.request('POST', '/datasets/ds/tables', {
        tableReference: reference('v'),
        ...view('SELECT * FROM ds.t'),
      });
      await own.stop();
      const instance = await DuckDBInstance.create(own.file, { access_mode: 'READ_ONLY' });
      const connection = await instance.connect();
      const found = await connection.runAndReadAll('SELECT a FROM ds.v');
      assert.deepEqual(found.getRowsJS(), [['x']]);
      connection.closeSync();
      instance.closeSync();
    } finally {
      // It may have stopped before.
      await own.stop().catch(() => undefined);
      await rm(own.folder, { recursive: true, force: true });
    }
  });
});
