import { refused, testCases, type Case } from './cases.ts';

const nested = (levels: number, inner = ''): string => '['.repeat(levels) + inner + ']'.repeat(levels);
const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const asIs = (text: string): Case => [quote(text), text];

/** BigQuery: "JSON … nesting" of at most 500 levels. */
const TOO_DEEP = 'too-deep';

/** The same in both types. */
const BOTH: Case[] = [
  ...['{}', '[]', '""', 'null', 'true', '"null"', '[null]', '{"":0}', '{"a":{"b":[1,{"c":null}]}}'].map(asIs),
  // Numbers that int64, uint64 or float64 hold.
  ...['0', '-1', '9223372036854775807', '-9223372036854775808', '18446744073709551615', '0.1', '-2.5'].map(asIs),
  asIs('0.30000000000000004'),
  [quote('1e2'), '100'],
  [quote('1.10'), '1.1'],
  // Those that would be rounded. The first is a double, which is written by fewer digits.
  ...[
    '18446744073709551616',
    '18446744073709551617',
    '-9223372036854775809',
    '123456789012345678901234567890',
    '0.12345678901234567890123',
    '{"deep":[{"n":3.14159265358979323846}]}',
    '1e400',
    '-1e-400',
  ].map((text): Case => [quote(text), refused('number-not-exact')]),
  asIs(nested(500)),
  asIs(nested(500, '0')),
  [quote(nested(501)), refused(TOO_DEEP)],
  [quote(nested(501, '0')), refused(TOO_DEEP)],
];

testCases('JSON arrives as the same document, or is told', [
  {
    type: 'jsonb',
    bigquery: 'JSON',
    values: [
      ...BOTH,
      [quote('{"b":1,"a":2,"b":3}'), '{"a":2,"b":3}'],
      [quote('{"😀":"\\u00e9"}'), '{"😀":"é"}'],
      [quote('"\\" \\\\ \\n \\r \\t \\u0001"'), '"\\" \\\\ \\n \\r \\t \\u0001"'],
    ],
  },
  {
    type: 'json',
    bigquery: 'JSON',
    values: [
      ...BOTH,
      [quote(' { "b" : 1 , "a" : [ ] } '), '{"a":[],"b":1}'],
      [quote('{"a":1,"a":1}'), refused('duplicate-key')],
      [quote('{"a":1,"\\u0061":1}'), refused('duplicate-key')],
      [quote('[{"x":{"k":0,"y":{"k":0},"k":1}}]'), refused('duplicate-key')],
      [quote('{"a":{"k":1},"b":{"k":1}}'), '{"a":{"k":1},"b":{"k":1}}'],
      [quote('"text \\"a\\":1,\\"a\\":2"'), '"text \\"a\\":1,\\"a\\":2"'],
      [quote('"\\ud83d\\ude00"'), '"😀"'],
      // Half a character.
      [quote('"\\ud83d"'), refused('unparseable')],
      [quote('{"\\ude00":1}'), refused('unparseable')],
    ],
  },
]);
