import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { loadOf, startBigQuery, type TestBigQuery } from './bigquery-server.ts';

/** Texts that a CSV load takes, with what the REST API shows of the stored value. */
const accepted: Record<string, [text: string, shown: string][]> = {
  STRING: [
    ['', ''],
    [' x ', ' x '],
    ['\uFEFFx', '\uFEFFx'],
    ['\0\u0001\u007f', '\0\u0001\u007f'],
    ['a\r\nb\rc\n', 'a\r\nb\rc\n'],
    ['\\.', '\\.'],
    ['"', '"'],
    ['😀', '😀'],
  ],
  INT64: [
    ['1', '1'],
    ['+1', '1'],
    ['-0', '0'],
    ['007', '7'],
    ['9223372036854775807', '9223372036854775807'],
    ['-9223372036854775808', '-9223372036854775808'],
  ],
  FLOAT64: [
    ['1', '1.0'],
    ['.5', '0.5'],
    ['5.', '5.0'],
    ['1e5', '100000.0'],
    ['0.1', '0.1'],
    ['5e-324', '5E-324'],
    ['NaN', 'NaN'],
    ['Infinity', 'Infinity'],
    ['-inf', '-Infinity'],
  ],
  BOOL: ['t', 'TRUE', '1', 'yes', 'Y']
    .map((text): [string, string] => [text, 'true'])
    .concat(['f', 'False', '0', 'NO', 'n'].map((text) => [text, 'false'])),
  NUMERIC: [
    ['12.50', '12.5'],
    // A typed load rounds without a word: the danger that the mirror has to avoid.
    ['1.0000000005', '1.000000001'],
    ['-1.0000000005', '-1.000000001'],
    ['1.00000000049999999999999', '1'],
    ['99999999999999999999999999999.999999999', '99999999999999999999999999999.999999999'],
    ['1e2', '100'],
    ['12345678901.5', '12345678901.5'],
  ],
  BIGNUMERIC: [
    ['1.000000000000000000000000000000000000005', '1.00000000000000000000000000000000000001'],
    ['-0.5', '-0.5'],
    [
      '578960446186580977117854925043439539266.34992332820282019728792003956564819967',
      '578960446186580977117854925043439539266.34992332820282019728792003956564819967',
    ],
  ],
  BYTES: [
    ['', ''],
    ['YQ==', 'YQ=='],
    ['+/8=', '+/8='],
  ],
  DATE: [
    ['2020-02-29', '2020-02-29'],
    ['0001-01-01', '0001-01-01'],
    ['9999-12-31', '9999-12-31'],
  ],
  TIME: [
    ['00:00:00', '00:00:00'],
    ['23:59:59.999999', '23:59:59.999999'],
    ['12:00:00.5', '12:00:00.500000'],
  ],
  DATETIME: [
    ['2020-01-01 00:00:00', '2020-01-01T00:00:00'],
    ['2020-01-01T23:59:59.123456', '2020-01-01T23:59:59.123456'],
    ['0001-01-01 00:00:00', '0001-01-01T00:00:00'],
  ],
  TIMESTAMP: [
    ['2020-01-01 00:00:00.123456+00', '1577836800123456'],
    ['2020-01-01T00:00:00Z', '1577836800000000'],
    ['2020-01-01 00:00:00', '1577836800000000'],
    ['2020-01-01 00:00:00 UTC', '1577836800000000'],
    ['2020-01-01 00:00:00+5', '1577818800000000'],
    ['2020-01-01 00:00:00-05:30', '1577856600000000'],
    ['0001-01-01 00:00:00+00', '-62135596800000000'],
    ['9999-12-31 23:59:59.999999+00', '253402300799999999'],
  ],
  JSON: [
    ['{"b": 1, "a": [1, 2.5]}', '{"a":[1,2.5],"b":1}'],
    ['null', 'null'],
    ['{"a":1,"a":2}', '{"a":1}'],
    ['18446744073709551615', '18446744073709551615'],
    [`${'['.repeat(500)}${']'.repeat(500)}`, `${'['.repeat(500)}${']'.repeat(500)}`],
  ],
};

const refused: Record<string, string[]> = {
  INT64: ['', '1.0', '1e2', ' 1', '1 ', '0x10', '1_000', '9223372036854775808', 'Jane'],
  FLOAT64: ['', '1e400', '1_0', ' 1', 'infin', '1,5'],
  BOOL: ['', 'tr', ' t', '2', 'on'],
  NUMERIC: ['', 'NaN', 'Infinity', '99999999999999999999999999999.9999999995', '1e29', ' 1', '1_0'],
  BIGNUMERIC: ['', 'NaN', '578960446186580977117854925043439539266.34992332820282019728792003956564819968'],
  BYTES: ['YQ', '_-==', 'YW Jj', '\\x00', 'YQ==\n'],
  DATE: ['', '2020-02-30', '2020/01/01', '0000-01-01', '10000-01-01', '0044-03-15 BC', 'infinity', 'epoch'],
  TIME: ['', '24:00:00', '12:00', '23:59:60', '12:00:00.1234567', '12:00:00+00'],
  DATETIME: ['', '2020-01-01 24:00:00', '10000-01-01 00:00:00', '2020-01-01 00:00:00.1234567', 'infinity'],
  TIMESTAMP: ['', 'infinity', '10000-01-01 00:00:00+00', '1900-01-01 00:00:00+00:19:32', '0001-01-01 00:00:00+05'],
  JSON: ['', '{', 'NaN', '[1,]', '[ -Infinity]', '1e400', '0.12345678901234567890123', '18446744073709551616'].concat(
    `${'['.repeat(501)}${']'.repeat(501)}`,
  ),
};

describe('values of a CSV load', () => {
  let bigquery: TestBigQuery;
  before(async () => {
    bigquery = await startBigQuery();
    await bigquery.client.createDataset('ds');
  });
  after(() => bigquery.close());

  const file = (texts: string[]): string =>
    ['c', ...texts.map((text) => `"${text.replaceAll('"', '""')}"`), ''].join('\n');

  for (const [type, pairs] of Object.entries(accepted)) {
    it(`takes ${type}`, async () => {
      const uri = await bigquery.put(`${type}.csv`, file(pairs.map(([text]) => text)));
      const job = await bigquery.run(loadOf(uri, type, [{ name: 'c', type }]));
      assert.equal(job.status.errorResult, undefined);
      const rows = await bigquery.rows(type);
      assert.deepEqual(
        rows,
        pairs.map(([, shown]) => [shown]),
      );
    });
  }

  for (const [type, texts] of Object.entries(refused)) {
    it(`refuses what is no ${type}, and quotes it`, async () => {
      for (const text of texts) {
        const uri = await bigquery.put(`${type}.csv`, file([text]));
        const job = await bigquery.run(loadOf(uri, `bad_${type}`, [{ name: 'c', type }]));
        assert.deepEqual(job.status.errorResult, {
          reason: 'invalid',
          location: uri,
          message: `Error while reading data, error message: Could not parse '${text}' as ${type} for field c (position 0) starting at location 2 with message 'Unable to parse'`,
        });
      }
    });
  }

  it('refuses each bad value of a file, and no good one, when some may be bad', async () => {
    const all = Object.entries(refused).filter(([type]) => type !== 'JSON');
    for (const [type, texts] of all) {
      const good = accepted[type]?.[0] ?? ['', ''];
      const uri = await bigquery.put(`${type}.csv`, file([good[0], ...texts, good[0]]));
      const job = await bigquery.run(
        loadOf(uri, `some_${type}`, [{ name: 'c', type }], { maxBadRecords: texts.length }),
      );
      assert.equal(job.status.errorResult, undefined);
      assert.equal(job.statistics.load?.['badRecords'], String(texts.length));
      assert.deepEqual(await bigquery.rows(`some_${type}`), [[good[1]], [good[1]]]);
    }
  });
});
