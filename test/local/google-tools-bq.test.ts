import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { Storage } from '@google-cloud/storage';
import { PassThroughClient } from 'google-auth-library';
import { googleToolLines } from '../../local/google-tools.ts';
import { openTools, PROJECT, without } from './google-tools.ts';

/** Google's own `bq` on the stack. It takes its second or two to start, so what can goes side by side. */

const CSV = 'id,name,amount,day\n1,one,1.50,2026-01-31\n2,"t,wo",,\n3,"dr""ei\nvier",-0.000000001,0001-01-01\n';
const ROWS = [
  { id: '1', name: 'one', amount: '1.5', day: '2026-01-31' },
  { id: '2', name: 't,wo', amount: null, day: null },
  { id: '3', name: 'dr"ei\nvier', amount: '-0.000000001', day: '0001-01-01' },
];
const SCHEMA = 'id:INTEGER,name:STRING,amount:NUMERIC,day:DATE';
const LOAD = 'load --skip_leading_rows=1 --allow_quoted_newlines';

test('bq loads, lists, shows, reads and removes', { skip: without('bq') }, async (t) => {
  const { bq, directory, ask, run, stack, endpoints } = await openTools(t);
  const json = async (what: string): Promise<unknown> => JSON.parse(await ask(`${bq} --format=json ${what}`));
  const [printed = ''] = googleToolLines(endpoints, 'commons.from_bucket');
  const [nothingYet = ''] = googleToolLines(endpoints, undefined);

  assert.equal(await ask(`${bq} mk commons`), "Dataset 'commons-local:commons' successfully created.\n");
  await writeFile(path.join(directory, 'rows.csv'), CSV);
  const storage = new Storage({ projectId: PROJECT, apiEndpoint: stack.storage, authClient: new PassThroughClient() });
  const [bucket] = await storage.createBucket('rows');
  await bucket.file('a/rows.csv').save(CSV);
  await Promise.all([
    ask(`${bq} ${LOAD} commons.from_file rows.csv ${SCHEMA}`),
    ask(`${bq} ${LOAD} commons.from_bucket gs://rows/a/rows.csv ${SCHEMA}`),
  ]);

  const [listed, shown] = await Promise.all([json('ls commons'), json('show commons.from_bucket')]);
  assert.deepEqual(
    (listed as { id: string; type: string }[]).map(({ id, type }) => [id, type]),
    [
      ['commons-local:commons.from_bucket', 'TABLE'],
      ['commons-local:commons.from_file', 'TABLE'],
    ],
  );
  const { schema, numRows, type } = shown as Record<string, unknown>;
  assert.deepEqual(
    { schema, numRows, type },
    {
      schema: {
        fields: [
          { name: 'id', type: 'INTEGER', mode: 'NULLABLE' },
          { name: 'name', type: 'STRING', mode: 'NULLABLE' },
          { name: 'amount', type: 'NUMERIC', mode: 'NULLABLE' },
          { name: 'day', type: 'DATE', mode: 'NULLABLE' },
        ],
      },
      numRows: '3',
      type: 'TABLE',
    },
  );
  const [head, rows] = await Promise.all([
    json('head commons.from_file'),
    json("query --nouse_legacy_sql 'SELECT * FROM commons.from_bucket WHERE id < 3 ORDER BY id DESC'"),
  ]);
  assert.deepEqual(head, ROWS);
  assert.deepEqual(rows, [ROWS[1], ROWS[0]]);

  // What `npm start` prints, as it is.
  const [counted, refused] = await Promise.all([ask(printed), run(`${bq} extract commons.from_file gs://rows/x`)]);
  assert.equal(counted, '+---+\n| n |\n+---+\n| 3 |\n+---+\n');
  // A refusal is repeated, in lines of 80 characters.
  assert.equal(refused.code, 1);
  assert.equal(
    refused.stdout.replaceAll('\n', ' ').trim(),
    'BigQuery error in extract operation: The local BigQuery does not implement: extract jobs',
  );

  await ask(`${bq} rm -f -t commons.from_file`);
  const [left, datasets] = await Promise.all([json('ls commons'), ask(nothingYet)]);
  assert.deepEqual(
    (left as { id: string }[]).map(({ id }) => id),
    ['commons-local:commons.from_bucket'],
  );
  assert.equal(datasets, '  datasetId  \n -----------\n  commons    \n'.replace('-\n', '- \n'));
  await ask(`${bq} rm -r -f -d commons`);
  assert.equal(await ask(nothingYet), '');
});
