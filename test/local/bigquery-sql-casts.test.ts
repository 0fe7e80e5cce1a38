import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Json } from '@duckdb/node-api';
import { openWarehouse } from './bigquery-sql-warehouse.ts';

const warehouse = await openWarehouse();

/** Each text under SAFE_CAST to the type, from a column, so that nothing is folded away; null is what BigQuery refuses. */
async function safeCasts(type: string, cases: [string, Json][]): Promise<void> {
  const rows = cases.map(([text], index) => `STRUCT(${index} AS i, ${JSON.stringify(text)} AS v)`);
  const answer = await warehouse.run(
    `SELECT v, SAFE_CAST(v AS ${type}) FROM (SELECT e.i, e.v FROM UNNEST([${rows.join(', ')}]) AS e) ORDER BY i`,
  );
  assert.deepEqual(
    answer.rows,
    cases.map(([text, value]) => [text, value]),
  );
  assert.equal(answer.types[1], type);
}

describe('SAFE_CAST from STRING', () => {
  it('to INT64 takes whole numbers and hex, and never rounds', () =>
    safeCasts('INT64', [
      ['12', '12'],
      [' +12\t', '12'],
      ['-0x1F', '-31'],
      ['9223372036854775807', '9223372036854775807'],
      ['-9223372036854775808', '-9223372036854775808'],
      ['9223372036854775808', null],
      ['1.5', null],
      ['1e3', null],
      ['1_000', null],
      ['', null],
    ]));

  it('to NUMERIC rounds halves away from zero beyond 9 decimals and has no NaN', () =>
    safeCasts('NUMERIC', [
      ['1.23456789012', '1.234567890'],
      ['-1.0000000005', '-1.000000001'],
      ['1e5', '100000.000000000'],
      ['999999999.9999999995', '1000000000.000000000'],
      ['0.00000000049999999999999999999999999999999999999', '0.000000000'],
      ['-0000000000000000000000000000000000000000012.5', '-12.500000000'],
      ['.5', '0.500000000'],
      ['5.', '5.000000000'],
      ['99999999999999999999999999999.999999999', '99999999999999999999999999999.999999999'],
      ['99999999999999999999999999999.9999999995', null],
      ['100000000000000000000000000000', null],
      ['1e400', null],
      ['1e-400', '0.000000000'],
      ['NaN', null],
      ['Infinity', null],
    ]));

  it('to BIGNUMERIC is exact over its whole range', () =>
    safeCasts('BIGNUMERIC', [
      ['1.50', '1.5'],
      ['-0.00000000000000000000000000000000000001', '-0.00000000000000000000000000000000000001'],
      ['0.000000000000000000000000000000000000005', '0.00000000000000000000000000000000000001'],
      [
        '578960446186580977117854925043439539266.34992332820282019728792003956564819967',
        '578960446186580977117854925043439539266.34992332820282019728792003956564819967',
      ],
      ['5.7896044618658097711785492504343953926634992332820282019728792003956564819968E38', null],
      [
        '-5.7896044618658097711785492504343953926634992332820282019728792003956564819968E38',
        '-578960446186580977117854925043439539266.34992332820282019728792003956564819968',
      ],
      ['NaN', null],
    ]));

  it('to FLOAT64 takes NaN and the infinities in any case', () =>
    safeCasts('FLOAT64', [
      ['1e3', 1000],
      ['-.5', -0.5],
      ['NaN', 'NaN'],
      ['-inf', '-Infinity'],
      ['+INFINITY', 'Infinity'],
      ['1_0', null],
      ['', null],
    ]));

  it('to BOOL takes true and false alone', () =>
    safeCasts('BOOL', [
      ['TRUE', true],
      ['false', false],
      ['t', null],
      ['1', null],
    ]));

  it('to DATE takes the years 1 to 9999', () =>
    safeCasts('DATE', [
      ['2020-1-5', '2020-01-05'],
      ['0001-01-01', '0001-01-01'],
      ['9999-12-31', '9999-12-31'],
      ['0000-01-01', null],
      ['10000-01-01', null],
      ['2020-02-30', null],
      ['2020-01-01 BC', null],
      ['2020-01-01 00:00:00', null],
      ['infinity', null],
    ]));

  it('to TIME ends before 24:00:00', () =>
    safeCasts('TIME', [
      ['23:59:59.999999', '23:59:59.999999'],
      ['1:2:3', '01:02:03'],
      ['24:00:00', null],
      ['10:00:00.1234567', null],
    ]));

  it('to DATETIME takes no offset', () =>
    safeCasts('DATETIME', [
      ['2020-01-01T1:2:3.5', '2020-01-01 01:02:03.5'],
      ['2020-01-01', '2020-01-01 00:00:00'],
      ['2020-01-01 00:00:00+00', null],
    ]));

  it('to TIMESTAMP takes offsets, Z and zone names', () =>
    safeCasts('TIMESTAMP', [
      ['2020-01-01 00:00:00.123456+00', '2020-01-01 00:00:00.123456+00'],
      ['2020-01-01T00:00:00Z', '2020-01-01 00:00:00+00'],
      ['2020-01-01 00:00:00', '2020-01-01 00:00:00+00'],
      ['2020-01-01', '2020-01-01 00:00:00+00'],
      ['2020-01-01 00:00:00+5:30', '2019-12-31 18:30:00+00'],
      ['2020-01-01 00:00:00-08', '2020-01-01 08:00:00+00'],
      ['2020-07-01 12:00:00 Europe/Berlin', '2020-07-01 10:00:00+00'],
      ['2020-07-01 12:00:00 No/Where', null],
      ['1883-11-18 00:00:00+00:19:32', null],
      ['9999-12-31 23:59:59-01', null],
      ['infinity', null],
    ]));
});

describe('CAST', () => {
  it('to STRING writes as BigQuery does', async () => {
    const { rows } = await warehouse.run(`SELECT CAST(TRUE AS STRING), CAST(1.0 AS STRING), CAST(0.1 AS STRING),
      CAST(1e20 AS STRING), CAST(NUMERIC '1.50' AS STRING), CAST(BIGNUMERIC '100' AS STRING),
      CAST(TIMESTAMP '2020-01-01 00:00:00.5+00' AS STRING), CAST(DATETIME '2020-01-01' AS STRING),
      CAST(TIME '10:00:00.000001' AS STRING), CAST(b'abc' AS STRING), SAFE_CAST(b'\\xff' AS STRING)`);
    assert.deepEqual(rows, [
      [
        'true',
        '1',
        '0.1',
        '1e+20',
        '1.5',
        '100',
        '2020-01-01 00:00:00.500+00',
        '2020-01-01 00:00:00',
        '10:00:00.000001',
        'abc',
        null,
      ],
    ]);
  });

  it('to INT64 rounds halves away from zero', async () => {
    const { rows } = await warehouse.run(
      "SELECT CAST(2.5 AS INT64), CAST(-0.5 AS INT64), CAST(NUMERIC '1.5' AS INT64), CAST(BIGNUMERIC '-1.5' AS INT64)",
    );
    assert.deepEqual(rows, [['3', '-1', '2', '-2']]);
  });

  for (const [sql, message] of [
    ["CAST('abc' AS INT64)", 'Bad int64 value: abc'],
    ["CAST('abc' AS DATE)", "Invalid date: 'abc'"],
    ["CAST('x' AS NUMERIC)", 'Invalid NUMERIC value: x'],
    ["CAST('x' AS TIMESTAMP)", "Invalid timestamp: 'x'"],
    ["CAST(DATE '2020-01-01' AS INT64)", 'Invalid cast from DATE to INT64'],
    ["CAST(b'\\xff' AS STRING)", 'Invalid cast of bytes to UTF8 string'],
  ] as const) {
    it(`${sql} fails: ${message}`, async () => {
      await assert.rejects(warehouse.run(`SELECT ${sql}`), { message: `Invalid Input Error: ${message}` });
    });
  }
});
