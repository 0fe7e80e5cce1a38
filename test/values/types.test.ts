import { refused, testCases, type Group } from './cases.ts';

/** Types whose text is the value: PostgreSQL's own writing arrives. */
const TEXTS: [type: string, written: string][] = [
  ['uuid', '00000000-0000-0000-0000-00000000000f'],
  ['inet', '::ffff:1.2.3.4'],
  ['inet', '10.1.2.3/8'],
  ['cidr', '10.0.0.0/8'],
  ['macaddr', '08:00:2b:01:02:03'],
  ['macaddr8', '08:00:2b:01:02:03:04:05'],
  ['bit(3)', '101'],
  ['bit varying', ''],
  ['tsvector', "'a':1A 'b c':2"],
  ['tsquery', "'a' & !'b'"],
  ['point', '(1e+300,-0.1)'],
  ['line', '{1,-1,0}'],
  ['lseg', '[(0,0),(1,1)]'],
  ['box', '(1,1),(0,0)'],
  ['path', '[(0,0),(1,1)]'],
  ['polygon', '((0,0),(1,1),(1,0))'],
  ['circle', '<(0,0),1>'],
  ['pg_lsn', '16/B374D848'],
  ['tid', '(42,7)'],
  ['pg_snapshot', '10:20:10,14'],
  ['txid_snapshot', '10:20:10,14'],
  ['jsonpath', '$."a"[*]?(@ > 1)'],
  ['regclass', 'pg_class'],
  ['regtype', 'integer'],
  ['regproc', 'now'],
  ['regprocedure', 'now()'],
  ['regnamespace', 'pg_catalog'],
  ['regrole', 'postgres'],
  ['regconfig', 'english'],
  ['aclitem', 'postgres=arw/postgres'],
  ['refcursor', 'a cursor'],
  ['int4range', '[1,5)'],
  ['numrange', '(0.5,)'],
  ['tsrange', '["2024-01-01 00:00:00","2024-01-02 00:00:00")'],
  ['span', '[0.5,1.5]'],
  ['int4multirange', '{[1,5),[7,9)}'],
  ['nummultirange', '{}'],
  ['ltree', 'Top.Science'],
  ['lquery', 'Top.*{1,2}'],
  ['cube', '(1, 2),(3, 4)'],
  ['seg', '1.50 .. 2.0'],
  ['isbn', '0-393-04002-X'],
  ['pair_range', '["(1,a)","(2,b)")'],
];

const asText = TEXTS.map(([type, written]): Group => {
  const literal = `'${written.replaceAll("'", "''")}'`;
  return { type, bigquery: 'STRING', values: [[literal, written]] };
});

testCases(
  'each built-in type and those of extensions',
  [
    ...asText,
    {
      type: 'hstore',
      bigquery: 'JSON',
      values: [
        [`'a=>1, b=>NULL, "c d"=>"\\"x\\""'`, '{"a":"1","b":null,"c d":"\\"x\\""}'],
        [`''`, '{}'],
      ],
    },
    { type: 'oidvector', bigquery: 'JSON', values: [[`'1 2 3'`, '["1","2","3"]']] },
    { type: 'int2vector', bigquery: 'JSON', values: [[`'1 2 3'`, '[1,2,3]']] },
    {
      type: 'int[]',
      bigquery: 'JSON',
      values: [
        [`'{}'`, '[]'],
        [`'{1,NULL,3}'`, '[1,null,3]'],
        [`'{{1,2},{3,4}}'`, '[[1,2],[3,4]]'],
        [`'{{{{{{1}}}}}}'`, '[[[[[[1]]]]]]'],
        [`'[0:1]={5,6}'`, refused('array-bounds')],
        [`'[1:1][-2:-1]={{5,6}}'`, refused('array-bounds')],
        [`'[1:2]={5,6}'`, '[5,6]'],
      ],
    },
    {
      type: 'text[]',
      bigquery: 'JSON',
      values: [
        [
          `ARRAY['', ' ', 'NULL', NULL, 'a,b', '{}', '"', '\\', E'\\n', '[0:1]={a}']`,
          '[""," ","NULL",null,"a,b","{}","\\"","\\\\","\\n","[0:1]={a}"]',
        ],
      ],
    },
    {
      type: 'numeric[]',
      bigquery: 'JSON',
      values: [
        [`'{1.50,NaN,-Infinity}'`, '[1.5,"NaN","-Infinity"]'],
        [`'{123456789012345678901234567890}'`, refused('number-not-exact')],
      ],
    },
    { type: 'float8[]', bigquery: 'JSON', values: [[`'{0.1,NaN,1e300}'`, `[0.1,"NaN",1${'0'.repeat(300)}]`]] },
    { type: 'bigint[]', bigquery: 'JSON', values: [[`'{9223372036854775807}'`, '[9223372036854775807]']] },
    { type: 'bool[]', bigquery: 'JSON', values: [[`'{t,f,NULL}'`, '[true,false,null]']] },
    { type: 'bytea[]', bigquery: 'JSON', values: [[`ARRAY['\\x00ff'::bytea]`, '["\\\\x00ff"]']] },
    {
      type: 'timestamptz[]',
      bigquery: 'JSON',
      values: [
        [
          `'{2024-01-01 00:00:00+00,infinity,0001-01-01 00:00:00+00 BC}'`,
          '["2024-01-01T00:00:00+00:00","infinity","0001-01-01T00:00:00+00:00 BC"]',
        ],
      ],
    },
    { type: 'date[]', bigquery: 'JSON', values: [[`'{2024-01-01,infinity}'`, '["2024-01-01","infinity"]']] },
    { type: 'box[]', bigquery: 'JSON', values: [[`'{(1,1),(0,0);(2,2),(1,1)}'`, '["(1,1),(0,0)","(2,2),(1,1)"]']] },
    {
      type: 'jsonb[]',
      bigquery: 'JSON',
      values: [[`ARRAY['{"a":1}','null',NULL]::jsonb[]`, '[{"a":1},null,null]']],
    },
    {
      type: 'json[]',
      bigquery: 'JSON',
      values: [
        [`ARRAY['{"a":1}']::json[]`, '[{"a":1}]'],
        [`ARRAY['{"a":1,"a":2}']::json[]`, refused('duplicate-key')],
      ],
    },
    { type: 'hstore[]', bigquery: 'JSON', values: [[`ARRAY['a=>1']::hstore[]`, '[{"a":"1"}]']] },
    { type: 'int4range[]', bigquery: 'JSON', values: [[`ARRAY['[1,2)']::int4range[]`, '["[1,2)"]']] },
    { type: 'mood[]', bigquery: 'JSON', values: [[`'{happy}'`, '["happy"]']] },
    {
      type: 'pair',
      bigquery: 'JSON',
      values: [
        [`ROW(1, 'x "y"')`, '{"a":1,"b c":"x \\"y\\""}'],
        [`ROW(NULL, '')`, '{"a":null,"b c":""}'],
        [`ROW(NULL, NULL)`, '{"a":null,"b c":null}'],
      ],
    },
    { type: 'pair[]', bigquery: 'JSON', values: [[`ARRAY[ROW(1, 'x')]::pair[]`, '[{"a":1,"b c":"x"}]']] },
    {
      type: 'bag',
      bigquery: 'JSON',
      values: [
        [`ROW('{1}', '{"k":1}', ROW(1, ''))`, '{"document":{"k":1},"inner":{"a":1,"b c":""},"numbers":[1]}'],
        [`ROW('[0:0]={1}', NULL, NULL)`, refused('array-bounds')],
        [`ROW(NULL, '{"k":1,"k":2}', NULL)`, refused('duplicate-key')],
      ],
    },
    {
      type: 'bag[]',
      bigquery: 'JSON',
      values: [
        [`ARRAY[ROW(NULL, '{"k":1,"k":2}', NULL)]::bag[]`, refused('duplicate-key')],
        [`ARRAY[ROW('[0:0]={1}', NULL, NULL)]::bag[]`, refused('array-bounds')],
      ],
    },
    { type: 'positive', bigquery: 'INTEGER', values: [['7', '7']] },
    { type: 'cents', bigquery: 'NUMERIC', values: [['1.25', '1.25']] },
    { type: 'smaller', bigquery: 'NUMERIC', values: [['1.25', '1.25']] },
    {
      type: 'list',
      bigquery: 'JSON',
      values: [
        [`'{1,2}'`, '[1,2]'],
        [`'[0:0]={1}'`, refused('array-bounds')],
      ],
    },
    { type: 'couple', bigquery: 'JSON', values: [[`ROW(1, 'x')`, '{"a":1,"b c":"x"}']] },
    { type: 'list[]', bigquery: 'JSON', values: [[`ARRAY['{1}'::list]`, '[[1]]']] },
  ],
  `CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION cube; CREATE EXTENSION seg; CREATE EXTENSION isn;
   CREATE TYPE mood AS ENUM ('happy', 'sad');
   CREATE TYPE pair AS (a int, "b c" text);
   CREATE TYPE bag AS (numbers int[], document json, "inner" pair);
   CREATE TYPE span AS RANGE (subtype = float8);
   CREATE TYPE pair_range AS RANGE (subtype = pair);
   CREATE DOMAIN positive AS int CHECK (VALUE > 0);
   CREATE DOMAIN cents AS numeric(10,2); CREATE DOMAIN smaller AS cents CHECK (VALUE < 100);
   CREATE DOMAIN list AS int[]; CREATE DOMAIN couple AS pair`,
);
