import fc from 'fast-check';
import { escapeIdentifier, escapeLiteral } from 'pg';
import { anyType, TYPES_SETUP } from './arbitrary-values.ts';

/** A database as the statements that make it; rows stand by themselves, as PostgreSQL may refuse one. */
export type ArbitraryDatabase = {
  statements: string[];
  rows: string[];
  /** Whether the run verifies itself. */ verify: boolean;
};

const TRAPS = [
  'Members', 'members', 'MEMBERS', 'order', 'select', 'table', 'current', 'a.b', 'a"b', 'a b', ' a', "a'b", 'a`b', 'a\\b', 'a-b', 'a\nb',
  'größe', 'GRÖSSE', 'ß', 'ẞ', 'İ', 'ı', 'i', 'I', '\u212a', 'k', 'é', 'e\u0301', '名前', '😀', '_TABLE_x', '_table_suffix', '_PARTITIONTIME',
  '_file_name', '_change_type', '_row_timestamp', '__root__', '_colidentifier', 'x', 'x_', 'x__y', '_', '__', '___', '1', '1st', '-', '%', '*',
  'x_20260101', 'x_transformed', 'x_transformed_20260101', 'x_errors', 'x_staging', 'x_20260101T000000Z', 'commons_mirror_sli',
  'commons_mirror_errors_20260101', 'public', 'public__x', 'f', 't', 'v', 's', 'reason', 'reason_0', 'failure', 'failure_', 'raw_row', 'failures',
  'value', 'name', 'id', 'part', 'run_id', 'draft', 'x'.repeat(63), 'é'.repeat(31), '-'.repeat(63),
]; // prettier-ignore

/** PostgreSQL cuts names at 63 bytes, which would make two of them one. */
const anyName: fc.Arbitrary<string> = fc.oneof(
  { arbitrary: fc.constantFrom(...TRAPS), weight: 4 },
  {
    arbitrary: fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 10 })
      .map((text) => text.replaceAll('\0', '').toWellFormed())
      .filter((text) => text !== '' && Buffer.byteLength(text) <= 63),
    weight: 1,
  },
);
const SYSTEM_COLUMNS = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid']);

const anyColumn = fc
  .record({
    name: anyName.filter((name) => !SYSTEM_COLUMNS.has(name)),
    type: anyType,
    required: fc.nat(9).map((n) => n === 0),
  })
  .chain(({ name, type, required }) =>
    fc.record({
      name: fc.constant(name),
      sql: fc.constant(type.sql),
      required: fc.constant(required),
      cells: fc.array(required ? type.value : fc.option(type.value, { freq: 6 }), { minLength: 8, maxLength: 8 }),
    }),
  );

const anyTable = fc.record({
  name: anyName,
  columns: fc.uniqueArray(anyColumn, { maxLength: 7, selector: ({ name }) => name }),
  rows: fc.nat(8),
  form: fc.constantFrom('plain', 'plain', 'plain', 'unlogged', 'partitioned', 'inherited', 'altered'),
});
type Table = typeof anyTable extends fc.Arbitrary<infer T> ? T : never;

const anySchemas = fc.uniqueArray(
  fc.record({
    schema: fc.oneof(
      fc.constant('public'),
      anyName.filter((name) => !name.startsWith('pg_')),
    ),
    tables: fc.uniqueArray(anyTable, { minLength: 1, maxLength: 3, selector: ({ name }) => name }),
  }),
  { minLength: 1, maxLength: 3, selector: ({ schema }) => schema },
);

export const anyDatabase: fc.Arbitrary<ArbitraryDatabase> = fc
  .record({ schemas: anySchemas, verify: fc.nat(4).map((n) => n === 0) })
  .map(({ schemas, verify }) => {
    const all = ['public', ...schemas.map(({ schema }) => schema).filter((name) => name !== 'public')];
    const made = schemas.flatMap(({ schema, tables }) => tables.map((table) => make(schema, table)));
    return {
      verify,
      statements: [
        ...all.map((name) => `CREATE SCHEMA IF NOT EXISTS ${escapeIdentifier(name)}`),
        TYPES_SETUP,
        // What nobody can mirror is no database to mirror.
        'CREATE TABLE public."always there" (n int)',
        ...made.flatMap(({ statements }) => statements),
      ],
      rows: made.flatMap(({ rows }) => rows),
    };
  });

function make(schema: string, { name, columns, rows, form }: Table): { statements: string[]; rows: string[] } {
  const table = `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`;
  const list = columns.map((each) => `${escapeIdentifier(each.name)} ${each.sql}${each.required ? ' NOT NULL' : ''}`);
  // A column that no generated name can meet, to divide by and to drop.
  const extra = escapeIdentifier('division of rows');
  const child = (suffix: string): string =>
    `${escapeIdentifier(schema)}.${escapeIdentifier(`${name.slice(0, 12).toWellFormed()} ${suffix}`)}`;
  const created = {
    plain: [`CREATE TABLE ${table} (${list.join(', ')})`],
    unlogged: [`CREATE UNLOGGED TABLE ${table} (${list.join(', ')})`],
    partitioned: [
      `CREATE TABLE ${table} (${[...list, `${extra} int`].join(', ')}) PARTITION BY LIST (${extra})`,
      `CREATE TABLE ${child('part 1')} PARTITION OF ${table} FOR VALUES IN (1, 2)`,
      `CREATE TABLE ${child('part 2')} PARTITION OF ${table} DEFAULT PARTITION BY LIST (${extra})`,
      `CREATE TABLE ${child('part 3')} PARTITION OF ${child('part 2')} DEFAULT`,
    ],
    inherited: [
      `CREATE TABLE ${table} (${list.join(', ')})`,
      `CREATE TABLE ${child('heir')} (${extra} int) INHERITS (${table})`,
    ],
    altered: [
      `CREATE TABLE ${table} (${[`${extra} text`, ...list].join(', ')})`,
      `ALTER TABLE ${table} DROP COLUMN ${extra}`,
      `ALTER TABLE ${table} ADD COLUMN "added since" text DEFAULT 'x'`,
    ],
  }[form];
  const inserts = Array.from({ length: columns.length === 0 ? 0 : rows }, (_, i) => {
    const isHeir = form === 'inherited' && i % 2 === 1;
    const names = columns.map((column) => escapeIdentifier(column.name));
    const cells = columns.map(({ cells: all }) => {
      const cell = all[i % all.length] ?? null;
      return cell === null ? 'NULL' : escapeLiteral(cell);
    });
    if (form === 'partitioned') {
      names.push(extra);
      cells.push(String(i % 4));
    }
    return `INSERT INTO ${isHeir ? child('heir') : table} (${names.join(', ')}) VALUES (${cells.join(', ')})`;
  });
  return { statements: created, rows: inserts };
}
