import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ApiError } from '../../local/http.ts';
import { translate } from '../../local/bigquery/sql/translate.ts';
import { openWarehouse } from './bigquery-sql-warehouse.ts';

const warehouse = await openWarehouse();

function refusal(sql: string): { status: number; reason: string; message: string } {
  try {
    translate(sql, { project: 'p', quote: ({ dataset, table }) => `"${dataset}"."${table}"` });
  } catch (error) {
    if (error instanceof ApiError) return { status: error.status, reason: error.reason, message: error.message };
    throw error;
  }
  throw new assert.AssertionError({ message: `accepted: ${sql}` });
}

describe('what is not implemented is refused by name, never guessed', () => {
  for (const [sql, construct] of [
    ['SELECT NO_SUCH(1)', 'the function NO_SUCH'],
    ['SELECT NET.HOST("x")', 'functions of NET'],
    ['SELECT * FROM `p.d.t_*`', 'wildcard tables and _TABLE_SUFFIX'],
    ['SELECT * FROM `p.d.t` WHERE _TABLE_SUFFIX = "x"', 'the pseudo-column _TABLE_SUFFIX'],
    ['SELECT * FROM d.INFORMATION_SCHEMA.TABLES', 'INFORMATION_SCHEMA'],
    ['SELECT * FROM d.t FOR SYSTEM_TIME AS OF x', 'FOR SYSTEM_TIME AS OF'],
    ['SELECT * FROM d.t, UNNEST(t.arr) AS x', 'SELECT * over UNNEST of an array of unknown elements: name the columns'],
    ['SELECT INTERVAL 1 DAY', 'INTERVAL outside date and time functions'],
    ['SELECT a[0] FROM d.t', 'array[index] without OFFSET, ORDINAL, SAFE_OFFSET or SAFE_ORDINAL'],
    ['SELECT SUM(a) OVER w FROM d.t WINDOW w AS ()', 'named windows'],
    ['SELECT a FROM d.t GROUP BY ROLLUP (a)', 'GROUP BY ROLLUP'],
    ['SELECT FORMAT_DATE("%Q", d) FROM d.t', 'the date format element %Q'],
    [
      'SELECT REGEXP_EXTRACT(a, r"(x)?") FROM d.t',
      'REGEXP_EXTRACT with a capturing group that may take no part in the match',
    ],
    ['WITH RECURSIVE a AS (SELECT 1) SELECT 1', 'WITH RECURSIVE'],
    ['MERGE d.t USING d.s ON TRUE WHEN MATCHED THEN DELETE', 'the statement MERGE'],
    ['DECLARE x INT64', 'the statement DECLARE'],
    ['EXECUTE IMMEDIATE "SELECT 1"', 'the statement EXECUTE'],
    ['UPDATE d.t SET a = 1 FROM d.s WHERE TRUE', 'UPDATE … FROM'],
    ['INSERT INTO d.t SELECT 1', 'INSERT without a column list'],
    ['CREATE TABLE d.t (a STRING(10))', 'type parameters of STRING'],
    ['CREATE TABLE d.t PARTITION BY x AS SELECT 1 AS x', 'CREATE TABLE … PARTITION'],
    ['CREATE TEMP FUNCTION f() AS (1); SELECT f()', 'CREATE TEMP FUNCTION in SQL'],
  ] as const) {
    it(sql, () => {
      assert.deepEqual(refusal(sql), {
        status: 501,
        reason: 'notImplemented',
        message: `The local BigQuery does not implement: ${construct}`,
      });
    });
  }
});

describe('what BigQuery refuses is refused', () => {
  for (const [sql, message] of [
    ['SELECT 1 +', 'Syntax error: Unexpected end of script at [1:11]'],
    ['SELECT `a', 'Syntax error: Unclosed identifier at [1:8]'],
    ["SELECT\n'a\nb'", 'Syntax error: Unclosed string literal at [2:1]'],
    ["SELECT 'x''y'", 'Syntax error: Expected end of statement but got "\'y\'" at [1:11]'],
    ["SELECT '\\q'", 'Syntax error: Illegal escape sequence: \\q in literal at [1:8]'],
    ['SELECT 1 AS a, 2 AS A', 'Duplicate column names in the result are not supported. Found duplicate(s): a'],
    [
      'SELECT 1 UNION SELECT 2',
      'Syntax error: Expected ALL or DISTINCT after the set operator but got "UNION" at [1:10]',
    ],
    [
      'SELECT 1 UNION ALL SELECT 2, 3',
      'Queries in UNION ALL have mismatched column count; query 1 has 1 column(s), query 2 has 2 column(s)',
    ],
    ['SELECT * FROM t', 'Table "t" must be qualified with a dataset (e.g. dataset.table).'],
    ['DELETE FROM d.t', 'DELETE must have a WHERE clause'],
    ['SELECT RANK() FROM d.t', 'Window function RANK requires an OVER clause'],
    ['SELECT @x', "Query parameter 'x' not found"],
    ['', 'Syntax error: Unexpected end of statement at [1:1]'],
  ] as const) {
    it(sql === '' ? 'an empty script' : sql, () => {
      assert.deepEqual(refusal(sql), { status: 400, reason: 'invalidQuery', message });
    });
  }

  for (const [sql, message] of [
    ["1 + 'a'", 'No matching signature for operator +'],
    ["'a' || 1", 'No matching signature for || or CONCAT for argument type INT64'],
    [
      "DATE '2020-01-01' = TIMESTAMP '2020-01-01'",
      'No matching signature for operator = for argument types: DATE, TIMESTAMP',
    ],
    ["NUMERIC '1' > '1'", 'No matching signature for literal for argument types: NUMERIC, STRING'],
    ["DATE '2020-01-02' - DATE '2020-01-01'", 'The local BigQuery does not implement DATE - DATE: use DATE_DIFF'],
    ["BIGNUMERIC '1' + BIGNUMERIC '1'", 'The local BigQuery does not implement BIGNUMERIC + …'],
    ["TO_HEX('a')", 'No matching signature for function TO_HEX for argument type STRING'],
  ] as const) {
    it(sql, async () => {
      await assert.rejects(warehouse.run(`SELECT ${sql}`), { message: `Invalid Input Error: ${message}` });
    });
  }
});
