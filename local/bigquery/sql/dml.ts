import { expression } from './expressions.ts';
import { coerceTo } from './operators.ts';
import {
  accept,
  ahead,
  expect,
  identifier,
  list,
  macro,
  peek,
  plain,
  readable,
  type Expression,
  type Parser,
  type TableRef,
} from './parser.ts';
import { tablePath, tableRef } from './sources.ts';
import type { Statement } from './statement.ts';
import { anyDiffers, rowId, toStored, withRowIds } from './stored.ts';
import { InvalidQuery, quoteName, unsupported, type Field } from './types.ts';

type Dml = Extract<Statement, { kind: 'dml' }>;

function dml(parser: Parser, verb: Dml['verb'], target: TableRef, sql: string): Dml {
  return { kind: 'dml', verb, target, sql, reads: parser.reads };
}

/** INSERT [INTO] table (columns) VALUES … or a query; each value converts to its column's type by BigQuery's implicit rules only. */
export function insertStatement(parser: Parser): Dml {
  accept(parser, 'INTO');
  const target = tableRef(parser, tablePath(parser));
  const table = parser.context.quote(target);
  // Without the list, the columns and their types are the catalogue's to know.
  if (!ahead(parser, '(') || peek(parser, 1).text.toUpperCase() === 'SELECT')
    throw unsupported('INSERT without a column list');
  expect(parser, '(');
  const names = list(parser, () => identifier(parser));
  expect(parser, ')');
  const fields = parser.context.fields?.(target) ?? [];
  const models = names.map((name) => columnModel(readable(parser, target), name));
  const value = (index: number, given: Expression): string =>
    inColumn(fields, names[index] ?? '', assigned(models[index], given));
  const into = `INSERT INTO ${table} (${names.map(quoteName).join(', ')})`;
  if (accept(parser, 'VALUES')) {
    const rows = list(parser, () => {
      expect(parser, '(');
      const values = list(parser, () => (ahead(parser, 'DEFAULT') ? refuseDefault() : expression(parser)));
      expect(parser, ')');
      if (values.length !== names.length) {
        throw new InvalidQuery(`Inserted row has wrong column count; Has ${values.length}, expected ${names.length}`);
      }
      return values;
    });
    const groups = alikeRows(rows).map((alike) => valuesQuery(alike, value));
    return dml(parser, 'insert', target, `${into} ${groups.join(' UNION ALL ')}`);
  }
  const { sql, columns } = parser.query(parser);
  if (columns && columns.length !== names.length) {
    throw new InvalidQuery(`Inserted row has wrong column count; Has ${columns.length}, expected ${names.length}`);
  }
  const values = names.map((_, index) => value(index, plain(`"_query"."_${index}"`, [])));
  return dml(parser, 'insert', target, `${into} SELECT ${values.join(', ')} FROM ${countedQuery(sql, names.length)}`);
}

/** Rows whose values are of the same known types and kinds of literal; a row with a value of unknown type is alone. */
function alikeRows(rows: Expression[][]): Expression[][][] {
  const groups = new Map<string, Expression[][]>();
  for (const [index, row] of rows.entries()) {
    const known = row.every(({ type }) => type !== undefined && type !== 'ARRAY' && type !== 'STRUCT');
    const signature = known ? row.map(({ type, literal }) => `${type} ${literal}`).join() : String(index);
    groups.set(signature, [...(groups.get(signature) ?? []), row]);
  }
  return [...groups.values()];
}

/** Rows that are alike as one query, so that the conversions to the columns' types are planned once and not for every value. */
function valuesQuery(rows: Expression[][], value: (index: number, given: Expression) => string): string {
  const [first = []] = rows;
  if (rows.length === 1) return `SELECT ${first.map((given, index) => value(index, given)).join(', ')}`;
  const names = first.map((_, index) => `"_${index}"`);
  const cells = first.map(({ type, literal }, index) =>
    plain(`"_row".${names[index]}`, [], { ...(type && { type }), ...(literal && { literal }) }),
  );
  const written = rows.map((row) => `(${row.map(({ sql }) => sql).join(', ')})`).join(', ');
  const converted = cells.map((cell, index) => value(index, cell)).join(', ');
  return `SELECT ${converted} FROM (VALUES ${written}) AS "_row"(${names.join(', ')})`;
}

function refuseDefault(): never {
  throw unsupported('DEFAULT as an inserted value');
}

/** The query as "_query" with columns "_0", "_1", …. The UNION is there for DuckDB to refuse any other number of columns. */
export function countedQuery(sql: string, count: number): string {
  const names = Array.from({ length: count }, (_, index) => `"_${index}"`);
  const nulls = names.map(() => 'NULL').join(', ');
  return `((${sql}) UNION ALL (SELECT ${nulls} WHERE FALSE)) AS "_query"(${names.join(', ')})`;
}

/** An expression of a column's type, for the typed macros to read; it is never evaluated. */
function columnModel(table: string, column: string): Expression {
  return plain(`(SELECT ${quoteName(column)} FROM ${table} LIMIT 0)`, []);
}

/** A value as the column of that name stores it. */
function inColumn(fields: Field[], name: string, value: string): string {
  const field = fields.find((each) => each.name.toLowerCase() === name.toLowerCase());
  return field === undefined ? value : toStored(field, value);
}

function assigned(model: Expression | undefined, value: Expression): string {
  if (model === undefined || value.literal === 'null') return 'NULL';
  const coerced = coerceTo(model, value);
  return `bq_alike(${model.sql}, ${coerced.sql}, ${macro('bq_assign', [model, coerced]).sql})`;
}

export function updateStatement(parser: Parser): Dml {
  const { target, table, alias, fields } = aliased(parser);
  expect(parser, 'SET');
  const changes = list(parser, () => {
    const name = identifier(parser);
    if (ahead(parser, '.')) throw unsupported('UPDATE of a STRUCT field');
    expect(parser, '=');
    const value = assigned(plain(`${quoteName(alias)}.${quoteName(name)}`, []), expression(parser));
    return { name: quoteName(name), value: inColumn(fields, name, value) };
  });
  // BigQuery refuses an update that meets a row twice, DuckDB takes any of the values.
  if (ahead(parser, 'FROM')) throw unsupported('UPDATE … FROM');
  const condition = where(parser, 'UPDATE');
  const set = (value: (change: (typeof changes)[number], index: number) => string): string =>
    changes.map((change, index) => `${change.name} = ${value(change, index)}`).join(', ');
  if (!anyDiffers(fields)) {
    const values = set(({ value }) => value);
    return dml(parser, 'update', target, `UPDATE ${table} AS ${quoteName(alias)} SET ${values} WHERE ${condition}`);
  }
  // The new values come from a query, for only there the columns have the types to compute with.
  const values = changes.map(({ value }, index) => `${value} AS "_${index}"`).join(', ');
  const rows = `SELECT ${rowId}, ${values} FROM ${withRowIds(fields, table)} AS ${quoteName(alias)} WHERE ${condition}`;
  const sql = `UPDATE ${table} AS "$target" SET ${set((_, index) => `"$new"."_${index}"`)} FROM (${rows}) AS "$new" WHERE "$target".rowid = "$new".${rowId}`;
  return dml(parser, 'update', target, sql);
}

export function deleteStatement(parser: Parser): Dml {
  accept(parser, 'FROM');
  const { target, table, alias, fields } = aliased(parser);
  const condition = `${quoteName(alias)} WHERE ${where(parser, 'DELETE')}`;
  if (!anyDiffers(fields)) return dml(parser, 'delete', target, `DELETE FROM ${table} AS ${condition}`);
  const rows = `SELECT ${rowId} FROM ${withRowIds(fields, table)} AS ${condition}`;
  return dml(parser, 'delete', target, `DELETE FROM ${table} WHERE rowid IN (${rows})`);
}

export function truncateStatement(parser: Parser): Dml {
  const target = tableRef(parser, tablePath(parser));
  return dml(parser, 'truncate', target, `DELETE FROM ${parser.context.quote(target)}`);
}

type Changed = { target: TableRef; table: string; alias: string; fields: Field[] };

/** The table that UPDATE or DELETE changes. */
function aliased(parser: Parser): Changed {
  const target = tableRef(parser, tablePath(parser));
  const named =
    accept(parser, 'AS') || (!ahead(parser, 'SET') && !ahead(parser, 'WHERE') && peek(parser).kind === 'word');
  const fields = parser.context.fields?.(target) ?? [];
  if (anyDiffers(fields) && fields.some(({ name }) => name.toLowerCase() === 'rowid')) {
    throw unsupported('UPDATE and DELETE of a table with a BIGNUMERIC or GEOGRAPHY column and a column named rowid');
  }
  const alias = named ? identifier(parser) : target.table;
  return { target, table: parser.context.quote(target), alias, fields };
}

function where(parser: Parser, verb: string): string {
  if (!accept(parser, 'WHERE')) throw new InvalidQuery(`${verb} must have a WHERE clause`);
  return expression(parser).sql;
}
