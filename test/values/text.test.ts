import { testCases, type Case } from './cases.ts';

/** A text that arrives as it is: SQL of the value, and the value. */
const asIs = (value: string): Case => [`convert_from('\\x${Buffer.from(value).toString('hex')}', 'UTF8')`, value];

const TEXTS = [
  '',
  ' ',
  '  both ends  ',
  '\t',
  '\n',
  '\r',
  '\r\n',
  'a\nb',
  'a\rb',
  'a\r\nb\r\n',
  '\n\n',
  ',',
  '"',
  '""',
  '"quoted"',
  'a"b',
  "'",
  'a,"b\n"",c',
  '\\',
  '\\N',
  '\\.',
  '\\.\n',
  '\\n',
  'a\\',
  'NULL',
  'null',
  'N',
  '"NULL"',
  '\u0001\u0002\u0007\u0008\u000b\u000c\u001b\u001f\u007f\u0080\u009f',
  '\ufeff',
  '\ufeffmark first',
  'mark last\ufeff',
  '\ufffd',
  '\ufffe\uffff',
  '😀',
  '𐀀\u{10ffff}',
  'e\u0301 \u00e9',
  '\u2028\u2029\u0085',
  '\u200b\u200f\u202e',
  'שלום',
  '<script>&amp;',
  '{"a": 1}',
  '0123',
  'true',
  '=1+1',
  '--',
  '/* ',
  '$$',
  '@token',
  '%s %',
  '`',
];

testCases(
  'text arrives byte for byte',
  [
    { type: 'text', bigquery: 'STRING', values: TEXTS.map(asIs) },
    { type: 'varchar', bigquery: 'STRING', values: TEXTS.slice(0, 12).map(asIs) },
    {
      type: 'char(5)',
      bigquery: 'STRING',
      values: [
        ["''", '     '],
        ["'a'", 'a    '],
        ["'😀'", '😀    '],
      ],
    },
    {
      type: '"char"',
      bigquery: 'STRING',
      values: [
        ["'a'", 'a'],
        ["''", ''],
        ["'\\377'", '\\377'],
      ],
    },
    { type: 'name', bigquery: 'STRING', values: [["'a name '", 'a name ']] },
    { type: 'citext', bigquery: 'STRING', values: [["'MiXed '", 'MiXed ']] },
    {
      type: 'mood',
      bigquery: 'STRING',
      values: [
        ['\'so, "so"\'', 'so, "so"'],
        ["'NULL'", 'NULL'],
        ["''", ''],
      ],
    },
    { type: 'plain', bigquery: 'STRING', values: [["' text of a domain '", ' text of a domain ']] },
    { type: 'xml', bigquery: 'STRING', values: [['\'<a b="c">\n</a>\'', '<a b="c">\n</a>']] },
    {
      type: 'bytea',
      bigquery: 'BYTES',
      values: [
        ["''", ''],
        ["'\\x00'", 'AA=='],
        ["'\\xff00fe'", '/wD+'],
        ["convert_to('NULL', 'UTF8')", 'TlVMTA=='],
        [`convert_to(repeat('a', 100), 'UTF8')`, Buffer.from('a'.repeat(100)).toString('base64')],
      ],
    },
  ],
  `CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('so, "so"', 'NULL', ''); CREATE DOMAIN plain AS text NOT NULL DEFAULT ''`,
);

const LONG = 10 * 1024 * 1024;
testCases('cells of ten megabytes', [
  {
    type: 'text',
    bigquery: 'STRING',
    values: [
      [`repeat('x', ${LONG})`, 'x'.repeat(LONG)],
      [`repeat(E'"\\n', ${LONG / 8})`, '"\n'.repeat(LONG / 8)],
    ],
  },
  {
    type: 'bytea',
    bigquery: 'BYTES',
    values: [
      [`decode(repeat('00ff', ${LONG / 8}), 'hex')`, Buffer.from('00ff'.repeat(LONG / 8), 'hex').toString('base64')],
    ],
  },
  {
    type: 'jsonb',
    bigquery: 'JSON',
    values: [[`to_jsonb(repeat('"', ${LONG / 8}))`, JSON.stringify('"'.repeat(LONG / 8))]],
  },
]);
