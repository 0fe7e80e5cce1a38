import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Json } from '@duckdb/node-api';
import { openWarehouse } from './bigquery-sql-warehouse.ts';

const warehouse = await openWarehouse();
await warehouse.run(`
  CREATE TABLE \`p-x.d.t\` (id INT64, \`select\` STRING, \`a "b". c\` STRING, n NUMERIC, f FLOAT64, arr ARRAY<INT64>, s STRUCT<x INT64, y STRING>)
  AS SELECT 1, 'one', 'é', NUMERIC '1.5', 0.5, [10, 20], STRUCT(7 AS x, 'y' AS y)
  UNION ALL SELECT 2, 'two', NULL, NUMERIC '2.5', NULL, ARRAY<INT64>[], NULL`);

async function rows(sql: string, expected: Json[][], names?: string[]): Promise<void> {
  const answer = await warehouse.run(sql);
  assert.deepEqual(answer.rows, expected, sql);
  if (names) assert.deepEqual(answer.names, names, sql);
}

describe('SELECT', () => {
  it('names columns as BigQuery does', () =>
    rows(
      'SELECT ID, id + 1, s.y, `select`, 5 AS five, arr[OFFSET(0)] FROM `p-x`.d.t WHERE id = 1',
      [['1', '2', 'y', 'one', '5', '10']],
      ['ID', 'f0_', 'y', 'select', 'five', 'f1_'],
    ));

  it('reads any column name, any quoting of the table', async () => {
    await rows('SELECT `a "b". c` FROM p-x.d.t ORDER BY id', [['é'], [null]]);
    await rows('SELECT x.id FROM `p-x.d`.t AS x WHERE x.id > 1', [['2']]);
    await rows('SELECT t.id FROM t WHERE t.`select` IN ("two", "three")', [['2']]);
  });

  it('* EXCEPT and REPLACE', () =>
    rows('SELECT * EXCEPT (arr, s, f, n, `a "b". c`) REPLACE (id * 10 AS id) FROM d.t ORDER BY 1', [
      ['10', 'one'],
      ['20', 'two'],
    ]));

  it('sorts NULL first, or last when descending', async () => {
    await rows('SELECT id FROM d.t ORDER BY f', [['2'], ['1']]);
    await rows('SELECT id FROM d.t ORDER BY f DESC', [['1'], ['2']]);
    await rows('SELECT id FROM d.t ORDER BY f NULLS LAST', [['1'], ['2']]);
  });

  it('lets a SELECT alias win in GROUP BY and ORDER BY', async () => {
    await rows('SELECT MOD(id, 1) AS id, COUNT(*) AS n FROM d.t GROUP BY id', [['0', '2']]);
    await rows('SELECT -id AS id FROM d.t ORDER BY id', [['-2'], ['-1']]);
    await rows('SELECT -id AS id FROM d.t ORDER BY id + 0', [['-2'], ['-1']]);
  });

  it('LIMIT, OFFSET, DISTINCT', async () => {
    await rows('SELECT id FROM d.t ORDER BY id LIMIT 1 OFFSET 1', [['2']]);
    await rows('SELECT DISTINCT x FROM UNNEST([3, 1, 1, NULL]) AS x ORDER BY x DESC', [['3'], ['1'], [null]]);
  });

  it('set operations', async () => {
    await rows('SELECT 1 AS a UNION DISTINCT SELECT 1 UNION ALL SELECT 2 ORDER BY a', [['1'], ['2']], ['a']);
    await rows('SELECT 1 AS a EXCEPT DISTINCT SELECT 2', [['1']]);
    await rows('(SELECT 1 AS a) INTERSECT DISTINCT (SELECT 1)', [['1']]);
  });
});

describe('FROM', () => {
  it('joins, with USING and without', async () => {
    await rows(
      `WITH a AS (SELECT 1 AS k, 'l' AS l UNION ALL SELECT 2, 'm'), b AS (SELECT 1 AS k, 'r' AS r)
       SELECT * FROM a LEFT JOIN b USING (k) ORDER BY k`,
      [
        ['1', 'l', 'r'],
        ['2', 'm', null],
      ],
      ['k', 'l', 'r'],
    );
    await rows('SELECT a.id AS x, b.id AS y FROM d.t AS a FULL OUTER JOIN d.t AS b ON a.id = b.id + 1 ORDER BY x', [
      [null, '2'],
      ['1', null],
      ['2', '1'],
    ]);
  });

  it('UNNEST: correlated, WITH OFFSET, of STRUCTs', async () => {
    await rows('SELECT id, x, o FROM d.t, UNNEST(t.arr) AS x WITH OFFSET AS o ORDER BY o', [
      ['1', '10', '0'],
      ['1', '20', '1'],
    ]);
    await rows('SELECT id, x FROM d.t, t.arr AS x ORDER BY x DESC', [
      ['1', '20'],
      ['1', '10'],
    ]);
    await rows('SELECT id, x FROM d.t LEFT JOIN UNNEST(arr) AS x ORDER BY id, x', [
      ['1', '10'],
      ['1', '20'],
      ['2', null],
    ]);
    await rows(
      "SELECT * FROM UNNEST([STRUCT(1 AS a, 'x' AS b), STRUCT(2, 'y')])",
      [
        ['1', 'x'],
        ['2', 'y'],
      ],
      ['a', 'b'],
    );
  });

  it('subqueries: scalar, EXISTS, IN, ARRAY', async () => {
    await rows('SELECT (SELECT MAX(b.id) FROM d.t AS b WHERE b.id = a.id) + 1 AS m FROM d.t AS a ORDER BY m', [
      ['2'],
      ['3'],
    ]);
    await rows('SELECT id FROM d.t AS a WHERE EXISTS (SELECT 1 FROM d.t AS b WHERE b.id > a.id)', [['1']]);
    await rows('SELECT id FROM d.t WHERE id IN (SELECT 2) AND 20 NOT IN UNNEST(arr)', [['2']]);
    await rows('SELECT ARRAY(SELECT x * 2 FROM UNNEST(arr) AS x ORDER BY x DESC) FROM d.t ORDER BY id', [
      [['40', '20']],
      [[]],
    ]);
    await rows('SELECT AS STRUCT 1 AS a, "b" AS b', [[{ a: '1', b: 'b' }]]);
  });
});

describe('aggregates and windows', () => {
  it('keep BigQuery’s types', async () => {
    const answer = await warehouse.run(
      'SELECT SUM(id), AVG(id), SUM(n), AVG(n), MIN(f), COUNT(*), COUNTIF(id > 1), SUM(id) / COUNT(*), ROUND(AVG(id), 1), COALESCE(SUM(f), 0) FROM d.t',
    );
    assert.deepEqual(answer.types, [
      'INT64',
      'FLOAT64',
      'NUMERIC',
      'NUMERIC',
      'FLOAT64',
      'INT64',
      'INT64',
      'FLOAT64',
      'FLOAT64',
      'FLOAT64',
    ]);
    assert.deepEqual(answer.rows, [['3', 1.5, '4.000000000', '2.000000000', 0.5, '2', '1', 1.5, 1.5, 0.5]]);
  });

  it('HAVING and ORDER BY see aliases and aggregates', () =>
    rows(
      'SELECT MOD(x, 2) AS k, COUNT(*) AS n FROM UNNEST([1, 2, 3, 5]) AS x GROUP BY k HAVING n > 0 AND SUM(x) > 1 ORDER BY SUM(x) DESC',
      [
        ['1', '3'],
        ['0', '1'],
      ],
    ));

  it('collect', () =>
    rows(
      `SELECT STRING_AGG(x, '-' ORDER BY x DESC), ARRAY_AGG(x ORDER BY x LIMIT 2), ARRAY_AGG(DISTINCT x IGNORE NULLS ORDER BY x),
         APPROX_COUNT_DISTINCT(x), BIT_XOR(LENGTH(x)) FROM UNNEST(['a', 'c', 'b', 'b']) AS x`,
      [['c-b-b-a', ['a', 'b'], ['a', 'b', 'c'], '3', '0']],
    ));

  it('number, look back and run totals', () =>
    rows(
      `SELECT x, ROW_NUMBER() OVER (ORDER BY x DESC), RANK() OVER (ORDER BY MOD(x, 2)), LAG(x, 1, 0) OVER (ORDER BY x),
         SUM(x) OVER (PARTITION BY MOD(x, 2) ORDER BY x ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
       FROM UNNEST([1, 2, 3]) AS x QUALIFY LEAD(x) OVER (ORDER BY x) IS NOT NULL ORDER BY x`,
      [
        ['1', '3', '2', '0', '1'],
        ['2', '2', '1', '1', '2'],
      ],
    ));
});

describe('literals and parameters', () => {
  it('lexes every form of string, comment and identifier', () =>
    rows(
      'SELECT \'a\\\'b\\n\', """x "y"\nz""", r\'a\\b\', b"\\xff\\101" = FROM_HEX("ff41"), "\\u00e9", \'--no\' /* ; */ # rest ;\n-- more ;\n, 0x1F, .5',
      [["a'b\n", 'x "y"\nz', 'a\\b', true, 'é', '--no', '31', 0.5]],
    ));

  it('takes named and positional parameters', async () => {
    const integer = { type: 'INT64' };
    const named = await warehouse.run('SELECT @n + 1, @day, @list[OFFSET(1)], @none IS NULL', [
      { name: 'n', parameterType: integer, parameterValue: { value: '41' } },
      { name: 'day', parameterType: { type: 'DATE' }, parameterValue: { value: '2020-01-02' } },
      {
        name: 'list',
        parameterType: { type: 'ARRAY', arrayType: { type: 'STRING' } },
        parameterValue: { arrayValues: [{ value: 'a' }, { value: "b'" }] },
      },
      { name: 'none', parameterType: integer, parameterValue: {} },
    ]);
    assert.deepEqual(named.rows, [['42', '2020-01-02', "b'", true]]);
    const positional = await warehouse.run('SELECT ? || ?', [
      { parameterType: { type: 'STRING' }, parameterValue: { value: 'a' } },
      { parameterType: { type: 'STRING' }, parameterValue: { value: 'b' } },
    ]);
    assert.deepEqual(positional.rows, [['ab']]);
  });
});
