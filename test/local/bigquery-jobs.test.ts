import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { byText, loadOf, reference, startBigQuery, type TestBigQuery } from './bigquery-server.ts';

const fields = [{ name: 'a', type: 'STRING', mode: 'NULLABLE' }];
const failure = (status: number, reason: string, message: string) => ({
  status,
  body: { error: { code: status, message, errors: [{ message, domain: 'global', reason }] } },
});
const query = (text: string, options: Record<string, unknown> = {}) => ({
  query: { query: text, useLegacySql: false, ...options },
});
const errorCode = (code: number, message: string) => (error: unknown) => {
  assert.ok(error instanceof Error && 'code' in error);
  assert.equal(error.code, code);
  assert.equal(error.message, message);
  return true;
};

describe('jobs', () => {
  let bigquery: TestBigQuery;
  before(async () => {
    bigquery = await startBigQuery();
    await bigquery.client.createDataset('ds', { location: 'US' });
  });
  after(() => bigquery.close());

  const load = async (table: string, lines: string[], columns = fields) =>
    bigquery.run(loadOf(await bigquery.put(table, ['a', ...lines, ''].join('\n')), table, columns));
  const metadata = async (table: string) =>
    z.looseObject({}).parse((await bigquery.request('GET', `/datasets/ds/tables/${table}`)).body);

  const doneOf = async (prefix: string): Promise<number> => {
    const [tables] = await bigquery.client.dataset('ds').getTables();
    return tables.filter(({ id }) => id?.startsWith(prefix)).length;
  };

  it('takes an id once', async () => {
    const configuration = loadOf(await bigquery.put('once', 'a\n1\n'), 'once', fields);
    await bigquery.run(configuration, 'once');
    await assert.rejects(
      bigquery.client.createJob({ jobId: 'once', configuration }),
      errorCode(409, 'Already Exists: Job p:US.once'),
    );
    const body = { configuration, jobReference: { jobId: 'no blanks' } };
    assert.equal((await bigquery.request('POST', '/jobs', body)).status, 400);
  });

  it('answers before the work is done', async () => {
    const configuration = loadOf(await bigquery.put('later', 'a\n1\n'), 'later', fields);
    const { body } = await bigquery.request('POST', '/jobs', { configuration, jobReference: { jobId: 'later' } });
    const { status } = z.looseObject({ status: z.object({ state: z.string() }) }).parse(body);
    assert.ok(['PENDING', 'RUNNING'].includes(status.state));
    assert.equal((await bigquery.ended('later', 'US')).status.state, 'DONE');
  });

  it('finds a job only where it ran', async () => {
    await bigquery.client.createDataset('eu', { location: 'europe-west3' });
    const configuration = loadOf(await bigquery.put('eu', 'a\n1\n'), 'eu', fields);
    configuration.load['destinationTable'] = { ...reference('t'), datasetId: 'eu' };
    await bigquery.request('POST', '/jobs', { configuration, jobReference: { jobId: 'eu' } });
    assert.equal((await bigquery.ended('eu', 'europe-west3')).id, 'p:europe-west3.eu');
    assert.deepEqual(await bigquery.request('GET', '/jobs/eu'), failure(404, 'notFound', 'Not found: Job p:eu'));
    assert.deepEqual(
      await bigquery.request('POST', '/jobs', { configuration, jobReference: { location: 'US' } }),
      failure(404, 'notFound', 'Not found: Dataset p:eu was not found in location US'),
    );
    assert.deepEqual(
      await bigquery.request('GET', '/jobs/once?location=EU'),
      failure(404, 'notFound', 'Not found: Job p:EU.once'),
    );
  });

  it('runs many loads at once, and answers meanwhile', async () => {
    const lines = Array.from({ length: 20_000 }, (_, index) => `"${index} lorem ipsum"`);
    const names = Array.from({ length: 12 }, (_, index) => `many${index}`);
    const jobs = Promise.all(names.map((name) => load(name, lines)));
    let slowest = 0;
    while (names.length > (await doneOf('many'))) {
      const start = performance.now();
      await bigquery.request('GET', '/datasets/ds');
      slowest = Math.max(slowest, performance.now() - start);
      await delay(10);
    }
    for (const job of await jobs) assert.equal(job.statistics.load?.['outputRows'], '20000');
    assert.ok(slowest < 500, `a request waited for ${slowest} ms`);
  });

  it('keeps loads of one table apart', async () => {
    const jobs = await Promise.all(['1', '2', '3', '4'].map((value) => load('same', [value, value])));
    assert.ok(jobs.every((job) => job.status.errorResult === undefined));
    const rows = await bigquery.rows('same');
    assert.equal(rows.length, 2);
    assert.deepEqual(rows[0], rows[1]);
  });

  it('lists jobs by state, and forgets one on request', async () => {
    const { body } = await bigquery.request('GET', '/jobs?stateFilter=done&maxResults=1');
    const list = z.looseObject({ jobs: z.array(z.looseObject({ state: z.string() })), nextPageToken: z.string() });
    assert.equal(list.parse(body).jobs.length, 1);
    await load('forgotten', ['1']);
    await bigquery.run(query('SELECT 1'), 'forgotten');
    assert.equal((await bigquery.request('DELETE', '/jobs/forgotten/delete')).status, 204);
    assert.equal((await bigquery.request('GET', '/jobs/forgotten')).status, 404);
  });

  it('stops a job that is cancelled', async () => {
    const endless =
      'SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 40000)) AS a CROSS JOIN UNNEST(GENERATE_ARRAY(1, 40000)) AS b CROSS JOIN UNNEST(GENERATE_ARRAY(1, 40000)) AS c WHERE a * b * c = 7';
    await bigquery.request('POST', '/jobs', { configuration: query(endless), jobReference: { jobId: 'endless' } });
    await bigquery.request('POST', '/jobs/endless/cancel');
    const job = await bigquery.ended('endless', 'US');
    assert.deepEqual(job.status.errorResult, {
      reason: 'stopped',
      message: 'Job execution was cancelled: User requested cancellation',
    });
  });

  describe('copy', () => {
    const copy = (sources: string[], table: string, options: Record<string, unknown> = {}) => ({
      copy: { sourceTables: sources.map(reference), destinationTable: reference(table), ...options },
    });

    it('takes the columns, description and keys, but not the expiration', async () => {
      await load('source', ['1', '2']);
      const description = 'the source';
      const tableConstraints = { primaryKey: { columns: ['a'] } };
      const expirationTime = String(Date.now() + 3_600_000);
      await bigquery.request('PATCH', '/datasets/ds/tables/source', {
        description,
        tableConstraints,
        expirationTime,
        labels: { of: 'source' },
      });
      const job = await bigquery.run(copy(['source'], 'copied'));
      assert.equal(job.status.errorResult, undefined);
      assert.deepEqual(job.statistics.copy, { copiedRows: '2', copiedLogicalBytes: '6' });
      const copied = await metadata('copied');
      assert.equal(copied['description'], description);
      assert.deepEqual(copied['tableConstraints'], tableConstraints);
      assert.equal(copied['expirationTime'], undefined);
      assert.equal(copied['labels'], undefined);
      assert.equal(copied['numRows'], '2');
      assert.deepEqual(copied['schema'], { fields });
    });

    it('obeys its dispositions, and takes several sources', async () => {
      await load('one', ['1']);
      await load('two', ['2']);
      await bigquery.run(copy(['one', 'two'], 'both'));
      assert.deepEqual(await bigquery.rows('both'), [['1'], ['2']]);
      const full = await bigquery.run(copy(['one'], 'both'));
      assert.deepEqual(full.status.errorResult, { reason: 'duplicate', message: 'Already Exists: Table p:ds.both' });
      await bigquery.run(copy(['one'], 'both', { writeDisposition: 'WRITE_APPEND' }));
      assert.deepEqual(await bigquery.rows('both'), [['1'], ['2'], ['1']]);
      await bigquery.run(copy(['two'], 'both', { writeDisposition: 'WRITE_TRUNCATE' }));
      assert.deepEqual(await bigquery.rows('both'), [['2']]);
      const missing = await bigquery.run(copy(['none'], 'both', { writeDisposition: 'WRITE_TRUNCATE' }));
      assert.deepEqual(missing.status.errorResult, { reason: 'notFound', message: 'Not found: Table p:ds.none' });
      await bigquery.run(copy(['two', 'one'], 'two', { writeDisposition: 'WRITE_TRUNCATE' }));
      assert.deepEqual(byText(await bigquery.rows('two')), [['1'], ['2']]);
    });
  });

  describe('queries', () => {
    it('answer every type as the API does', async () => {
      const [rows] = await bigquery.client.query(
        "SELECT 9007199254740993 AS i, 1.5 AS f, NUMERIC '1.50' AS n, TRUE AS b, b'\\xff' AS y, DATE '2020-01-02' AS d, " +
          "TIMESTAMP '2020-01-02 03:04:05.678901+00' AS t, JSON '{\"b\":1,\"a\":[2]}' AS j, [1, 2] AS r, STRUCT('x' AS s, 2 AS t) AS u, '\\ufeffx' AS z, [STRUCT('\\ufeffx' AS s, ['\\ufeffy'] AS t)] AS k",
        { wrapIntegers: true },
      );
      const [row] = rows;
      assert.equal(row.i.value, '9007199254740993');
      assert.equal(row.f, 1.5);
      assert.equal(row.n.toString(), '1.5');
      assert.equal(row.b, true);
      assert.deepEqual(row.y, Buffer.from([0xff]));
      assert.equal(row.d.value, '2020-01-02');
      assert.equal(row.t.value, '2020-01-02T03:04:05.678901000Z');
      assert.equal(row.j, '{"a":[2],"b":1}');
      assert.deepEqual(
        row.r.map(({ value }: { value: string }) => value),
        ['1', '2'],
      );
      assert.equal(row.u.s, 'x');
      assert.equal(row.z, '\uFEFFx');
      assert.deepEqual(row.k, [{ s: '\uFEFFx', t: ['\uFEFFy'] }]);
    });

    it('answer in pages, in order', async () => {
      const numbers = 'SELECT n FROM UNNEST(GENERATE_ARRAY(1, 5000)) AS n ORDER BY n DESC';
      await bigquery.run(query(numbers), 'numbers');
      const page = z.object({
        totalRows: z.string(),
        pageToken: z.string().optional(),
        rows: z.array(z.object({ f: z.tuple([z.object({ v: z.string() })]) })),
      });
      const found: string[] = [];
      for (let token: string | undefined = '0'; token !== undefined;) {
        const { body } = await bigquery.request('GET', `/queries/numbers?maxResults=1999&pageToken=${token}`);
        const { rows, pageToken, totalRows } = page.parse(body);
        assert.equal(totalRows, '5000');
        found.push(...rows.map(({ f: [{ v }] }) => v));
        token = pageToken;
      }
      assert.deepEqual(
        found,
        Array.from({ length: 5000 }, (_, index) => String(5000 - index)),
      );
    });

    it('take parameters and a default dataset', async () => {
      await load('named', ['x', 'y']);
      const [rows] = await bigquery.client.query({
        query: 'SELECT a FROM named WHERE a IN UNNEST(@wanted) AND @yes',
        defaultDataset: { datasetId: 'ds', projectId: 'p' },
        params: { wanted: ['y', 'z'], yes: true },
      });
      assert.deepEqual(rows, [{ a: 'y' }]);
    });

    it('write to a table, or fail where it is not empty', async () => {
      const into = { destinationTable: reference('made'), destinationEncryptionConfiguration: { kmsKeyName: 'k' } };
      const job = await bigquery.run(query("SELECT 1 AS n, [STRUCT('x' AS s)] AS r", into));
      assert.equal(job.status.errorResult, undefined);
      const made = await metadata('made');
      assert.deepEqual(made['schema'], {
        fields: [
          { name: 'n', type: 'INTEGER', mode: 'NULLABLE' },
          { name: 'r', type: 'RECORD', mode: 'REPEATED', fields: [{ name: 's', type: 'STRING', mode: 'NULLABLE' }] },
        ],
      });
      assert.deepEqual(made['encryptionConfiguration'], { kmsKeyName: 'k' });
      const again = await bigquery.run(query('SELECT 2 AS n', into));
      assert.deepEqual(again.status.errorResult, { reason: 'duplicate', message: 'Already Exists: Table p:ds.made' });
      const replaced = query('SELECT n + 1 AS n FROM ds.made', { ...into, writeDisposition: 'WRITE_TRUNCATE' });
      await bigquery.run(replaced);
      assert.deepEqual(await bigquery.rows('made'), [['2']]);
    });

    it('report what DML and DDL have done', async () => {
      const created = await bigquery.run(
        query("CREATE OR REPLACE TABLE ds.ddl (a STRING NOT NULL) OPTIONS (description = 'made')"),
      );
      assert.equal(created.statistics.query?.['ddlOperationPerformed'], 'CREATE');
      assert.equal(created.statistics.query?.['statementType'], 'CREATE_TABLE');
      assert.equal((await metadata('ddl'))['description'], 'made');
      const inserted = await bigquery.run(query("INSERT INTO ds.ddl (a) VALUES ('x'), ('y')"));
      assert.equal(inserted.statistics.query?.['numDmlAffectedRows'], '2');
      assert.equal((await metadata('ddl'))['numRows'], '2');
      const refused = await bigquery.run(query('INSERT INTO ds.ddl (a) VALUES (NULL)'));
      assert.equal(refused.status.errorResult?.reason, 'invalidQuery');
      const replaced = await bigquery.run(query("CREATE OR REPLACE TABLE ds.ddl AS SELECT a || '!' AS a FROM ds.ddl"));
      assert.equal(replaced.statistics.query?.['ddlOperationPerformed'], 'REPLACE');
      assert.deepEqual(byText(await bigquery.rows('ddl')), [['x!'], ['y!']]);
      const dropped = await bigquery.run(query('DROP TABLE ds.ddl'));
      assert.equal(dropped.statistics.query?.['ddlOperationPerformed'], 'DROP');
      const skipped = await bigquery.run(query('DROP TABLE IF EXISTS ds.ddl'));
      assert.equal(skipped.statistics.query?.['ddlOperationPerformed'], 'SKIP');
    });

    it('run a transaction whole or not at all', async () => {
      await bigquery.run(query('CREATE OR REPLACE TABLE ds.whole (a INT64)'));
      const failed = await bigquery.run(
        query(
          "BEGIN TRANSACTION; INSERT INTO ds.whole (a) VALUES (1); INSERT INTO ds.whole (a) SELECT CAST('x' AS INT64); COMMIT TRANSACTION;",
        ),
      );
      assert.equal(failed.status.errorResult?.reason, 'invalidQuery');
      assert.deepEqual(await bigquery.rows('whole'), []);
      await bigquery.run(query('BEGIN TRANSACTION; INSERT INTO ds.whole (a) VALUES (2); ROLLBACK TRANSACTION;'));
      assert.deepEqual(await bigquery.rows('whole'), []);
      await bigquery.run(
        query(
          'BEGIN TRANSACTION; INSERT INTO ds.whole (a) VALUES (3); DELETE FROM ds.whole WHERE a = 4; COMMIT TRANSACTION; SELECT a FROM ds.whole;',
        ),
        'script',
      );
      assert.deepEqual(await bigquery.rows('whole'), [['3']]);
      const [rows] = await bigquery.client.job('script').getQueryResults();
      assert.deepEqual(rows, [{ a: 3 }]);
    });

    it('fail with the status of their reason', async () => {
      await assert.rejects(
        bigquery.client.query('SELECT a FROM ds.nowhere'),
        errorCode(404, 'Not found: Table p:ds.nowhere was not found in location US'),
      );
      const broken = await bigquery.run(query('SELEC 1'));
      assert.equal(broken.status.state, 'DONE');
      assert.equal(broken.status.errorResult === undefined, false);
      await assert.rejects(bigquery.client.query('SELECT nothing FROM ds.once'), { code: 400 });
    });

    it('tell what they would read, without running', async () => {
      await load('dry', ['xx']);
      const [job] = await bigquery.client.createQueryJob({ query: 'SELECT a FROM ds.dry', dryRun: true });
      assert.equal(job.metadata.statistics.totalBytesProcessed, '4');
      assert.deepEqual(job.metadata.statistics.query.schema, { fields });
    });
  });

  it('describes itself to bq', async () => {
    const response = await fetch(`${bigquery.url}/$discovery/rest?version=v2`);
    const document = z.object({
      baseUrl: z.string(),
      resources: z.record(z.string(), z.object({ methods: z.record(z.string(), z.looseObject({ path: z.string() })) })),
    });
    const { baseUrl, resources } = document.parse(await response.json());
    assert.equal(baseUrl, `${bigquery.url}/bigquery/v2/`);
    assert.equal(resources['jobs']?.methods['getQueryResults']?.path, 'projects/{+projectId}/queries/{+jobId}');
  });

  it('loads a file that comes with the request', async () => {
    const path = join(bigquery.folder, 'local.csv');
    await writeFile(path, 'a\r\n"x\ny"\r\n');
    const options = { schema: { fields }, sourceFormat: 'CSV', skipLeadingRows: 1, allowQuotedNewlines: true } as const;
    await bigquery.client
      .dataset('ds')
      .table('uploaded')
      .load(path, { ...options, jobId: 'upload' });
    assert.deepEqual(await bigquery.rows('uploaded'), [['x\ny']]);
    assert.equal((await bigquery.ended('upload', 'US')).statistics.load?.['inputFileBytes'], '10');
  });
});

describe('a restart', () => {
  it('finds the jobs that have ended and the tables again', async () => {
    const first = await startBigQuery();
    await first.client.createDataset('ds', { location: 'US' });
    await first.run(loadOf(await first.put('t', 'a\nx\n'), 't', fields), 'done');
    await first.stop();

    const second = await startBigQuery({ folder: first.folder });
    try {
      assert.equal((await second.ended('done', 'US')).statistics.load?.['outputRows'], '1');
      assert.deepEqual(await second.rows('t'), [['x']]);
      await assert.rejects(second.run(query('SELECT 1'), 'done'), /409/);
    } finally {
      await second.close();
    }
  });
});
