import { countedQuery, deleteStatement, insertStatement, truncateStatement, updateStatement } from './dml.ts';
import {
  accept,
  ahead,
  expect,
  identifier,
  list,
  next,
  peek,
  plain,
  unexpected,
  type JavaScriptFunction,
  type Parser,
  type TableRef,
} from './parser.ts';
import { assign } from './operators.ts';
import { tablePath, tableRef } from './sources.ts';
import { typeName } from './typenames.ts';
import { InvalidQuery, quoteName, unsupported, type Field } from './types.ts';
import type { Statement } from './statement.ts';

export function statement(parser: Parser): Statement {
  if (ahead(parser, 'SELECT') || ahead(parser, 'WITH') || ahead(parser, '(')) {
    const { sql } = parser.query(parser);
    return { kind: 'select', sql, reads: parser.reads };
  }
  if (accept(parser, 'CREATE')) return create(parser);
  if (accept(parser, 'DROP')) return drop(parser);
  if (accept(parser, 'INSERT')) return insertStatement(parser);
  if (accept(parser, 'UPDATE')) return updateStatement(parser);
  if (accept(parser, 'DELETE')) return deleteStatement(parser);
  if (accept(parser, 'TRUNCATE', 'TABLE')) return truncateStatement(parser);
  for (const [word, kind] of [
    ['BEGIN', 'begin'],
    ['COMMIT', 'commit'],
    ['ROLLBACK', 'rollback'],
  ] as const) {
    if (!accept(parser, word)) continue;
    const named = accept(parser, 'TRANSACTION');
    // A lone BEGIN opens a block of statements, unless it ends at once.
    if (!named && !ahead(parser, ';') && peek(parser).kind !== 'end') throw unsupported('BEGIN … END blocks');
    return { kind };
  }
  const token = peek(parser);
  if (token.kind === 'word') throw unsupported(`the statement ${token.text.toUpperCase()}`);
  throw unexpected(parser);
}

function target(parser: Parser): TableRef {
  return tableRef(parser, tablePath(parser));
}

function create(parser: Parser): Statement {
  const orReplace = accept(parser, 'OR', 'REPLACE');
  if (accept(parser, 'TABLE')) return createTable(parser, orReplace);
  if (accept(parser, 'VIEW')) return createView(parser, orReplace);
  throw unsupported(`CREATE ${peek(parser).text.toUpperCase()}`);
}

function createTable(parser: Parser, orReplace: boolean): Statement {
  const ifNotExists = accept(parser, 'IF', 'NOT', 'EXISTS');
  const table = target(parser);
  const fields = accept(parser, '(') ? columns(parser) : undefined;
  for (const construct of ['PARTITION', 'CLUSTER', 'LIKE', 'COPY', 'CLONE', 'DEFAULT']) {
    if (ahead(parser, construct)) throw unsupported(`CREATE TABLE … ${construct}`);
  }
  const options = accept(parser, 'OPTIONS') ? optionList(parser) : {};
  const written = accept(parser, 'AS') ? parser.query(parser) : undefined;
  if (!fields && !written) throw new InvalidQuery(`No schema specified: table ${table.table}`);
  return {
    kind: 'createTable',
    target: table,
    orReplace,
    ifNotExists,
    ...(fields ? { fields } : {}),
    options,
    ...(written ? { sql: fields ? typedQuery(written, fields) : written.sql } : {}),
    reads: parser.reads,
  };
}

/** The query with its columns, by position, in the fields' names and types. */
function typedQuery(written: { sql: string; columns: unknown[] | undefined }, fields: Field[]): string {
  if (written.columns && written.columns.length !== fields.length) {
    throw new InvalidQuery(
      `Number of columns in the column definition list does not match the number of columns produced by the query: ${fields.length} against ${written.columns.length}`,
    );
  }
  const values = fields.map(
    (field, index) => `${assign(field, plain(`"_query"."_${index}"`, [])).sql} AS ${quoteName(field.name)}`,
  );
  return `SELECT ${values.join(', ')} FROM ${countedQuery(written.sql, fields.length)}`;
}

function columns(parser: Parser): Field[] {
  const fields = list(parser, () => column(parser));
  expect(parser, ')');
  const names = fields.map((field) => field.name.toLowerCase());
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new InvalidQuery(`Duplicate column name ${twice} in CREATE TABLE`);
  return fields;
}

function column(parser: Parser): Field {
  if (['PRIMARY', 'FOREIGN', 'CONSTRAINT'].some((word) => ahead(parser, word) && peek(parser, 1).kind === 'word')) {
    throw unsupported('table constraints in CREATE TABLE');
  }
  const field = typeName(parser, identifier(parser));
  for (;;) {
    if (accept(parser, 'NOT', 'NULL')) {
      if (field.mode === 'REPEATED') throw new InvalidQuery('NOT NULL cannot be applied to ARRAY fields');
      field.mode = 'REQUIRED';
    } else if (accept(parser, 'OPTIONS')) {
      const { description, ...others } = optionList(parser);
      const [other] = Object.keys(others);
      if (other !== undefined) throw unsupported(`the column option ${other}`);
      if (typeof description === 'string') field.description = description;
    } else if (ahead(parser, ',') || ahead(parser, ')')) return field;
    else throw unsupported(`${peek(parser).text.toUpperCase()} in a column definition`);
  }
}

/** OPTIONS(name = literal, …); a TIMESTAMP is given as its text, `2026-11-24 03:00:00+00`. */
function optionList(parser: Parser): Record<string, string | number> {
  expect(parser, '(');
  const options: Record<string, string | number> = {};
  if (accept(parser, ')')) return options;
  list(parser, () => {
    const name = identifier(parser);
    expect(parser, '=');
    accept(parser, 'TIMESTAMP');
    const token = next(parser);
    if (token.kind === 'string') options[name.toLowerCase()] = token.text;
    else if (token.kind === 'integer' || token.kind === 'float') options[name.toLowerCase()] = Number(token.text);
    else throw unsupported(`the value of option ${name}: only literals`);
  });
  expect(parser, ')');
  return options;
}

function createView(parser: Parser, orReplace: boolean): Statement {
  if (ahead(parser, 'IF')) throw unsupported('CREATE VIEW IF NOT EXISTS');
  const view = target(parser);
  if (!ahead(parser, 'AS')) throw unsupported(`${peek(parser).text.toUpperCase()} in CREATE VIEW`);
  expect(parser, 'AS');
  const start = peek(parser).start;
  const { sql } = parser.query(parser);
  const query = parser.source.slice(start, peek(parser).start).trimEnd();
  return { kind: 'createView', target: view, orReplace, query, sql, reads: parser.reads };
}

function drop(parser: Parser): Statement {
  const object = accept(parser, 'TABLE') ? 'table' : accept(parser, 'VIEW') ? 'view' : undefined;
  if (object === undefined) throw unsupported(`DROP ${peek(parser).text.toUpperCase()}`);
  const ifExists = accept(parser, 'IF', 'EXISTS');
  return { kind: 'drop', object, target: target(parser), ifExists };
}

/** CREATE TEMP FUNCTION … LANGUAGE js AS "body", undefined if something else is ahead. */
export function temporaryFunction(parser: Parser): JavaScriptFunction | undefined {
  if (!accept(parser, 'CREATE', 'TEMP', 'FUNCTION') && !accept(parser, 'CREATE', 'TEMPORARY', 'FUNCTION'))
    return undefined;
  const name = identifier(parser);
  expect(parser, '(');
  const parameters = ahead(parser, ')') ? [] : list(parser, () => typeName(parser, identifier(parser)));
  expect(parser, ')');
  if (!accept(parser, 'RETURNS')) throw unsupported('CREATE TEMP FUNCTION in SQL');
  const returns = typeName(parser);
  if (!accept(parser, 'DETERMINISTIC')) accept(parser, 'NOT', 'DETERMINISTIC');
  if (!accept(parser, 'LANGUAGE')) throw unsupported('CREATE TEMP FUNCTION in SQL');
  const language = identifier(parser);
  if (language.toLowerCase() !== 'js') throw unsupported(`CREATE TEMP FUNCTION … LANGUAGE ${language}`);
  if (ahead(parser, 'OPTIONS')) throw unsupported('OPTIONS of a JavaScript function');
  expect(parser, 'AS');
  if (peek(parser).kind !== 'string') throw unexpected(parser, 'the function body as a string');
  return { name, parameters, returns, body: next(parser).text };
}
