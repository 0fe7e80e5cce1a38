import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Json } from '@duckdb/node-api';
import { openWarehouse } from './bigquery-sql-warehouse.ts';

const warehouse = await openWarehouse();

/** Each expression's value and, where given, its type. */
async function values(cases: [string, Json, string?][]): Promise<void> {
  for (const [expression, value, type] of cases) {
    const { rows, types } = await warehouse.run(`SELECT ${expression}`);
    assert.deepEqual(rows, [[value]], expression);
    if (type !== undefined) assert.deepEqual(types, [type], expression);
  }
}

describe('functions on strings and bytes', () => {
  it('count characters, from either end', () =>
    values([
      ["SUBSTR('abcdef', 2, 3)", 'bcd', 'STRING'],
      ["SUBSTR('abc', -2)", 'bc'],
      ["SUBSTR('abc', 0)", 'abc'],
      ["SUBSTR('abc', -10, 2)", 'ab'],
      ["SAFE.SUBSTR('abc', 1, -1)", null],
      ["LENGTH('añb')", '3', 'INT64'],
      ["BYTE_LENGTH('añb')", '4'],
      ["LENGTH(b'\\xff\\xff')", '2'],
      ["STRPOS('hello', 'l')", '3'],
      ["REVERSE('añb')", 'bña'],
      ["LPAD('a', 3, 'xy')", 'xya'],
      ["RPAD('abc', 2)", 'ab'],
      ["TRIM('  x\\t\\u3000')", 'x'],
      ["LTRIM('xxab', 'x')", 'ab'],
      ["SPLIT('a,b')", ['a', 'b'], 'ARRAY<STRING>'],
      ["SPLIT('abc', '')", ['a', 'b', 'c']],
      ["UPPER('straße')", 'STRASSE'],
      ["REPLACE('abc', 'b', 'x')", 'axc'],
      ["STARTS_WITH('abc', 'ab') AND ENDS_WITH('abc', 'bc')", true],
      ["FORMAT('%s-%d-%05d-%.2f-%t-%%', 'a', 5, 42, 1.5, TRUE)", 'a-5-00042-1.50-true-%'],
    ]));

  it('join to NULL if any part is NULL', () =>
    values([
      ["CONCAT('a', 'b', 'c')", 'abc', 'STRING'],
      ["CONCAT('a', CAST(NULL AS STRING))", null],
      ["'a' || 'b' || CAST(NULL AS STRING)", null],
      ['[1] || [2]', ['1', '2'], 'ARRAY<INT64>'],
    ]));

  it('match regular expressions anywhere, replace all, extract the group or NULL', () =>
    values([
      ["REGEXP_CONTAINS('foobar', r'o+b')", true, 'BOOL'],
      ["REGEXP_REPLACE('aXbX', 'X', '-')", 'a-b-'],
      ["REGEXP_REPLACE('abc', r'(b)', r'<\\1>')", 'a<b>c'],
      ["REGEXP_EXTRACT('foo123', r'\\d+')", '123'],
      ["REGEXP_EXTRACT('foo123', r'([a-z]+)\\d')", 'foo'],
      ["REGEXP_EXTRACT('foo', r'\\d+')", null],
      ["REGEXP_EXTRACT_ALL('a1b22', r'\\d+')", ['1', '22']],
      ["'a_b' LIKE 'a\\\\_b' AND 'axb' NOT LIKE 'a\\\\_b'", true],
    ]));

  it('encode and hash', () =>
    values([
      ["FROM_BASE64('aGk=') = b'hi' AND FROM_BASE64('aGk') = b'hi'", true],
      ["SAFE.FROM_BASE64('!!')", null],
      ["TO_HEX(FROM_HEX('0fF'))", '00ff'],
      ["SAFE.FROM_HEX('zz')", null],
      ["TO_BASE64(b'hi')", 'aGk='],
      ["TO_HEX(MD5('abc'))", '900150983cd24fb0d6963f7d28e17f72'],
      ["TO_HEX(SHA256('abc'))", 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
      // The examples of BigQuery's documentation.
      ["FARM_FINGERPRINT('1footrue')", '-1541654101129638711', 'INT64'],
      ["FARM_FINGERPRINT('2applefalse')", '2794438866806483259'],
      ["FARM_FINGERPRINT('3true')", '-4880158226897771312'],
      // Published values of FarmHash's Fingerprint64 for its longer forms.
      ["FARM_FINGERPRINT('test')", '8581389452482819506'],
      ["FARM_FINGERPRINT(REPEAT('test', 8))", '-4196240717365766262'],
      ["FARM_FINGERPRINT(REPEAT('test', 64))", '3500507768004279527'],
    ]));
});

describe('numbers', () => {
  it('divide to FLOAT64, round halves away from zero, and keep NUMERIC exact', () =>
    values([
      ['7 / 2', 3.5, 'FLOAT64'],
      ['DIV(-7, 2)', '-3', 'INT64'],
      ['MOD(-7, 3)', '-1'],
      ['ROUND(-2.5)', -3],
      ['ROUND(2)', 2, 'FLOAT64'],
      ["ROUND(NUMERIC '1.235', 2)", '1.240000000', 'NUMERIC'],
      ["NUMERIC '1.5' * NUMERIC '1.5'", '2.250000000', 'NUMERIC'],
      ["NUMERIC '2' / NUMERIC '3'", '0.666666667', 'NUMERIC'],
      ["NUMERIC '0.5' * 2.5", '1.250000000', 'NUMERIC'],
      ['SAFE_DIVIDE(1, 0)', null],
      ['GREATEST(1, NULL, 3)', null],
      ['-9223372036854775808', '-9223372036854775808', 'INT64'],
      ["BIGNUMERIC '1.5' = NUMERIC '1.5' AND BIGNUMERIC '2' > 1", true],
    ]));

  it('hold NaN unequal to all and least in order', async () => {
    await values([
      ["CAST('nan' AS FLOAT64) = CAST('nan' AS FLOAT64)", false],
      ["CAST('nan' AS FLOAT64) != CAST('nan' AS FLOAT64)", true],
      ["CAST('nan' AS FLOAT64) > 1", false],
    ]);
    const list = "UNNEST([1.5, CAST('nan' AS FLOAT64), NULL]) AS x";
    assert.deepEqual((await warehouse.run(`SELECT x FROM ${list} ORDER BY x`)).rows, [[null], ['NaN'], [1.5]]);
    assert.deepEqual((await warehouse.run(`SELECT x FROM ${list} ORDER BY x DESC`)).rows, [[1.5], ['NaN'], [null]]);
    assert.deepEqual((await warehouse.run(`SELECT MIN(x), MAX(x) FROM ${list}`)).rows, [['NaN', 'NaN']]);
  });

  for (const [sql, message] of [
    ['1 / 0', 'Invalid Input Error: division by zero: 1 / 0'],
    ['DIV(1, 0)', 'Invalid Input Error: division by zero: DIV(1, 0)'],
    ['1e308 * 10', 'Invalid Input Error: Floating point overflow'],
    ['9223372036854775807 + 1', 'Out of Range Error: Overflow in addition of INT64 (9223372036854775807 + 1)!'],
    ['[1, 2][OFFSET(5)]', 'Invalid Input Error: Array index 5 is out of bounds'],
  ] as const) {
    it(`${sql} fails`, async () => {
      await assert.rejects(warehouse.run(`SELECT ${sql}`), { message });
    });
  }
});

describe('dates and times', () => {
  it('add and cut by the calendar, weeks from Sunday', () =>
    values([
      ["DATE_ADD(DATE '2020-01-31', INTERVAL 1 MONTH)", '2020-02-29', 'DATE'],
      ["DATE '2020-01-31' + 1", '2020-02-01', 'DATE'],
      ["DATE_TRUNC(DATE '2020-05-20', WEEK)", '2020-05-17'],
      ["DATE_TRUNC(DATE '2020-05-17', ISOWEEK)", '2020-05-11'],
      ["DATE_DIFF('2020-01-05', '2020-01-04', WEEK)", '1'],
      ["TIMESTAMP_SUB('2020-01-01 00:00:00+00', INTERVAL 1 DAY)", '2019-12-31 00:00:00+00', 'TIMESTAMP'],
      ["TIMESTAMP_TRUNC(TIMESTAMP '2020-01-01 03:00:00+00', DAY, 'America/New_York')", '2019-12-31 05:00:00+00'],
      ["TIME_ADD(TIME '23:59:59', INTERVAL 2 SECOND)", '00:00:01'],
      ["LAST_DAY(DATE '2020-02-01')", '2020-02-29'],
    ]));

  it('count whole units of timestamps, boundaries of datetimes', () =>
    values([
      ["TIMESTAMP_DIFF(TIMESTAMP '2020-01-01 10:00:00+00', TIMESTAMP '2020-01-01 09:00:01+00', HOUR)", '0', 'INT64'],
      ["TIMESTAMP_DIFF(TIMESTAMP '2020-01-01 09:00:01+00', TIMESTAMP '2020-01-01 10:00:00+00', MINUTE)", '-59'],
      ["DATETIME_DIFF(DATETIME '2020-01-01 10:00:00', DATETIME '2020-01-01 09:59:59', HOUR)", '1'],
    ]));

  it('extract their parts, in a zone if asked', () =>
    values([
      ["EXTRACT(DAYOFWEEK FROM DATE '2020-05-17')", '1', 'INT64'],
      ["EXTRACT(WEEK FROM DATE '2020-01-04')", '0'],
      ["EXTRACT(HOUR FROM TIMESTAMP '2020-01-01 10:00:00+00' AT TIME ZONE 'America/New_York')", '5'],
      ["EXTRACT(DATE FROM TIMESTAMP '2020-01-01 01:00:00+00' AT TIME ZONE 'America/New_York')", '2019-12-31', 'DATE'],
      ["EXTRACT(MILLISECOND FROM TIMESTAMP '2020-01-01 10:00:05.123456+00')", '123'],
      ["EXTRACT(MICROSECOND FROM TIMESTAMP '2020-01-01 10:00:05.123456+00')", '123456'],
    ]));

  it('convert, format and parse', () =>
    values([
      ["TIMESTAMP('2020-01-01 00:00:00', 'America/New_York')", '2020-01-01 05:00:00+00'],
      ["DATE(TIMESTAMP '2020-01-01 01:00:00+00', 'America/New_York')", '2019-12-31'],
      ["DATETIME(DATE '2020-01-01', TIME '10:00:00')", '2020-01-01 10:00:00'],
      ["UNIX_SECONDS(TIMESTAMP '1969-12-31 23:59:59.5+00')", '-1'],
      ['TIMESTAMP_MILLIS(1500)', '1970-01-01 00:00:01.5+00'],
      ["FORMAT_TIMESTAMP('%F %T', TIMESTAMP '2020-01-01 00:00:00+00', 'America/New_York')", '2019-12-31 19:00:00'],
      ["PARSE_DATE('%Y%m%d', '20200102')", '2020-01-02'],
      ["SAFE.PARSE_DATE('%F', 'x')", null],
    ]));
});

describe('JSON', () => {
  it('is canonical: keys sorted, the first of two kept, numbers exact or refused', () =>
    values([
      [`PARSE_JSON('{"b":1,"a":{"d":[],"c":{}},"a":3}')`, '{"a":{"c":{},"d":[]},"b":1}', 'JSON'],
      ["PARSE_JSON('[18446744073709551615, 1e2, 1.50, 0.1]')", '[18446744073709551615,100.0,1.5,0.1]'],
      [`SAFE.PARSE_JSON('{"n":0.10000000000000000001}')`, null],
      [`SAFE.PARSE_JSON('{"n":18446744073709551617}', wide_number_mode=>'exact')`, null],
      ["PARSE_JSON('0.10000000000000000001', wide_number_mode=>'round')", '0.1'],
      ["SAFE.PARSE_JSON('1e400', wide_number_mode=>'round')", null],
      ["SAFE.PARSE_JSON('{a:1}')", null],
      ["PARSE_JSON('null') IS NULL", false],
      ['PARSE_JSON(CAST(NULL AS STRING))', null],
      [`SAFE.PARSE_JSON(CONCAT(REPEAT('[', 500), REPEAT(']', 500))) IS NOT NULL`, true],
      [`SAFE.PARSE_JSON(CONCAT(REPEAT('[', 501), REPEAT(']', 501)))`, null],
    ]));

  it('is read by path', () =>
    values([
      [`JSON_VALUE('{"a":{"b c":[1.50]}}', '$.a."b c"[0]')`, '1.50', 'STRING'],
      [`JSON_VALUE(JSON '{"a":{"b":[1.50]}}', '$.a.b[0]')`, '1.5', 'STRING'],
      [`JSON_VALUE('{"a":{}}', '$.a')`, null],
      [`JSON_QUERY('{"a": [1, 2]}', '$.a')`, '[1,2]', 'STRING'],
      [`JSON_QUERY(JSON '{"a": [1, 2]}', '$.a')`, '[1,2]', 'JSON'],
      [`JSON '{"a":{"b":1}}'['a']`, '{"b":1}', 'JSON'],
      [`INT64(JSON '5')`, '5', 'INT64'],
      [`STRING(JSON '"x"')`, 'x', 'STRING'],
    ]));

  it('is written with wide numbers and times as strings', () =>
    values([
      [
        `TO_JSON_STRING(STRUCT(1 AS a, 'x"y' AS b, [1.5, 2] AS c, TIMESTAMP '2020-01-01 00:00:00.5+00' AS t, JSON '{"b":1,"a":2}' AS j,
          BIGNUMERIC '1.5' AS n, NUMERIC '2' AS m, b'hi' AS y, DATE '2020-01-01' AS d, 9007199254740993 AS w))`,
        '{"a":1,"b":"x\\"y","c":[1.5,2],"t":"2020-01-01T00:00:00.500Z","j":{"a":2,"b":1},"n":"1.5","m":2,"y":"aGk=","d":"2020-01-01","w":"9007199254740993"}',
      ],
      ['TO_JSON_STRING(CAST(NULL AS JSON))', 'null'],
      ['TO_JSON_STRING(JSON \'"a"\')', '"a"'],
      ["TO_JSON_STRING('a')", '"a"'],
    ]));
});
