import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import pg from 'pg';
import {
  bigQueryType,
  copyExpression,
  splitCast,
  type BigQueryType,
  type SourceType,
  type Inside,
} from '../../functions/mirror/types.ts';
import { reasonBranches, type Reason } from '../../functions/mirror/reasons.ts';
import { testDatabase } from '../postgres.ts';

const R = (reason: Reason): string => `'R!${reason}!'`;
const base = (name: string): SourceType => ({ name, schema: 'pg_catalog', kind: 'base' });

const BASE: Record<Exclude<BigQueryType, 'GEOGRAPHY'>, string[]> = {
  INT64: ['int2', 'int4', 'int8', 'oid', 'xid', 'cid'],
  FLOAT64: ['float4', 'float8'],
  NUMERIC: ['money'],
  BIGNUMERIC: ['numeric'],
  BOOL: ['bool'],
  BYTES: ['bytea'],
  DATE: ['date'],
  TIME: ['time'],
  DATETIME: ['timestamp'],
  TIMESTAMP: ['timestamptz'],
  JSON: ['json', 'jsonb', 'hstore', 'vector', 'halfvec'],
  STRING:
    'sparsevec text varchar bpchar char name citext ltree xml uuid inet cidr macaddr macaddr8 bit varbit tsvector tsquery timetz interval point line lseg box path polygon circle pg_lsn xid8 tid geometry geography'.split(
      ' ',
    ),
};

for (const [bigquery, names] of Object.entries(BASE)) {
  test(`${names.join(', ')}: ${bigquery}`, () => {
    for (const name of names) {
      const found = bigQueryType(base(name));
      assert.deepEqual([name, found.bigquery, found.known], [name, bigquery, true]);
    }
  });
}

const KINDS: [kind: SourceType['kind'], bigquery: BigQueryType][] = [
  ['enum', 'STRING'],
  ['range', 'STRING'],
  ['array', 'JSON'],
  ['composite', 'JSON'],
];

for (const [kind, bigquery] of KINDS) {
  test(`any ${kind}: ${bigquery}, whatever it is called`, () => {
    assert.equal(bigQueryType({ name: 'int4', schema: 'care', kind }).bigquery, bigquery);
  });
}

test('what holds a type with a cast to json of its own is text where its elements cannot be reached', () => {
  const text = { bigquery: 'STRING', refusals: [], known: true };
  assert.deepEqual(bigQueryType(inner('composite', 'ownJson')), text);
  assert.deepEqual(bigQueryType(inner('array', 'ownJson', 'composites')), text);
  assert.deepEqual(bigQueryType(inner('array', 'ownJson')), { ...text, bigquery: 'JSON', refusals: ['array-bounds'] });
});

test('a type without a row is its text, and said to be unknown', () => {
  assert.deepEqual(bigQueryType(base('chkpass')), { bigquery: 'STRING', refusals: [], known: false });
  assert.equal(copyExpression(base('chkpass'), '"c"', R, 170000), '"c"');
});

const NUMERICS: [precision: number, scale: number, bigquery: BigQueryType][] = [
  [1, 0, 'NUMERIC'],
  [29, 0, 'NUMERIC'],
  [30, 0, 'BIGNUMERIC'],
  [38, 0, 'BIGNUMERIC'],
  [39, 0, 'STRING'],
  [38, 9, 'NUMERIC'],
  [39, 9, 'BIGNUMERIC'],
  [10, 10, 'BIGNUMERIC'],
  [9, 9, 'NUMERIC'],
  [76, 38, 'BIGNUMERIC'],
  [77, 38, 'STRING'],
  [38, 38, 'BIGNUMERIC'],
  [39, 39, 'STRING'],
  [1000, 1000, 'STRING'],
  // PostgreSQL 15: a negative scale adds integer digits, one above the precision takes them away
  [3, -2, 'NUMERIC'],
  [27, -2, 'NUMERIC'],
  [28, -2, 'BIGNUMERIC'],
  [36, -2, 'BIGNUMERIC'],
  [37, -2, 'STRING'],
  [1, -1000, 'STRING'],
  [3, 9, 'NUMERIC'],
  [3, 10, 'BIGNUMERIC'],
  [3, 39, 'STRING'],
];

for (const [precision, scale, bigquery] of NUMERICS) {
  test(`numeric(${precision},${scale}): ${bigquery}`, () => {
    const type: SourceType = { ...base('numeric'), precision, scale };
    assert.deepEqual(bigQueryType(type), { bigquery, refusals: [], known: true });
    assert.equal(copyExpression(type, '"c"', R, 170000), '"c"');
  });
}

/** What COPY writes for a value: R! and the reason stand in front of what BigQuery must refuse. */
type Written = [type: SourceType, version: number, value: string, text: string | null];

const array: SourceType = { name: '_int4', schema: 'pg_catalog', kind: 'array' };
const NOTHING: Inside = { json: false, arrays: false, composites: false, ownJson: false };
const inner = (kind: 'array' | 'composite', ...held: (keyof Inside)[]): SourceType => {
  const inside = { ...NOTHING, ...Object.fromEntries(held.map((what) => [what, true])) };
  return { name: 'of_test', schema: 'public', kind, inside };
};
const DUPLICATE_IN_ARRAY = String.raw`R!duplicate-key!{"{\"a\":1}","{\"a\":1,\"a\":2}"}`;
const DUPLICATE_IN_ROW = 'R!duplicate-key!(1,"{""a"":1,""a"":2}")';
const NEW = 180000;
const OLD = 150000;

const WRITTEN: Written[] = [
  [base('bytea'), NEW, `'\\x00ff'::bytea`, 'AP8='],
  [base('bytea'), NEW, `convert_to(repeat('a', 80), 'UTF8')`, Buffer.from('a'.repeat(80)).toString('base64')],
  [base('bytea'), NEW, 'NULL::bytea', null],
  ...[NEW, 149999].flatMap((version): Written[] => [
    [base('char'), version, `(-56)::"char"`, '\\310'],
    [base('char'), version, `(-1)::"char"`, '\\377'],
    [base('char'), version, `(-128)::"char"`, '\\200'],
    [base('char'), version, `'~'::"char"`, '~'],
    [base('char'), version, `''::"char"`, ''],
    [base('char'), version, `NULL::"char"`, null],
  ]),
  [base('money'), NEW, `'-1234567.89'::money`, '-1234567.89'],
  // a typed load rounds beyond 38 decimals
  [base('numeric'), NEW, `1.${'0'.repeat(37)}1::numeric`, `1.${'0'.repeat(37)}1`],
  [base('numeric'), NEW, `1.${'0'.repeat(38)}1::numeric`, `R!too-precise!1.${'0'.repeat(38)}1`],
  [base('numeric'), NEW, `1.5${'0'.repeat(60)}::numeric`, '1.5'],
  [base('numeric'), NEW, `'NaN'::numeric`, 'R!not-a-number!NaN'],
  [base('numeric'), NEW, `'-Infinity'::numeric`, 'R!infinite!-Infinity'],
  [base('numeric'), NEW, 'NULL::numeric', null],
  [array, NEW, `ARRAY[1, NULL, 3]`, '[1,null,3]'],
  [array, NEW, `ARRAY[[1, 2], [3, 4]]`, '[[1,2],[3,4]]'],
  [array, NEW, `'{}'::int[]`, '[]'],
  [array, NEW, `'{NULL}'::int[]`, '[null]'],
  [array, NEW, `ARRAY[[NULL, -2147483648]]`, '[[null,-2147483648]]'],
  [array, NEW, `'[0:1]={5,6}'::int[]`, 'R!array-bounds![0:1]={5,6}'],
  [array, NEW, `'[1:1][0:1]={{5,6}}'::int[]`, 'R!array-bounds![1:1][0:1]={{5,6}}'],
  [{ ...array, name: '_int8' }, NEW, `ARRAY[9223372036854775807, NULL]`, '[9223372036854775807,null]'],
  [{ ...array, name: '_int2' }, NEW, `ARRAY[-32768]::int2[]`, '[-32768]'],
  [{ ...array, name: '_text' }, NEW, `ARRAY['[1:2]={a=b}', '"']`, '["[1:2]={a=b}","\\""]'],
  [array, NEW, `NULL::int[]`, null],
  [inner('composite'), NEW, `ROW(1, NULL, 'x "y"')`, '{"f1":1,"f2":null,"f3":"x \\"y\\""}'],
  ...[NEW, OLD].flatMap((version): Written[] => [
    // json inside of what to_json makes may have a key twice, at any depth
    [inner('array', 'json'), version, `ARRAY['{"a":1,  "b":2}', NULL]::json[]`, '[{"a":1,  "b":2},null]'],
    [inner('array', 'json'), version, `ARRAY['{"a":1}', '{"a":1,"a":2}']::json[]`, DUPLICATE_IN_ARRAY],
    [inner('array', 'json'), version, `'[2:2]={null}'::json[]`, 'R!array-bounds![2:2]={NULL}'],
    [inner('array', 'json'), version, 'NULL::json[]', null],
    [inner('composite', 'json'), version, `ROW(1, '{"a":1}'::json)`, '{"f1":1,"f2":{"a":1}}'],
    [inner('composite', 'json'), version, `ROW(1, '{"a":1,"a":2}'::json)`, DUPLICATE_IN_ROW],
    // a row of nothing but NULL is a row
    [inner('composite', 'json'), version, `ROW(NULL, NULL::json)`, '{"f1":null,"f2":null}'],
  ]),
  // bounds of an array inside
  [inner('composite', 'arrays'), NEW, `ROW(ARRAY[1, 2], 'a')`, '{"f1":[1,2],"f2":"a"}'],
  [inner('composite', 'arrays'), NEW, `ROW('[0:1]={5,6}'::int[], 'a')`, 'R!array-bounds!("[0:1]={5,6}",a)'],
  [inner('composite', 'arrays'), NEW, `ROW('[0:0][-2:-2]={{5}}'::int[], 'a')`, 'R!array-bounds!([0:0][-2:-2]={{5}},a)'],
  [
    inner('composite', 'arrays'),
    NEW,
    `ROW(ROW(ARRAY['[0:1]', '=']), '[1:2]')`,
    '{"f1":{"f1":["[0:1]","="]},"f2":"[1:2]"}',
  ],
  [inner('array', 'arrays'), NEW, `ARRAY[ROW('[0:1]={5,6}'::int[])]`, 'R!array-bounds!{"(\\"[0:1]={5,6}\\")"}'],
  // a cast to json of the type's own need not be exact: each element is its text
  [inner('array', 'ownJson'), NEW, `ARRAY['1.10', NULL]::numeric[]`, '["1.10",null]'],
  ...[NEW, OLD].flatMap((version): Written[] => [
    [base('json'), version, `'{"a": 1,  "b": {"a": 2}}'::json`, '{"a": 1,  "b": {"a": 2}}'],
    [base('json'), version, `'{"a": 1, "a": 2}'::json`, 'R!duplicate-key!{"a": 1, "a": 2}'],
    [base('json'), version, `'[{"b": {"a": 1, "a" : 1}}]'::json`, 'R!duplicate-key![{"b": {"a": 1, "a" : 1}}]'],
    [base('json'), version, `'{"a": 1, "\\u0061": 2}'::json`, 'R!duplicate-key!{"a": 1, "\\u0061": 2}'],
    // an escaped quote or colon is none, and hides none
    [
      base('json'),
      version,
      `'{"t": "10\\u003a30 \\u0022:\\u003A \\\\u003a:"}'::json`,
      '{"t": "10\\u003a30 \\u0022:\\u003A \\\\u003a:"}',
    ],
    [base('json'), version, `'{"a": 1, "a": "\\u0022:"}'::json`, 'R!duplicate-key!{"a": 1, "a": "\\u0022:"}'],
    [base('json'), version, `'{"a": 1, "a": "\\u003a"}'::json`, 'R!duplicate-key!{"a": 1, "a": "\\u003a"}'],
    [
      base('json'),
      version,
      `'{"a:": 1, "\\u0061\\u003A": ":"}'::json`,
      'R!duplicate-key!{"a:": 1, "\\u0061\\u003A": ":"}',
    ],
    [base('json'), version, `'"text: \\"a\\": 1, \\"a\\": 2"'::json`, '"text: \\"a\\": 1, \\"a\\": 2"'],
    [base('json'), version, `'null'::json`, 'null'],
    [base('json'), version, `'{"a": "\\ud83d\\ude00"}'::json`, '{"a": "\\ud83d\\ude00"}'],
    [base('json'), version, 'NULL::json', null],
  ]),
  // what jsonb cannot hold is refused, and ends no COPY
  ...[NEW, OLD].flatMap((version): Written[] => [
    // PostgreSQL itself cannot tell of U+0000 whether a key is there twice
    [base('json'), version, `'{"a": "\\u0000"}'::json`, '{"a": "\\u0000"}'],
    [base('json'), version, `'{"\\u0000": 1, "\\u0000": 2}'::json`, 'R!duplicate-key!{"\\u0000": 1, "\\u0000": 2}'],
    [base('json'), version, `'{"a": "\\ud83d"}'::json`, 'R!unparseable!{"a": "\\ud83d"}'],
    [base('json'), version, `'{"a": "\\ude00 \\uD83D\\uDE00"}'::json`, 'R!unparseable!{"a": "\\ude00 \\uD83D\\uDE00"}'],
    [base('json'), version, `'{"a": "\\\\ud83d \\\\\\\\u0000"}'::json`, '{"a": "\\\\ud83d \\\\\\\\u0000"}'],
    // beyond what jsonb holds
    [base('json'), version, `'{"a": 1e999999}'::json`, '{"a": 1e999999}'],
  ]),
  [base('text'), NEW, `'as it is'`, 'as it is'],
  [base('interval'), NEW, `'1 year 2 days'::interval`, '1 year 2 days'],
];

async function written(t: TestContext): Promise<(string | null)[]> {
  const texts: (string | null)[] = [];
  const client = new pg.Client((await testDatabase(t)).url);
  await client.connect();
  try {
    for (const [type, version, value] of WRITTEN) {
      const expression = copyExpression(type, 'v', R, version);
      const { rows } = await client.query<{ text: string | null }>(
        `SELECT (${expression})::text AS text FROM (SELECT ${value} AS v) AS s`,
      );
      texts.push(rows[0]?.text ?? null);
    }
    return texts;
  } finally {
    await client.end();
  }
}

test('COPY’s expressions, by PostgreSQL itself', async (t) => {
  const texts = await written(t);
  for (const [i, [type, version, value, text]] of WRITTEN.entries()) {
    await t.test(
      `${type.kind} ${type.name} ${value.slice(0, 60)}${version === OLD ? ', before PostgreSQL 16' : ''}`,
      () => {
        assert.equal(texts[i], text);
      },
    );
  }
});

test('an extension’s function is called where the extension is', () => {
  const hstore: SourceType = { name: 'hstore', schema: 'my "ext"', kind: 'base' };
  assert.equal(copyExpression(hstore, '"c"', R, NEW), '"my ""ext""".hstore_to_json("c")');
  const geography: SourceType = { name: 'geography', schema: 'my "ext"', kind: 'base', decimals: true };
  assert.equal(
    copyExpression(geography, '"c"', R, NEW),
    `CASE WHEN strpos("c"::text, '0000000000000080') > 0 ` +
      `OR "my ""ext""".st_zmflag("c"::"my ""ext""".geometry) <> 0 AND strpos("my ""ext""".st_asewkt("c", 30), 'EMPTY') > 0 ` +
      `THEN "c"::text ELSE "my ""ext""".st_asewkt("c", 30) END`,
  );
});

test('of an older PostGIS only the text in hexadecimal is exact', () => {
  const geometry: SourceType = { name: 'geometry', schema: 'public', kind: 'base' };
  assert.equal(copyExpression(geometry, '"c"', R, NEW), '"c"');
});

test('as geography is WKT of what is on WGS 84 and flat', () => {
  const type: SourceType = { name: 'geometry', schema: 'public', kind: 'as geography', decimals: true };
  assert.deepEqual(bigQueryType(type), {
    bigquery: 'GEOGRAPHY',
    refusals: ['not-wgs-84', 'not-two-dimensional'],
    known: true,
  });
  assert.equal(
    copyExpression(type, '"c"', R, NEW),
    `CASE WHEN "public".st_srid("c") NOT IN (0, 4326) THEN 'R!not-wgs-84!' || "public".st_asewkt("c", 30) ` +
      `WHEN "public".st_zmflag("c") <> 0 THEN 'R!not-two-dimensional!' || "public".st_asewkt("c", 30) ` +
      `ELSE "public".st_astext("c", 30) END`,
  );
  assert.equal(splitCast('GEOGRAPHY', '`v`'), 'SAFE.ST_GEOGFROMTEXT(`v`)');
});

test('the split casts so that nothing is rounded or lost', () => {
  assert.equal(splitCast('STRING', '`v`'), '`v`');
  assert.equal(
    splitCast('BOOL', '`v`'),
    "CASE WHEN `v` IN ('t', 'true') THEN TRUE WHEN `v` IN ('f', 'false') THEN FALSE END",
  );
  assert.equal(splitCast('BYTES', '`v`'), 'SAFE.FROM_BASE64(`v`)');
  assert.equal(splitCast('JSON', '`v`'), "SAFE.PARSE_JSON(`v`, wide_number_mode=>'exact')");
  for (const type of ['INT64', 'FLOAT64', 'NUMERIC', 'BIGNUMERIC', 'DATE', 'TIME', 'DATETIME', 'TIMESTAMP'] as const) {
    assert.equal(splitCast(type, '`v`'), `SAFE_CAST(\`v\` AS ${type})`);
  }
});

test('every type that PostgreSQL holds more of than BigQuery has reasons of its own', () => {
  const reasons = (type: BigQueryType): string[] => reasonBranches(type, 'v').map(([, reason]) => reason);
  assert.deepEqual(reasons('NUMERIC'), ['not-a-number', 'infinite', 'out-of-range']);
  assert.deepEqual(reasons('BIGNUMERIC'), ['not-a-number', 'infinite', 'out-of-range']);
  assert.deepEqual(reasons('INT64'), ['out-of-range']);
  for (const type of ['DATE', 'DATETIME', 'TIMESTAMP'] as const) {
    assert.deepEqual(reasons(type), ['infinite', 'before-year-1', 'after-year-9999']);
  }
  assert.deepEqual(reasons('TIME'), ['end-of-day']);
  assert.deepEqual(reasons('JSON'), ['number-not-exact', 'number-not-exact', 'too-deep']);
  for (const type of ['STRING', 'BOOL', 'BYTES', 'FLOAT64'] as const) assert.deepEqual(reasons(type), []);
});
