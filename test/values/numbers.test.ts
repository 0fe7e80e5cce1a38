import { refused, testCases } from './cases.ts';

const ones = (digits: number): string => '1'.repeat(digits);
const nines = (digits: number): string => '9'.repeat(digits);
const zeros = (digits: number): string => '0'.repeat(digits);
/** BIGNUMERIC's ends: ±2^255 − 1 and −2^255, scaled by 10^38. */
const BIG = '578960446186580977117854925043439539266.34992332820282019728792003956564819967';

testCases('numbers arrive exactly, or are told', [
  {
    type: 'smallint',
    bigquery: 'INTEGER',
    values: [
      ['-32768', '-32768'],
      ['32767', '32767'],
      ['0', '0'],
    ],
  },
  {
    type: 'integer',
    bigquery: 'INTEGER',
    values: [
      ['-2147483648', '-2147483648'],
      ['2147483647', '2147483647'],
    ],
  },
  {
    type: 'bigint',
    bigquery: 'INTEGER',
    values: [
      ['-9223372036854775808', '-9223372036854775808'],
      ['9223372036854775807', '9223372036854775807'],
      ['9007199254740993', '9007199254740993'],
    ],
  },
  { type: 'oid', bigquery: 'INTEGER', values: [['4294967295', '4294967295']] },
  { type: 'xid', bigquery: 'INTEGER', values: [["'4294967295'", '4294967295']] },
  { type: 'cid', bigquery: 'INTEGER', values: [["'4294967295'", '4294967295']] },
  { type: 'xid8', bigquery: 'STRING', values: [["'18446744073709551615'", '18446744073709551615']] },
  {
    type: 'numeric(38,9)',
    bigquery: 'NUMERIC',
    values: [
      [`${nines(29)}.${nines(9)}`, `${nines(29)}.${nines(9)}`],
      [`-${nines(29)}.${nines(9)}`, `-${nines(29)}.${nines(9)}`],
      ['0.000000001', '0.000000001'],
      ['-0.000000001', '-0.000000001'],
      ['1.500', '1.5'],
      ["'NaN'", refused('not-a-number')],
    ],
  },
  { type: 'numeric(29)', bigquery: 'NUMERIC', values: [[nines(29), nines(29)]] },
  { type: 'numeric(30)', bigquery: 'BIGNUMERIC', values: [[nines(30), nines(30)]] },
  { type: 'numeric(10,10)', bigquery: 'BIGNUMERIC', values: [['0.1234567891', '0.1234567891']] },
  { type: 'numeric(3,-2)', bigquery: 'NUMERIC', values: [['12345', '12300']] },
  {
    type: 'numeric(76,38)',
    bigquery: 'BIGNUMERIC',
    values: [
      [`${nines(38)}.${nines(38)}`, `${nines(38)}.${nines(38)}`],
      [`-${nines(38)}.${nines(38)}`, `-${nines(38)}.${nines(38)}`],
      [`0.${zeros(37)}1`, `0.${zeros(37)}1`],
      ["'NaN'", refused('not-a-number')],
    ],
  },
  {
    type: 'numeric(77,38)',
    bigquery: 'STRING',
    values: [
      [`${nines(39)}.5`, `${nines(39)}.5${zeros(37)}`],
      ["'NaN'", 'NaN'],
    ],
  },
  { type: 'numeric(1000,500)', bigquery: 'STRING', values: [[`1.${zeros(499)}1`, `1.${zeros(499)}1`]] },
  {
    type: 'numeric',
    bigquery: 'BIGNUMERIC',
    values: [
      ['0', '0'],
      ['-1.10', '-1.1'],
      [BIG, BIG],
      [`-${BIG}`, `-${BIG}`],
      // One unit more fits on the negative side alone.
      [`-${BIG.slice(0, -1)}8`, `-${BIG.slice(0, -1)}8`],
      [`${BIG.slice(0, -1)}8`, refused('out-of-range')],
      [`-${BIG.slice(0, -1)}9`, refused('out-of-range')],
      [`1e38`, `1${zeros(38)}`],
      [`1e39`, refused('out-of-range')],
      [`1e1000`, refused('out-of-range')],
      [`0.${ones(38)}`, `0.${ones(38)}`],
      [`0.${ones(39)}`, refused('too-precise')],
      [`0.${ones(38)}0000`, `0.${ones(38)}`],
      [`1e-38`, `0.${zeros(37)}1`],
      [`1e-39`, refused('too-precise')],
      [`1e-1000`, refused('too-precise')],
      [`1.${zeros(1000)}`, '1'],
      ["'NaN'", refused('not-a-number')],
      ["'Infinity'", refused('infinite')],
      ["'-Infinity'", refused('infinite')],
    ],
  },
  {
    type: 'double precision',
    bigquery: 'FLOAT',
    values: [
      ["'NaN'", 'NaN'],
      ["'Infinity'", 'Infinity'],
      ["'-Infinity'", '-Infinity'],
      ["'-0'", '-0'],
      ['0', '0'],
      ['0.1', '0.1'],
      ['0.30000000000000004', '0.30000000000000004'],
      ['1.7976931348623157e308', '1.7976931348623157e+308'],
      ['-1.7976931348623157e308', '-1.7976931348623157e+308'],
      ['2.2250738585072014e-308', '2.2250738585072014e-308'],
      ['5e-324', '5e-324'],
      ['9007199254740993', '9007199254740992'],
    ],
  },
  {
    type: 'real',
    bigquery: 'FLOAT',
    values: [
      ["'NaN'", 'NaN'],
      ["'-Infinity'", '-Infinity'],
      ["'-0'", '-0'],
      ['0.1', '0.1'],
      ['16777217', '16777216'],
      ['3.4028235e38', '3.4028235e+38'],
      ['1e-45', '1e-45'],
    ],
  },
  {
    type: 'money',
    bigquery: 'NUMERIC',
    values: [
      ["'-92233720368547758.08'", '-92233720368547758.08'],
      ["'92233720368547758.07'", '92233720368547758.07'],
      ['0', '0'],
    ],
  },
  {
    type: 'boolean',
    bigquery: 'BOOLEAN',
    values: [
      ['true', 'true'],
      ['false', 'false'],
    ],
  },
]);
