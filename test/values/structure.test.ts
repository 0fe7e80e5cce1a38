import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mirrored } from './mirrored.ts';

/** Names and shapes of tables, from end to end; `compareRun` holds every row of each against PostgreSQL. */

test('every name arrives under a name of its own', async (t) => {
  const columns = [
    'id',
    'ID',
    'Id',
    'select',
    'a b',
    'a.b',
    'a"b',
    'größe',
    '名前',
    '1st',
    '_TABLE_x',
    '_partitiontime',
  ];
  columns.push('_FILE_NAME', '_change_type', '__ROOT__', 'f', 'v', 'reason', 'reason_0', 'failure_', 'raw_row', '😀');
  const quoted = columns.map((name) => `"${name.replaceAll('"', '""')}" numeric`).join(', ');
  const tables = ['Members', 'members', 'order', 'a.b', 'a"b', 'a b', 'größe', '名前', '-', '_', 'x_20260101'];
  tables.push('x_transformed_20260101', 'x_transformed', 'x_errors', 'x', 'x_', 'commons_mirror_sli', 'care__teams');
  const { run, comparison, warehouse } = await mirrored(
    t,
    `CREATE SCHEMA care; CREATE SCHEMA "Care"; CREATE SCHEMA "care__teams"; CREATE SCHEMA "a.b";
     ${tables.map((name, i) => `CREATE TABLE "${name.replaceAll('"', '""')}" (n int); INSERT INTO "${name.replaceAll('"', '""')}" VALUES (${i});`).join('\n')}
     CREATE TABLE care.members (n int); CREATE TABLE "Care".members (n int); CREATE TABLE care.teams (n int);
     CREATE TABLE "care__teams".x (n int); CREATE TABLE "a.b"."c.d" (n int); CREATE TABLE care."x_20260101" (n int);
     INSERT INTO care.members VALUES (-1); INSERT INTO "Care".members VALUES (-2); INSERT INTO care.teams VALUES (-3);
     CREATE TABLE named (${quoted});
     INSERT INTO named SELECT ${columns.map((_, i) => `${i} + n / 10.0`).join(', ')} FROM generate_series(1, 3) AS n;
     -- One row is refused, so that both of the split's statements meet these names.
     INSERT INTO named (id, "ID") VALUES (0, 'NaN')`,
  );
  assert.deepEqual(comparison, { wrong: [], tables: tables.length + 7, rows: tables.length + 7, errors: 1 });
  const named = run.plan.chunks[0]?.tables.find(({ table }) => table === 'named');
  assert.deepEqual(
    named?.columns.map(({ name }) => name),
    [
      'id',
      'ID_2',
      'Id_3',
      'select',
      'a_b',
      'a_b_2',
      'a_b_3',
      'größe',
      '名前',
      '_1st',
      '__TABLE_x',
      '__partitiontime',
      '__FILE_NAME',
      '__change_type',
      '___ROOT__',
      'f',
      'v',
      'reason',
      'reason_0',
      'failure_',
      'raw_row',
      '_',
    ],
  );
  const [error] = await warehouse.errorRows(`named_errors_${run.runId}`);
  assert.deepEqual(
    error?.failures.map(({ column, reason }) => [column, reason]),
    [['ID_2', 'not-a-number']],
  );
});

test('tables of every shape arrive with the rows that are theirs', async (t) => {
  const { run, comparison } = await mirrored(
    t,
    `CREATE TABLE empty (id int NOT NULL, t text);
     CREATE TABLE one_column (v text); INSERT INTO one_column VALUES (NULL), (NULL), (''), ('x'), (NULL);
     CREATE TABLE no_key (a int, b int); INSERT INTO no_key VALUES (1, 1), (1, 1), (NULL, NULL), (NULL, NULL);
     CREATE TABLE nothing ();  INSERT INTO nothing DEFAULT VALUES;
     CREATE TABLE dropped_all (a int); ALTER TABLE dropped_all DROP COLUMN a;
     CREATE TABLE dropped (a int, b text, c numeric); INSERT INTO dropped VALUES (1, 'gone', 2);
     ALTER TABLE dropped DROP COLUMN b; ALTER TABLE dropped ADD d text DEFAULT 'since'; INSERT INTO dropped VALUES (3, 'NaN', 'd');
     CREATE TABLE computed (a int GENERATED ALWAYS AS IDENTITY, b int DEFAULT 7, c int GENERATED ALWAYS AS (b * 2) STORED);
     INSERT INTO computed (b) VALUES (1), (NULL);
     CREATE TABLE virtual (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL); INSERT INTO virtual VALUES (4), (NULL);
     CREATE TABLE unchecked (a int); INSERT INTO unchecked VALUES (NULL), (1); ALTER TABLE unchecked ADD NOT NULL a NOT VALID;
     CREATE UNLOGGED TABLE unlogged (id int); INSERT INTO unlogged VALUES (1);
     CREATE TABLE parent (id int, note text); CREATE TABLE child (extra numeric) INHERITS (parent);
     CREATE TABLE grandchild (more date) INHERITS (child);
     INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (2, 'c', 'NaN'); INSERT INTO grandchild VALUES (3, 'g', 1, 'infinity');
     CREATE TABLE measured (id int, at date NOT NULL, value numeric) PARTITION BY RANGE (at);
     CREATE TABLE measured_2025 PARTITION OF measured FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
     CREATE TABLE measured_2026 PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (id);
     CREATE TABLE measured_2026_1 PARTITION OF measured_2026 FOR VALUES IN (1);
     CREATE TABLE measured_2026_rest PARTITION OF measured_2026 DEFAULT;
     CREATE TABLE measured_rest PARTITION OF measured DEFAULT;
     -- A partition that was a table, with its columns in another order.
     CREATE TABLE measured_old (value numeric, gone text, at date NOT NULL, id int); ALTER TABLE measured_old DROP COLUMN gone;
     ALTER TABLE measured ATTACH PARTITION measured_old FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
     INSERT INTO measured VALUES (1, '2025-05-05', 1), (1, '2026-05-05', 2), (2, '2026-05-05', 'NaN'), (3, 'infinity', 4), (4, '2020-02-02', 5);
     CREATE TABLE unpartitioned (id int) PARTITION BY HASH (id);
     CREATE TABLE toasted (id int, plain text, packed text); ALTER TABLE toasted ALTER plain SET STORAGE EXTERNAL;
     INSERT INTO toasted SELECT n, string_agg(md5(i::text), ''), repeat('packed', 100000) FROM generate_series(1, 3) AS n, generate_series(1, 5000) AS i GROUP BY n;
     UPDATE toasted SET id = id + 10; DELETE FROM toasted WHERE id = 12;
     CREATE VIEW seen AS SELECT 1 AS one; CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one;
     CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
     CREATE FOREIGN TABLE foreign_table (line text) SERVER files OPTIONS (filename '/nowhere');
     CREATE TEMP TABLE temporary (id int); CREATE SEQUENCE counter; CREATE TYPE pair AS (a int)`,
  );
  assert.deepEqual(comparison.wrong, []);
  assert.deepEqual([comparison.tables, comparison.rows, comparison.errors], [14, 28, 5]);
  const { leftOut } = run.plan;
  assert.deepEqual(leftOut.map(({ table, reason }) => `${table}: ${reason}`).sort(), [
    'dropped_all: it has no column to mirror',
    'foreign_table: a foreign table, not listed by its full name',
    'kept: a materialized view, not listed by its full name',
    'nothing: it has no column to mirror',
    'seen: a view, not listed by its full name',
  ]);
});

test('views, materialized views and foreign tables are mirrored where they are named', async (t) => {
  const { run, comparison } = await mirrored(
    t,
    `CREATE TABLE rows AS SELECT n, n / 3.0 AS third FROM generate_series(1, 3) AS n;
     CREATE VIEW seen AS SELECT n, third AS "Third" FROM rows WHERE n > 1; CREATE MATERIALIZED VIEW kept AS SELECT * FROM seen`,
    'chunks: [{ name: all, tables: [public.rows, public.seen, public.kept] }]',
  );
  assert.deepEqual(comparison.wrong, []);
  assert.deepEqual(Object.fromEntries(run.marker.map(({ table, loaded }) => [table, loaded])), {
    kept: 2,
    rows: 3,
    seen: 2,
  });
});

/** A table of `n` columns that take turns through the types; the first cells of `rows` are given. */
const wideTable = (name: string, n: number, types: string[], rows: string[][]): string => {
  const columns = Array.from({ length: n }, (_, i) => `c${i} ${types[i % types.length]}`);
  return `CREATE TABLE ${name} (${columns.join(', ')});
    ${rows.map((cells) => `INSERT INTO ${name} VALUES (${cells.join(', ')});`).join('\n')}`;
};

test('the widest table that PostgreSQL has, and a wide one that is divided', async (t) => {
  const { run, comparison } = await mirrored(
    t,
    `${wideTable('wide', 1600, ['bool', 'int', 'text', 'date'], [['true', '1', "'x'", "'2024-01-01'"], ['NULL']])}
     UPDATE wide SET c1596 = false, c1599 = '9999-12-31';
     ${wideTable(
       'divided',
       60,
       ['bool', 'numeric', 'json', 'date'],
       [
         ["'t'", '1.5', `'{"a":1}'`],
         ["'f'", "'NaN'"],
       ],
     )}`,
  );
  assert.deepEqual(comparison, { wrong: [], tables: 2, rows: 4, errors: 1 });
  assert.deepEqual(
    run.plan.chunks[0]?.tables.map(({ columns }) => columns.length),
    [60, 1600],
  );
});
