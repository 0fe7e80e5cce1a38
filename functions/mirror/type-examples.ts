import type { Reason } from './reasons.ts';
import type { SourceType } from './types.ts';

/** One line or more of docs/types.md: a declared type, and values of it with what BigQuery then has. A test mirrors each. */
export type TypeExample = {
  /** As a person declares a column. */
  declared: string;
  type: SourceType;
  /** SQL literal, and BigQuery's value as text; or the reason for which the row is in the errors table. */
  values: readonly (readonly [literal: string, becomes: string | { refused: Reason }])[];
};

const base = (name: string, parameters: Partial<SourceType> = {}): SourceType => {
  return { name, schema: 'pg_catalog', kind: 'base', ...parameters };
};
const own = (
  name: string,
  kind: SourceType['kind'],
  ...holds: (keyof NonNullable<SourceType['inside']>)[]
): SourceType => {
  const inside = { json: false, arrays: false, composites: false, ownJson: false };
  for (const what of holds) inside[what] = true;
  return { name, schema: 'public', kind, inside };
};
const extension = (name: string): SourceType => base(name, { schema: 'public' });
const spatial = (name: string): SourceType => ({ ...extension(name), decimals: true });
const refused = (reason: Reason): { refused: Reason } => ({ refused: reason });

/** What the examples' own types are. */
export const EXAMPLE_SETUP = `
CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION cube;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE report AS (doc json, list int[]);
CREATE DOMAIN price AS numeric(10, 2);
CREATE DOMAIN prices AS int[];
CREATE DOMAIN couple AS pair;`;

/** By chapter. */
export const TYPE_EXAMPLES: Record<string, readonly TypeExample[]> = {
  Numbers: [
    { declared: 'smallint', type: base('int2'), values: [['-32768', '-32768']] },
    { declared: 'integer', type: base('int4'), values: [['2147483647', '2147483647']] },
    { declared: 'bigint', type: base('int8'), values: [['9223372036854775807', '9223372036854775807']] },
    { declared: 'oid', type: base('oid'), values: [['4294967295', '4294967295']] },
    { declared: 'xid', type: base('xid'), values: [["'4294967295'", '4294967295']] },
    { declared: 'cid', type: base('cid'), values: [["'7'", '7']] },
    { declared: 'xid8', type: base('xid8'), values: [["'18446744073709551615'", '18446744073709551615']] },
    { declared: 'numeric(38,9)', type: base('numeric', { precision: 38, scale: 9 }), values: [['1.100000000', '1.1']] },
    {
      declared: 'numeric(38,0)',
      type: base('numeric', { precision: 38, scale: 0 }),
      values: [["repeat('9', 38)::numeric", '9'.repeat(38)]],
    },
    {
      declared: 'numeric(50,40)',
      type: base('numeric', { precision: 50, scale: 40 }),
      values: [['0.5', `0.5${'0'.repeat(39)}`]],
    },
    {
      declared: 'numeric',
      type: base('numeric'),
      values: [
        ['1.50', '1.5'],
        ['1e-38', `0.${'0'.repeat(37)}1`],
        ['1e-39', refused('too-precise')],
        ['1e39', refused('out-of-range')],
        ["'NaN'", refused('not-a-number')],
        ["'-Infinity'", refused('infinite')],
      ],
    },
    { declared: 'real', type: base('float4'), values: [['0.1', '0.1']] },
    {
      declared: 'double precision',
      type: base('float8'),
      values: [
        ['0.1', '0.1'],
        ["'NaN'", 'nan'],
        ["'-Infinity'", '-inf'],
      ],
    },
    { declared: 'money', type: base('money'), values: [["'-1234.50'", '-1234.5']] },
  ],
  'Truth and bytes': [
    { declared: 'boolean', type: base('bool'), values: [['true', 'true']] },
    { declared: 'bytea', type: base('bytea'), values: [["'\\x00ff'", 'AP8=']] },
    { declared: 'bit(3)', type: base('bit'), values: [["B'101'", '101']] },
    { declared: 'bit varying', type: base('varbit'), values: [["B'0101'", '0101']] },
  ],
  Time: [
    {
      declared: 'date',
      type: base('date'),
      values: [
        ["'2024-02-29'", '2024-02-29'],
        ["'infinity'", refused('infinite')],
        ["'0044-03-15 BC'", refused('before-year-1')],
        ["'10000-01-01'", refused('after-year-9999')],
      ],
    },
    {
      declared: 'time',
      type: base('time'),
      values: [
        ["'12:30:00.000001'", '12:30:00.000001'],
        ["'24:00:00'", refused('end-of-day')],
      ],
    },
    { declared: 'time with time zone', type: base('timetz'), values: [["'12:30:00+02'", '12:30:00+02']] },
    {
      declared: 'timestamp',
      type: base('timestamp'),
      values: [["'2024-02-29 12:30:00.000001'", '2024-02-29 12:30:00.000001']],
    },
    {
      declared: 'timestamp with time zone',
      type: base('timestamptz'),
      values: [
        ["'2024-02-29 12:30:00+02'", '2024-02-29 10:30:00+00'],
        ["'-infinity'", refused('infinite')],
      ],
    },
    { declared: 'interval', type: base('interval'), values: [["'1 year 2 days 03:04:05.5'", 'P1Y2DT3H4M5.5S']] },
  ],
  Text: [
    { declared: 'text', type: base('text'), values: [["' ä\"'", ' ä"']] },
    { declared: 'varchar(5)', type: base('varchar'), values: [["''", '']] },
    { declared: 'char(3)', type: base('bpchar'), values: [["'a'", 'a  ']] },
    { declared: '"char"', type: base('char'), values: [["'a'", 'a']] },
    { declared: 'name', type: base('name'), values: [["'members'", 'members']] },
    { declared: 'citext', type: extension('citext'), values: [["'MiXed'", 'MiXed']] },
    {
      declared: 'uuid',
      type: base('uuid'),
      values: [["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']],
    },
    { declared: 'xml', type: base('xml'), values: [["'<a/>'", '<a/>']] },
    { declared: 'ltree', type: extension('ltree'), values: [["'top.science'", 'top.science']] },
    { declared: 'tsvector', type: base('tsvector'), values: [["'b:2 a:1'", "'a':1 'b':2"]] },
    { declared: 'tsquery', type: base('tsquery'), values: [["'a & b'", "'a' & 'b'"]] },
    { declared: 'an enum', type: own('mood', 'enum'), values: [["'happy'", 'happy']] },
  ],
  Documents: [
    {
      declared: 'json',
      type: base('json'),
      values: [
        ['\'{"b": 1.50, "a": null}\'', '{"a":null,"b":1.5}'],
        ['\'{"a": 1, "a": 2}\'', refused('duplicate-key')],
      ],
    },
    {
      declared: 'jsonb',
      type: base('jsonb'),
      values: [
        ['\'{"a": 18446744073709551615}\'', '{"a":18446744073709551615}'],
        ["'18446744073709551616.5'", refused('number-not-exact')],
        ["(repeat('[', 501) || repeat(']', 501))::jsonb", refused('too-deep')],
      ],
    },
    { declared: 'hstore', type: extension('hstore'), values: [["'a=>1, b=>NULL'", '{"a":"1","b":null}']] },
    { declared: 'jsonpath', type: base('jsonpath'), values: [["'$.a'", '$."a"']] },
  ],
  'Addresses and places': [
    { declared: 'inet', type: base('inet'), values: [["'10.0.0.1/8'", '10.0.0.1/8']] },
    { declared: 'cidr', type: base('cidr'), values: [["'10.0.0.0/8'", '10.0.0.0/8']] },
    { declared: 'macaddr', type: base('macaddr'), values: [["'08002B010203'", '08:00:2b:01:02:03']] },
    { declared: 'macaddr8', type: base('macaddr8'), values: [["'08002B0102030405'", '08:00:2b:01:02:03:04:05']] },
    { declared: 'point', type: base('point'), values: [["'1,2'", '(1,2)']] },
    { declared: 'line', type: base('line'), values: [["'{1,2,3}'", '{1,2,3}']] },
    { declared: 'lseg', type: base('lseg'), values: [["'(1,2),(3,4)'", '[(1,2),(3,4)]']] },
    { declared: 'box', type: base('box'), values: [["'(3,4),(1,2)'", '(3,4),(1,2)']] },
    { declared: 'path', type: base('path'), values: [["'[(1,2),(3,4)]'", '[(1,2),(3,4)]']] },
    { declared: 'polygon', type: base('polygon'), values: [["'(1,2),(3,4)'", '((1,2),(3,4))']] },
    { declared: 'circle', type: base('circle'), values: [["'<(1,2),3>'", '<(1,2),3>']] },
    { declared: 'cube', type: extension('cube'), values: [["'(1,2)'", '(1, 2)']] },
  ],
  'The server’s own': [
    { declared: 'pg_lsn', type: base('pg_lsn'), values: [["'16/B374D848'", '16/B374D848']] },
    { declared: 'tid', type: base('tid'), values: [["'(1,2)'", '(1,2)']] },
    { declared: 'pg_snapshot', type: base('pg_snapshot'), values: [["'10:20:10,14'", '10:20:10,14']] },
    { declared: 'regclass', type: base('regclass'), values: [["'pg_class'", 'pg_class']] },
  ],
  'Domains, arrays, composites, ranges': [
    {
      declared: 'a domain over numeric(10,2)',
      type: base('numeric', { precision: 10, scale: 2 }),
      values: [['1.5', '1.5']],
    },
    {
      declared: 'integer[]',
      type: { ...own('_int4', 'array'), schema: 'pg_catalog' },
      values: [
        ["'{1,NULL,3}'", '[1,null,3]'],
        ["'{{1,2},{3,4}}'", '[[1,2],[3,4]]'],
        ["'{}'", '[]'],
        ["'[0:1]={5,6}'", refused('array-bounds')],
      ],
    },
    { declared: 'text[]', type: own('_text', 'array'), values: [["ARRAY['a,\"b', '']", '["a,\\"b",""]']] },
    { declared: 'numeric[]', type: own('_numeric', 'array'), values: [["'{1.50,NaN}'", '[1.5,"NaN"]']] },
    {
      declared: 'json[]',
      type: own('_json', 'array', 'json'),
      values: [
        ['ARRAY[\'{"a":1}\']::json[]', '[{"a":1}]'],
        ['ARRAY[\'{"a":1,"a":2}\']::json[]', refused('duplicate-key')],
      ],
    },
    {
      declared: 'a domain over integer[]',
      type: { ...own('_int4', 'array'), schema: 'pg_catalog' },
      values: [["'{1}'", '[1]']],
    },
    {
      declared: 'a composite (a int, b text)',
      type: own('pair', 'composite'),
      values: [['ROW(1, NULL)', '{"a":1,"b":null}']],
    },
    {
      declared: 'a composite (doc json, list int[])',
      type: own('report', 'composite', 'json', 'arrays'),
      values: [
        ["ROW('{\"a\":1}', '{1}')", '{"doc":{"a":1},"list":[1]}'],
        ['ROW(\'{"a":1,"a":1}\', \'{1}\')', refused('duplicate-key')],
        ["ROW(NULL, '[0:0]={1}')", refused('array-bounds')],
      ],
    },
    {
      declared: 'a domain over a composite',
      type: own('pair', 'composite'),
      values: [["ROW(1, 'x')", '{"a":1,"b":"x"}']],
    },
    {
      declared: 'an array of a composite',
      type: own('_pair', 'array', 'composites'),
      values: [["ARRAY[ROW(1, 'x')::pair]", '[{"a":1,"b":"x"}]']],
    },
    { declared: 'int4range', type: own('int4range', 'range'), values: [["'[1,3]'", '[1,4)']] },
    {
      declared: 'tstzrange',
      type: own('tstzrange', 'range'),
      values: [["'[2024-01-01 00:00+01,)'", '["2023-12-31 23:00:00+00",)']],
    },
    {
      declared: 'int4multirange',
      type: own('int4multirange', 'range'),
      values: [["'{[1,2),[5,6)}'", '{[1,2),[5,6)}']],
    },
  ],
  // Tried where a PostgreSQL with PostGIS is installed.
  PostGIS: [
    {
      declared: 'geometry',
      type: spatial('geometry'),
      values: [
        ["'SRID=4326;POINT(0.12345678901234566 51.5)'", 'SRID=4326;POINT(0.12345678901234566 51.5)'],
        ["'LINESTRING Z (0 0 1e-300,1.0000000000000002 2 3)'", 'LINESTRING(0 0 1e-300,1.0000000000000002 2 3)'],
        ["'CIRCULARSTRING(0 0,1 1,2 0)'", 'CIRCULARSTRING(0 0,1 1,2 0)'],
        ['ST_MakeLine(ARRAY[ST_MakePoint(1, 2)])', 'LINESTRING(1 2)'],
        ["ST_MakePoint('NaN', '-Infinity')", 'POINT(NaN -Infinity)'],
        ["'POINT EMPTY'", 'POINT EMPTY'],
        ["'LINESTRING Z EMPTY'", '010200008000000000'],
        ["'POINT(-0 1)'", '01010000000000000000000080000000000000F03F'],
      ],
    },
    {
      declared: 'geography',
      type: spatial('geography'),
      values: [["'POINT(-0.1 51.5)'", 'SRID=4326;POINT(-0.1 51.5)']],
    },
    {
      declared: 'geometry as geography',
      type: { ...spatial('geometry'), kind: 'as geography' },
      values: [
        ["'SRID=4326;POLYGON((0 0,1 0,1 1,0 0))'", 'POLYGON((0 0, 1 0, 1 1, 0 0))'],
        ["'POINT(-0.1 51.5)'", 'POINT(-0.1 51.5)'],
        ["'SRID=3857;POINT(1 2)'", refused('not-wgs-84')],
        ["'POINT Z (1 2 3)'", refused('not-two-dimensional')],
        ["'POINT(1 91)'", refused('unparseable')],
        ["'CIRCULARSTRING(0 0,1 1,2 0)'", refused('unparseable')],
      ],
    },
    {
      declared: 'geometry[]',
      type: own('_geometry', 'array', 'ownJson'),
      values: [["ARRAY['POINT(1 2)'::geometry]", '["0101000000000000000000F03F0000000000000040"]']],
    },
    {
      declared: 'a composite (id int, at geometry)',
      type: own('place', 'composite', 'ownJson'),
      values: [["ROW(1, 'POINT(1 2)')", '(1,0101000000000000000000F03F0000000000000040)']],
    },
  ],
  // Not among the extensions that the tests' PostgreSQL has: without examples.
  pgvector: [
    { declared: 'vector', type: extension('vector'), values: [] },
    { declared: 'halfvec', type: extension('halfvec'), values: [] },
    { declared: 'sparsevec', type: extension('sparsevec'), values: [] },
  ],
};

/** The SQL type that `declared` stands for where it is described in words. */
export const DECLARED_AS: Record<string, string> = {
  'an enum': 'mood',
  'a domain over numeric(10,2)': 'price',
  'a domain over integer[]': 'prices',
  'a composite (a int, b text)': 'pair',
  'a composite (doc json, list int[])': 'report',
  'a domain over a composite': 'couple',
  'an array of a composite': 'pair[]',
  'geometry as geography': 'geometry',
  'a composite (id int, at geometry)': 'place',
};
