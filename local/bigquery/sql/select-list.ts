import { expression } from './expressions.ts';
import { valueSql } from './operators.ts';
import {
  accept,
  ahead,
  expect,
  identifier,
  list,
  optionalAlias,
  peek,
  type Expression,
  type Parser,
} from './parser.ts';
import type { Source } from './sources.ts';
import { InvalidQuery, quoteName, unsupported } from './types.ts';

/** One item of a SELECT list; `name` is undefined for a star. */
export type Item = { sql: string; name?: string | undefined; value?: Expression };

/** Parses a SELECT list, whose FROM says what a star stands for. */
export function selectList(parser: Parser, sources: Source[]): Item[] {
  const items: Item[] = [];
  do {
    // A trailing comma is allowed.
    if (items.length > 0 && (ahead(parser, 'FROM') || ahead(parser, ')') || peek(parser).kind === 'end')) break;
    items.push(selectItem(parser, sources));
  } while (accept(parser, ','));
  const names = items.flatMap((item) => (item.name === undefined ? [] : [item.name.toLowerCase()]));
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new InvalidQuery(`Duplicate column names in the result are not supported. Found duplicate(s): ${twice}`);
  }
  return items;
}

function selectItem(parser: Parser, sources: Source[]): Item {
  if (accept(parser, '*')) {
    const unknown = sources.find((source) => source.element === 'unknown');
    if (unknown) throw unsupported('SELECT * over UNNEST of an array of unknown elements: name the columns');
    if (sources.length === 0) throw new InvalidQuery('SELECT * must have a FROM clause');
    const structs = sources.flatMap((source) => (source.element === 'struct' ? [source.name] : []));
    if (structs.length === 0) return { sql: `*${starModifiers(parser)}` };
    if (sources.length > 1) throw unsupported('SELECT * over UNNEST of STRUCTs beside other tables: name the columns');
    return { sql: `${quoteName(structs[0] ?? '')}.*${starModifiers(parser)}` };
  }
  const value = expression(parser);
  if (accept(parser, '.', '*')) {
    if (value.path === undefined) return { sql: `unnest(${value.sql})` };
    return { sql: `${value.sql}.*${starModifiers(parser)}` };
  }
  let name = optionalAlias(parser) ?? value.name;
  if (name === undefined) {
    name = `f${parser.unnamed}_`;
    parser.unnamed += 1;
  }
  return { sql: `${valueSql(value)} AS ${quoteName(name)}`, name, value };
}

function starModifiers(parser: Parser): string {
  let sql = '';
  if (accept(parser, 'EXCEPT', '(')) {
    sql += ` EXCLUDE (${list(parser, () => quoteName(identifier(parser))).join(', ')})`;
    expect(parser, ')');
  }
  if (accept(parser, 'REPLACE', '(')) {
    const replacements = list(parser, () => {
      const value = expression(parser);
      accept(parser, 'AS');
      return `${valueSql(value)} AS ${quoteName(identifier(parser))}`;
    });
    expect(parser, ')');
    sql += ` REPLACE (${replacements.join(', ')})`;
  }
  return sql;
}
