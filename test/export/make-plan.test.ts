import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import pg from 'pg';
import { takeSnapshot } from '../../functions/export/snapshot.ts';
import { urlSource } from '../../functions/export/source.ts';
import { parseConfig } from '../../functions/mirror/config.ts';
import { PlanSchema, type Plan } from '../../functions/mirror/plan.ts';
import { testDatabase } from '../postgres.ts';

const HEAD = 'project: commons-test\nregion: us-central1\nlocation: US\ndataset: d\n';
const RUN = { runId: '20261122T030000Z', attempt: 1, trigger: 'manual' } as const;

async function planOf(url: string, yaml: string): Promise<Plan> {
  const { plan, client } = await takeSnapshot(urlSource(url, 'test'), parseConfig(HEAD + yaml, 'mirror.yaml'), RUN);
  await client.end();
  // What the ledger keeps is what the steps read.
  assert.deepEqual(PlanSchema.parse(JSON.parse(JSON.stringify(plan))), JSON.parse(JSON.stringify(plan)));
  return plan;
}

const chunksOf = ({ chunks }: Plan): Record<string, string[]> =>
  Object.fromEntries(chunks.map(({ name, tables }) => [name, tables.map(({ warehouseTable }) => warehouseTable)]));

const KINDS = `
  CREATE TABLE t (id int);
  CREATE TABLE p (id int, at date) PARTITION BY RANGE (at);
  CREATE TABLE p_2025 PARTITION OF p FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
  CREATE TABLE p_2026 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY HASH (id);
  CREATE TABLE p_2026_0 PARTITION OF p_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
  CREATE TABLE p_2026_1 PARTITION OF p_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
  CREATE TABLE p_empty (id int) PARTITION BY LIST (id);
  CREATE TABLE parent (id int); INSERT INTO parent VALUES (1);
  CREATE TABLE child (extra int) INHERITS (parent); INSERT INTO child VALUES (2, 3);
  CREATE VIEW v AS SELECT 1 AS id;
  CREATE MATERIALIZED VIEW m AS SELECT 1 AS id;
  CREATE UNLOGGED TABLE u (id int);
  CREATE TABLE nothing ();
  CREATE SCHEMA other; CREATE TABLE other.t (id int);`;

test('partitions are one table, children tables of their own, and a pattern takes tables only', async (t) => {
  const { url } = await testDatabase(t, KINDS);
  const plan = await planOf(url, 'chunks: [{ name: c, tables: [public.*] }]');
  assert.deepEqual(chunksOf(plan), { c: ['child', 'p', 'p_empty', 'parent', 't', 'u'] });
  const ranges = Object.fromEntries(
    plan.chunks.flatMap(({ tables }) =>
      tables.map(({ table, ranges }) => [table, ranges.map(({ relation }) => relation)]),
    ),
  );
  assert.deepEqual(ranges, {
    child: ['ONLY "public"."child"'],
    p: ['ONLY "public"."p_2025"', 'ONLY "public"."p_2026_0"', 'ONLY "public"."p_2026_1"'],
    p_empty: ['"public"."p_empty"'],
    parent: ['ONLY "public"."parent"'],
    t: ['ONLY "public"."t"'],
    u: ['ONLY "public"."u"'],
  });
  assert.deepEqual(plan.leftOut, [
    { schema: 'other', table: 't', reason: 'not listed in mirror.yaml' },
    { schema: 'public', table: 'm', reason: 'a materialized view, not listed by its full name' },
    { schema: 'public', table: 'v', reason: 'a view, not listed by its full name' },
    { schema: 'public', table: 'nothing', reason: 'it has no column to mirror' },
  ]);
  assert.deepEqual(plan.warnings, ['public.u is unlogged: what is unlogged is empty in a restored backup']);
});

test('views and materialized views are taken when named in full', async (t) => {
  const { url } = await testDatabase(t, KINDS);
  const plan = await planOf(
    url,
    'chunks: [{ name: a, tables: [public.v] }, { name: b, tables: ["*.m", public.m] }, { name: o, tables: [other.*] }]\nbuilder: [public.t]',
  ).catch((error: unknown) => error);
  assert.ok(plan instanceof Error);
  assert.equal(
    plan.message,
    'mirror.yaml has a fault:\n  line 5: chunks[1].tables[0]: no such table in the database: *.m',
  );
  const right = await planOf(
    url,
    'chunks: [{ name: a, tables: [public.v] }, { name: b, tables: [public.m] }, { name: o, tables: [other.*] }]\nbuilder: [public.t]',
  );
  assert.deepEqual(chunksOf(right), { a: ['v'], b: ['m'], o: ['other__t'], builder: ['t'] });
  assert.deepEqual(
    right.chunks.flatMap(({ tables }) => tables.map(({ kind }) => kind)),
    ['view', 'materialized view', 'table', 'table'],
  );
});

test('a chunk is left out with all its tables, an excepted table with its reason', async (t) => {
  const { url } = await testDatabase(t, 'CREATE TABLE a (id int); CREATE TABLE b_old (id int); CREATE TABLE none ()');
  const plan = await planOf(
    url,
    'chunks:\n  - { name: one, tables: [public.*], except: ["public.*_old", public.none] }\n  - { name: two, tables: [public.none] }',
  );
  assert.deepEqual(chunksOf(plan), { one: ['a'] });
  assert.deepEqual(
    plan.leftOut.map(({ table, reason }) => [table, reason]),
    [
      ['b_old', 'not listed in mirror.yaml'],
      ['none', 'it has no column to mirror'],
    ],
  );
});

test('a run with nothing to mirror is a fault, not an empty run', async (t) => {
  const { url } = await testDatabase(t, 'CREATE TABLE a ()');
  await assert.rejects(planOf(url, 'chunks:\n  - { name: one, tables: [public.*] }'), {
    name: 'ConfigurationError',
    message: 'mirror.yaml has a fault:\n  line 5: chunks: no table with a column to mirror is left',
  });
});

const FAULTY = `
chunks:
  - name: one
    tables: [public.a, public.missing, nowhere.*]
  - name: two
    tables: [public.*]
builder:
  - public.gone
  - public.b
columns:
  public.a: { except: [secret, ssn], as: { secret: string, absent: string, body: string } }
  public.gone: { only: [id] }
transforms:
  - transformer: draftjs
    table: public.a
    columns:
      secret: [text]
      born: [html]
      body: [text, html]
      absent: [text]
  - transformer: draftjs
    table: public.elsewhere
    columns: { body: [text] }
coverage:
  tables: { public.c: 0.5, public.b: 0.5 }
verify: [public.a, public.d]
`;

test('everything that mirror.yaml says wrongly of the database is in one message', async (t) => {
  const { url } = await testDatabase(
    t,
    'CREATE TABLE a (id int, secret text, born date, body jsonb, "Body_HTML" text); CREATE TABLE b (id int)',
  );
  await assert.rejects(planOf(url, FAULTY), {
    name: 'ConfigurationError',
    message: [
      'mirror.yaml has 16 faults:',
      '  line 8: chunks[0].tables[1]: no such table in the database: public.missing',
      '  line 8: chunks[0].tables[2]: no such table in the database: nowhere.*',
      '  line 9: chunks[1]: public.a is in two chunks, one and two; wanted: one',
      '  line 12: builder[0]: the Builder table public.gone is missing in the database',
      '  line 13: builder[1]: public.b is in chunk two too; wanted: one',
      '  line 15: columns."public.a".except[1]: public.a has no column ssn',
      '  line 15: columns."public.a".as.secret: public.a has no column secret among the mirrored ones',
      '  line 15: columns."public.a".as.absent: public.a has no column absent among the mirrored ones',
      '  line 16: columns."public.gone": this table is not mirrored',
      '  line 21: transforms[0].columns.secret: public.a has no column secret among the mirrored ones',
      '  line 22: transforms[0].columns.born: date holds no Draft.js content; allowed: text, json, jsonb',
      '  line 23: transforms[0].columns.body: public.a already has a column body_html',
      '  line 24: transforms[0].columns.absent: public.a has no column absent among the mirrored ones',
      '  line 26: transforms[1].table: this table is not mirrored',
      '  line 29: coverage.tables."public.c": this table is not mirrored',
      '  line 30: verify[1]: this table is not mirrored',
    ].join('\n'),
  });
});

test('an output that meets a column’s name in BigQuery is a fault too', async (t) => {
  const { url } = await testDatabase(t, 'CREATE TABLE a ("body x" text, body_x_text text)');
  const yaml = `chunks: [{ name: c, tables: [public.a] }]
transforms: [{ transformer: draftjs, table: public.a, columns: { "body x": [text] } }]`;
  await assert.rejects(planOf(url, yaml), {
    message:
      'mirror.yaml has a fault:\n  line 6: transforms[0].columns."body x": public.a already has a column body_x_text',
  });
});

async function withRole(t: TestContext, sql: string): Promise<string> {
  const { url } = await testDatabase(t, sql);
  const owner = new pg.Client(url);
  await owner.connect();
  const role = `r_${new URL(url).pathname.slice(6)}`;
  await owner.query(`CREATE ROLE ${role} LOGIN PASSWORD 'r'; GRANT USAGE ON SCHEMA public TO ${role};
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${role}; REVOKE ALL ON closed FROM ${role};
    REVOKE ALL ON partly FROM ${role}; GRANT SELECT (id, note) ON partly TO ${role}`);
  t.after(async () => {
    await owner.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    await owner.end();
  });
  const parsed = new URL(url);
  parsed.username = role;
  parsed.password = 'r';
  return parsed.href;
}

const RIGHTS = `
  CREATE TABLE free (id int); CREATE TABLE closed (id int); CREATE TABLE partly (id int, note text, ssn text, born date);
  CREATE TABLE "Filtered" (id int); ALTER TABLE "Filtered" ENABLE ROW LEVEL SECURITY;
  CREATE POLICY one ON "Filtered" USING (id = 1);
  CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int);`;

test('what the role may not read is named, all of it, with what to do', async (t) => {
  const url = await withRole(t, RIGHTS);
  await assert.rejects(planOf(url, 'chunks: [{ name: c, tables: [public.*, hidden.*] }]'), {
    name: 'PermanentError',
    message: [
      'The role may not read all that mirror.yaml lists:',
      `  public.Filtered: row-level security would hide rows from the role. Next: ALTER ROLE … BYPASSRLS, or use the table's owner`,
      '  public.closed: no right. Next: GRANT SELECT ON "public"."closed", and USAGE ON SCHEMA "public", TO the role',
      '  public.partly: no SELECT right on ssn, born. Next: GRANT it, or except the columns',
      '  hidden.t: no right. Next: GRANT SELECT ON "hidden"."t", and USAGE ON SCHEMA "hidden", TO the role',
    ].join('\n'),
  });
});

test('rights on the mirrored columns are enough', async (t) => {
  const url = await withRole(t, RIGHTS);
  const yaml = 'chunks: [{ name: c, tables: [public.partly] }]\ncolumns: { public.partly: { except: [ssn, born] } }';
  const [table] = (await planOf(url, yaml)).chunks[0]?.tables ?? [];
  assert.deepEqual(
    [table?.columns.map(({ source }) => source), table?.omittedColumns],
    [
      ['id', 'note'],
      ['ssn', 'born'],
    ],
  );
});

test('partitions that the role may not read by their own names are read through their parent', async (t) => {
  const url = await withRole(
    t,
    `CREATE TABLE closed (id int); CREATE TABLE partly (id int, note text); CREATE SCHEMA parts;
     CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE parts.p1 PARTITION OF p FOR VALUES IN (1);
     GRANT SELECT ON parts.p1 TO PUBLIC`,
  );
  const [table] = (await planOf(url, 'chunks: [{ name: c, tables: [public.p] }]')).chunks[0]?.tables ?? [];
  assert.deepEqual(table?.ranges, [{ relation: '"public"."p"', from: null, to: null }]);
});

test('columns keep their order, their types through domains, their names in the description where these change', async (t) => {
  const { url } = await testDatabase(
    t,
    `CREATE SCHEMA ext; CREATE DOMAIN ext.money_amount AS numeric(12, 4); CREATE DOMAIN price AS ext.money_amount NOT NULL;
     CREATE TYPE strange; CREATE FUNCTION strange_in(cstring) RETURNS strange LANGUAGE internal STRICT IMMUTABLE AS 'int4in';
     CREATE FUNCTION strange_out(strange) RETURNS cstring LANGUAGE internal STRICT IMMUTABLE AS 'int4out';
     CREATE TYPE strange (INPUT = strange_in, OUTPUT = strange_out, LIKE = int4);
     CREATE TYPE mood AS ENUM ('ok'); CREATE TYPE pair AS (a int, b int);
     CREATE TABLE t (
       id bigint PRIMARY KEY, dropped int, "First Name" varchar(20), amount price, tiny numeric(3, -2), any_number numeric,
       moods mood[], mood mood, pair pair, span int4range, spans int4multirange, flags int2vector, raw bytea, odd strange);
     ALTER TABLE t DROP COLUMN dropped; COMMENT ON COLUMN t."First Name" IS 'given name'; COMMENT ON TABLE t IS 'all of it'`,
  );
  const plan = await planOf(url, 'chunks: [{ name: c, tables: [public.t] }]');
  const [table] = plan.chunks[0]?.tables ?? [];
  assert.equal(table?.description, 'all of it');
  assert.deepEqual(
    table.columns.map(({ source, name, postgresType, bigquery, required, description }) => [
      source,
      name,
      postgresType,
      bigquery,
      required,
      description,
    ]),
    [
      ['id', 'id', 'bigint', 'INT64', true, ''],
      ['First Name', 'First_Name', 'character varying(20)', 'STRING', false, 'PostgreSQL: First Name\ngiven name'],
      ['amount', 'amount', 'public.price', 'NUMERIC', false, ''],
      ['tiny', 'tiny', 'numeric(3,-2)', 'NUMERIC', false, ''],
      ['any_number', 'any_number', 'numeric', 'BIGNUMERIC', false, ''],
      ['moods', 'moods', 'public.mood[]', 'JSON', false, ''],
      ['mood', 'mood', 'public.mood', 'STRING', false, ''],
      ['pair', 'pair', 'public.pair', 'JSON', false, ''],
      ['span', 'span', 'int4range', 'STRING', false, ''],
      ['spans', 'spans', 'int4multirange', 'STRING', false, ''],
      ['flags', 'flags', 'int2vector', 'JSON', false, ''],
      ['raw', 'raw', 'bytea', 'BYTES', false, ''],
      ['odd', 'odd', 'public.strange', 'STRING', false, ''],
    ],
  );
  assert.deepEqual(plan.warnings, ['public.t.odd: the type public.strange is not known; its text form is mirrored']);
});

test('a column that mirror.yaml takes as text is what PostgreSQL writes, whatever its type', async (t) => {
  const { url } = await testDatabase(
    t,
    `CREATE TABLE t (id int NOT NULL, born date NOT NULL, amount numeric, list int[], raw bytea, odd jsonpath, doc json)`,
  );
  const plan = await planOf(
    url,
    `chunks: [{ name: c, tables: [public.t] }]
columns: { public.t: { as: { born: string, amount: string, list: string, raw: string, odd: string, doc: string } } }
transforms: [{ transformer: draftjs, table: public.t, columns: { doc: [text] } }]`,
  );
  assert.deepEqual(
    plan.chunks[0]?.tables[0]?.columns.map(({ source, postgresType, bigquery, expression, refusals, required }) => [
      source,
      postgresType,
      bigquery,
      expression,
      refusals,
      required,
    ]),
    [
      ['id', 'integer', 'INT64', '"id"', [], true],
      ['born', 'date', 'STRING', '"born"', [], true],
      ['amount', 'numeric', 'STRING', '"amount"', [], false],
      ['list', 'integer[]', 'STRING', '"list"', [], false],
      ['raw', 'bytea', 'STRING', '"raw"', [], false],
      ['odd', 'jsonpath', 'STRING', '"odd"', [], false],
      ['doc', 'json', 'STRING', '"doc"', [], false],
    ],
  );
  // Somebody has asked for the text of an unknown type: nothing to warn of.
  assert.deepEqual(plan.warnings, []);
});

test('what arrays and composites hold, at any depth, says what may be lost in them', async (t) => {
  const { url } = await testDatabase(
    t,
    `CREATE DOMAIN document AS json; CREATE DOMAIN numbers AS int[];
     CREATE TYPE plain AS (a int, b text); CREATE TYPE holder AS (doc document, list numbers);
     CREATE TYPE deep AS (h holder[], at timestamptz); CREATE DOMAIN deep_domain AS deep; CREATE EXTENSION hstore;
     CREATE TYPE odd AS ENUM ('x'); CREATE FUNCTION odd_json(odd) RETURNS json LANGUAGE sql AS $$SELECT '0'::json$$;
     CREATE CAST (odd AS json) WITH FUNCTION odd_json(odd); CREATE TYPE with_odd AS (o odd);
     CREATE TABLE t (ints int[], docs json[], domains document[], plain plain, plains plain[], holder holder, deep deep_domain,
       stores hstore[], lists numbers[], odds odd[], with_odd with_odd, with_odds with_odd[], vector oidvector)`,
  );
  const plan = await planOf(url, 'chunks: [{ name: c, tables: [public.t] }]');
  assert.deepEqual(
    plan.chunks[0]?.tables[0]?.columns.map(({ source, bigquery, refusals }) => [source, bigquery, ...refusals]),
    [
      ['ints', 'JSON', 'array-bounds'],
      ['docs', 'JSON', 'array-bounds', 'unparseable', 'duplicate-key'],
      ['domains', 'JSON', 'array-bounds', 'unparseable', 'duplicate-key'],
      ['plain', 'JSON'],
      ['plains', 'JSON', 'array-bounds'],
      ['holder', 'JSON', 'array-bounds', 'unparseable', 'duplicate-key'],
      ['deep', 'JSON', 'array-bounds', 'unparseable', 'duplicate-key'],
      ['stores', 'JSON', 'array-bounds'],
      ['lists', 'JSON', 'array-bounds'],
      ['odds', 'JSON', 'array-bounds'],
      ['with_odd', 'STRING'],
      ['with_odds', 'STRING'],
      ['vector', 'JSON', 'array-bounds'],
    ],
  );
});
