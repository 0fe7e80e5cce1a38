import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { translate, type Statement } from '../../local/bigquery/sql/translate.ts';
import { openWarehouse } from './bigquery-sql-warehouse.ts';

const warehouse = await openWarehouse();

function parse(sql: string): Statement[] {
  return translate(sql, { project: 'p-x', quote: ({ dataset, table }) => `"${dataset}"."${table}"` }).statements;
}

await warehouse.run(`CREATE TABLE \`p-x.d_loading.members_staging_20261122T030000Z\` AS
  SELECT '1' AS id, '1.5' AS amount, 't' AS b, 'aGk=' AS x, '{"b":1,"a":[1,2.50]}' AS doc, '2020-01-01 00:00:00+00' AS t
  UNION ALL SELECT '2', '-0.00000000000000000000000000000000000001', NULL, NULL, NULL, NULL
  UNION ALL SELECT '3', 'NaN', 'f', '', 'null', NULL
  UNION ALL SELECT '4x', '1.123456789012345678901234567890123456789', 'f', NULL, '[', 'infinity'`);

describe('the split of a staging table', () => {
  it('loads the good rows with their types', async () => {
    await warehouse.run(`CREATE OR REPLACE TABLE \`p-x.d_loading.members_20261122T030000Z\`
        (\`id\` INT64 NOT NULL OPTIONS(description="the key"), \`amount\` BIGNUMERIC, \`b\` BOOL, \`x\` BYTES, \`doc\` JSON, \`t\` TIMESTAMP)
      OPTIONS(description="members", expiration_timestamp=TIMESTAMP "2026-11-24 03:00:00+00") AS
      SELECT SAFE_CAST(\`id\` AS INT64) AS \`id\`, SAFE_CAST(\`amount\` AS BIGNUMERIC) AS \`amount\`,
        CASE \`b\` WHEN 't' THEN TRUE WHEN 'f' THEN FALSE END AS \`b\`, SAFE.FROM_BASE64(\`x\`) AS \`x\`,
        SAFE.PARSE_JSON(\`doc\`, wide_number_mode=>'exact') AS \`doc\`, SAFE_CAST(\`t\` AS TIMESTAMP) AS \`t\`
      FROM \`p-x.d_loading.members_staging_20261122T030000Z\`
      WHERE NOT (\`id\` IS NOT NULL AND SAFE_CAST(\`id\` AS INT64) IS NULL)`);
    const { rows, types } = await warehouse.run('SELECT * FROM `p-x.d_loading.members_20261122T030000Z` ORDER BY id');
    assert.deepEqual(types, ['INT64', 'BIGNUMERIC', 'BOOL', 'BYTES', 'JSON', 'TIMESTAMP']);
    assert.deepEqual(rows, [
      ['1', '1.5', true, 'hi', '{"a":[1,2.5],"b":1}', '2020-01-01 00:00:00+00'],
      ['2', '-0.00000000000000000000000000000000000001', null, null, null, null],
      ['3', null, false, '', 'null', null],
    ]);
  });

  it('gives each bad row with its raw values and the reasons', async () => {
    const { rows, names } = await warehouse.run(`
      SELECT 'r' AS run_id, CAST(NULL AS STRING) AS part,
        [STRUCT('id' AS name, \`id\` AS value), STRUCT('amount', \`amount\`)] AS raw_row,
        ARRAY(SELECT AS STRUCT f.* FROM UNNEST([
          STRUCT('amount' AS column_name, 'numeric' AS postgres_type, 'BIGNUMERIC' AS bigquery_type, \`r_0\` AS reason,
            CASE WHEN \`amount\` = 'NaN' THEN CONCAT('length ', CAST(LENGTH(\`amount\`) AS STRING)) ELSE SUBSTR(\`amount\`, 1, 4) END AS detail),
          STRUCT('id', 'bigint', 'INT64', \`r_1\`, CAST(NULL AS STRING))]) AS f WHERE f.reason IS NOT NULL) AS failures
      FROM (SELECT *,
        CASE WHEN \`amount\` IS NULL OR (SAFE_CAST(\`amount\` AS BIGNUMERIC) IS NOT NULL AND NOT REGEXP_CONTAINS(\`amount\`, r'\\.\\d{39}')) THEN NULL
          WHEN LOWER(\`amount\`) = 'nan' THEN 'not-a-number'
          WHEN REGEXP_CONTAINS(\`amount\`, r'\\.\\d{39}') THEN 'too-many-decimals' ELSE 'unparseable' END AS \`r_0\`,
        CASE WHEN \`id\` IS NOT NULL AND SAFE_CAST(\`id\` AS INT64) IS NULL THEN 'unparseable' END AS \`r_1\`
        FROM \`p-x.d_loading.members_staging_20261122T030000Z\`)
      WHERE \`r_0\` IS NOT NULL OR \`r_1\` IS NOT NULL ORDER BY raw_row[OFFSET(0)].value`);
    assert.deepEqual(names, ['run_id', 'part', 'raw_row', 'failures']);
    const failure = (column: string, postgres: string, bigquery: string, reason: string, detail: string | null) => ({
      column_name: column,
      postgres_type: postgres,
      bigquery_type: bigquery,
      reason,
      detail,
    });
    assert.deepEqual(rows, [
      [
        'r',
        null,
        [
          { name: 'id', value: '3' },
          { name: 'amount', value: 'NaN' },
        ],
        [failure('amount', 'numeric', 'BIGNUMERIC', 'not-a-number', 'length 3')],
      ],
      [
        'r',
        null,
        [
          { name: 'id', value: '4x' },
          { name: 'amount', value: '1.123456789012345678901234567890123456789' },
        ],
        [
          failure('amount', 'numeric', 'BIGNUMERIC', 'too-many-decimals', '1.12'),
          failure('id', 'bigint', 'INT64', 'unparseable', null),
        ],
      ],
    ]);
  });
});

describe('CREATE and DROP', () => {
  it('carry target, columns, options and what they read', () => {
    assert.deepEqual(
      parse(`CREATE TABLE IF NOT EXISTS \`p-x.d.t\` (a ARRAY<STRUCT<x INT64, y NUMERIC(10, 2)>>, b STRING NOT NULL OPTIONS(description='d'))
        OPTIONS(expiration_timestamp=TIMESTAMP '2026-11-24 03:00:00+00', friendly_name="f")`),
      [
        {
          kind: 'createTable',
          target: { project: 'p-x', dataset: 'd', table: 't' },
          orReplace: false,
          ifNotExists: true,
          fields: [
            {
              name: 'a',
              type: 'STRUCT',
              mode: 'REPEATED',
              fields: [
                { name: 'x', type: 'INT64', mode: 'NULLABLE' },
                { name: 'y', type: 'NUMERIC', mode: 'NULLABLE', precision: 10, scale: 2 },
              ],
            },
            { name: 'b', type: 'STRING', mode: 'REQUIRED', description: 'd' },
          ],
          options: { expiration_timestamp: '2026-11-24 03:00:00+00', friendly_name: 'f' },
          reads: [],
        },
      ],
    );
    assert.deepEqual(parse('DROP VIEW IF EXISTS `p-x.d.v`'), [
      { kind: 'drop', object: 'view', target: { project: 'p-x', dataset: 'd', table: 'v' }, ifExists: true },
    ]);
  });

  it('a view keeps its text as written', () => {
    assert.deepEqual(parse('CREATE OR REPLACE VIEW `p-x.d.v` AS\n SELECT *  FROM `p-x.d.t_20261122` -- now\n;'), [
      {
        kind: 'createView',
        target: { project: 'p-x', dataset: 'd', table: 'v' },
        orReplace: true,
        query: 'SELECT *  FROM `p-x.d.t_20261122` -- now',
        sql: 'SELECT * FROM "d"."t_20261122" AS "t_20261122"',
        reads: [{ project: 'p-x', dataset: 'd', table: 't_20261122' }],
      },
    ]);
  });

  it('NUMERIC(p, s) rounds when it stores', async () => {
    await warehouse.run("CREATE TABLE d.n (v NUMERIC(4, 1)) AS SELECT NUMERIC '1.25'");
    assert.deepEqual((await warehouse.run('SELECT v FROM d.n')).rows, [['1.3']]);
    await assert.rejects(warehouse.run("CREATE TABLE d.n (v NUMERIC(4, 1)) AS SELECT NUMERIC '1000'"), /1000/u);
  });
});

describe('a script', () => {
  it('replaces a run’s rows in one transaction', async () => {
    await warehouse.run(`CREATE TABLE d.errors (run_id STRING, n INT64, seen TIMESTAMP, share NUMERIC, \`a "b"; c\` STRING)
      AS SELECT 'r', 1, TIMESTAMP '2020-01-01', NUMERIC '1', 'old' UNION ALL SELECT 'other', 2, NULL, NULL, NULL`);
    await warehouse.run(`BEGIN TRANSACTION;
      DELETE FROM \`p-x.d.errors\` WHERE run_id = 'r';
      INSERT INTO \`p-x.d.errors\` (\`run_id\`, n, \`a "b"; c\`) SELECT 'r' AS run_id, 3, """it's ; here""" UNION ALL SELECT 'r', 4, r'\\;';
      INSERT INTO \`p-x.d.errors\` (run_id, n, seen, share) VALUES ('r', 5, TIMESTAMP '2020-01-01 00:00:00+00', NUMERIC '0.5'),
        ('it\\'s', 6, '2021-01-01', 0.25);
      COMMIT TRANSACTION;`);
    assert.deepEqual((await warehouse.run('SELECT * FROM d.errors ORDER BY n')).rows, [
      ['other', '2', null, null, null],
      ['r', '3', null, null, "it's ; here"],
      ['r', '4', null, null, '\\;'],
      ['r', '5', '2020-01-01 00:00:00+00', '0.500000000', null],
      ["it's", '6', '2021-01-01 00:00:00+00', '0.250000000', null],
    ]);
    await warehouse.run("UPDATE d.errors SET n = n + 10, share = 1 WHERE run_id = 'other'; TRUNCATE TABLE d.n");
    assert.deepEqual((await warehouse.run("SELECT n, share FROM d.errors WHERE run_id = 'other'")).rows, [
      ['12', '1.000000000'],
    ]);
    assert.deepEqual((await warehouse.run('SELECT COUNT(*) FROM d.n')).rows, [['0']]);
  });

  it('stores nothing that BigQuery would not convert', async () => {
    const refused = (value: string, type: string, column: string) =>
      `Invalid Input Error: Value has type ${value} which cannot be inserted into a column of type ${type}${column}`;
    for (const [sql, message] of [
      ['INSERT INTO d.errors (run_id) VALUES (1)', refused('INT64', 'STRING', '')],
      ['INSERT INTO d.errors (n) SELECT 1.5', refused('FLOAT64', 'INT64', '')],
      ["INSERT INTO d.errors (seen) SELECT DATE '2020-01-01'", refused('DATE', 'TIMESTAMP', '')],
      ['UPDATE d.errors SET run_id = n WHERE TRUE', refused('INT64', 'STRING', '')],
    ] as const) {
      await assert.rejects(warehouse.run(sql), { message }, sql);
    }
    await assert.rejects(warehouse.run('INSERT INTO d.errors (n) SELECT 1, 2'), {
      message: 'Inserted row has wrong column count; Has 2, expected 1',
    });
    await assert.rejects(warehouse.run('INSERT INTO d.errors (n) SELECT * FROM (SELECT 1 AS a, 2 AS b)'), {
      message: 'Binder Error: Set operations can only apply to expressions with the same number of result columns',
    });
  });
});

describe('JavaScript functions', () => {
  it('take and give NULL as null', async () => {
    await warehouse.run(`CREATE TEMP FUNCTION draft(raw STRING, format STRING) RETURNS STRING LANGUAGE js AS r"""
        const document = JSON.parse(raw);
        return document === null ? null : format + ':' + Object.keys(document).join("\\n");
      """;
      CREATE OR REPLACE TABLE \`p-x.d.out\` AS SELECT *, draft(TO_JSON_STRING(\`doc\`), 'text') AS \`doc_text\`
      FROM \`p-x.d_loading.members_20261122T030000Z\``);
    assert.deepEqual((await warehouse.run('SELECT id, doc_text FROM d.out ORDER BY id')).rows, [
      ['1', 'text:a\nb'],
      ['2', null],
      ['3', null],
    ]);
  });

  it('two queries may give one name to different functions', async () => {
    const returning = (value: string) =>
      `CREATE TEMP FUNCTION f() RETURNS STRING LANGUAGE js AS "return '${value}'"; SELECT f()`;
    assert.deepEqual((await warehouse.run(returning('a'))).rows, [['a']]);
    assert.deepEqual((await warehouse.run(returning('b'))).rows, [['b']]);
  });

  it('see BigQuery’s types and nothing of Node', async () => {
    const { rows } =
      await warehouse.run(`CREATE TEMP FUNCTION f(x FLOAT64, b BOOL, l ARRAY<STRING>) RETURNS ARRAY<STRING>
      LANGUAGE js AS "return [typeof x, typeof b, l.join('+'), typeof process, typeof require]"; SELECT f(1, TRUE, ['a', 'b'])`);
    assert.deepEqual(rows, [[['number', 'boolean', 'a+b', 'undefined', 'undefined']]]);
  });

  it('are held to BigQuery’s limits', async () => {
    const call = (signature: string, body: string, args: string) =>
      warehouse.run(
        `CREATE TEMP FUNCTION f(${signature}) RETURNS STRING LANGUAGE js AS '''${body}'''; SELECT f(${args})`,
      );
    await assert.rejects(call('', `return 'x' // ${' '.repeat(32 * 1024)}`, ''), {
      message: 'JavaScript UDF f: inline code is 32782 bytes, the maximum is 32768: shorten it or load it as a library',
    });
    await assert.rejects(call('', "return 'x'.repeat(5 * 1024 * 1024 + 1)", ''), {
      message: 'Invalid Input Error: JavaScript UDF f: output of 5242881 bytes for one row, the maximum is 5242880',
    });
    await assert.rejects(call('x STRING', 'throw new Error("no " + x)', "'good'"), {
      message: 'Invalid Input Error: Error: no good',
    });
    await assert.rejects(call('x INT64', 'return x', '1'), {
      message: 'INT64 is not supported in JavaScript UDFs: use FLOAT64 or STRING',
    });
    await assert.rejects(call('x STRING', 'return x', '1'), {
      message: 'Invalid Input Error: Value has type INT64 which cannot be inserted into a column of type STRING',
    });
    await assert.rejects(call('', 'return (', ''), { message: /^JavaScript UDF f does not compile: / });
  });
});
