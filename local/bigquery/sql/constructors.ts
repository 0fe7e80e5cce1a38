import { cast, NULL } from './literals.ts';
import { assign, coerce, commonType, compare, valueSql } from './operators.ts';
import {
  accept,
  ahead,
  composed,
  expect,
  identifier,
  list,
  plain,
  unexpected,
  type Expression,
  type Parser,
} from './parser.ts';
import { typeName } from './typenames.ts';
import { duckType, quoteName, unsupported, type Field } from './types.ts';

type Parse = (parser: Parser) => Expression;

type Member = { value: Expression; name?: string | undefined };

export function struct(members: Member[], ofArray = false): Expression {
  const names = members.map((member) => member.name);
  const sql = members.map(
    (member, index) => `${quoteName(member.name ?? `_field_${index + 1}`)} := ${memberSql(member.value, ofArray)}`,
  );
  const values = members.map((member) => member.value);
  return plain(`struct_pack(${sql.join(', ')})`, values, { type: 'STRUCT', fields: names, values });
}

/** In a correlated subquery DuckDB names a field after the column inside its macro, unless something is around the macro. */
function memberSql(value: Expression, ofArray: boolean): string {
  // Beside others in an array it takes their type, alone it is an INT64.
  if (value.literal === 'null') return ofArray ? 'NULL' : 'NULL::BIGINT';
  return value.depth > 0 ? `coalesce(${value.sql})` : valueSql(value);
}

/** `[…]`: the first STRUCT names the fields of all. */
export function arrayLiteral(parser: Parser, parse: Parse, element?: Field): Expression {
  const items = ahead(parser, ']') ? [] : list(parser, () => parse(parser));
  expect(parser, ']');
  if (element) {
    const typed = items.map((item) => assign(element, item));
    return plain(`[${typed.map((item) => item.sql).join(', ')}]::${duckType(element)}[]`, typed, { type: 'ARRAY' });
  }
  if (items.length === 0) return plain('[]::BIGINT[]', [], { type: 'ARRAY' });
  const fields = items[0]?.fields;
  const named = fields
    ? items.map((item) =>
        item.values?.length === fields.length
          ? struct(
              item.values.map((value, index) => ({ value, name: fields[index] })),
              true,
            )
          : item,
      )
    : coerce(items);
  return plain(`[${named.map(valueSql).join(', ')}]`, named, { type: 'ARRAY', ...(fields ? { fields } : {}) });
}

export function castExpression(parser: Parser, parse: Parse, safe: boolean): Expression {
  expect(parser, '(');
  const value = parse(parser);
  expect(parser, 'AS');
  const type = typeName(parser);
  if (ahead(parser, 'FORMAT')) throw unsupported('CAST … FORMAT');
  expect(parser, ')');
  return cast(value, type, safe);
}

export function caseExpression(parser: Parser, parse: Parse): Expression {
  const subject = ahead(parser, 'WHEN') ? undefined : parse(parser);
  const conditions: Expression[] = [];
  const results: Expression[] = [];
  while (accept(parser, 'WHEN')) {
    const condition = parse(parser);
    conditions.push(subject ? compare('=', subject, condition) : condition);
    expect(parser, 'THEN');
    results.push(parse(parser));
  }
  if (conditions.length === 0) throw unexpected(parser, 'WHEN');
  const branches = results.length;
  if (accept(parser, 'ELSE')) results.push(parse(parser));
  expect(parser, 'END');
  const values = coerce(results);
  const typed = values.map((value, index) => ({ ...value, sql: branchSql(values, index) }));
  return composed(
    (sqls) => {
      const when = conditions.map((_, index) => `WHEN ${sqls[index]} THEN ${sqls[conditions.length + index]}`);
      const otherwise = values.length > branches ? ` ELSE ${sqls.at(-1)}` : '';
      return `CASE ${when.join(' ')}${otherwise} END`;
    },
    [...conditions, ...typed],
    commonType(values),
  );
}

function branchSql(values: Expression[], index: number): string {
  const value = values[index] ?? NULL;
  return values.every((each) => each.literal === 'string' || each.literal === 'null') ? valueSql(value) : value.sql;
}

export function structExpression(parser: Parser, parse: Parse): Expression {
  let types: Field[] | undefined;
  if (ahead(parser, '<')) {
    parser.at -= 1;
    types = typeName(parser).fields ?? [];
  }
  expect(parser, '(');
  const members = accept(parser, ')')
    ? []
    : list(parser, (): Member => {
        const value = parse(parser);
        return { value, name: accept(parser, 'AS') ? identifier(parser) : types ? undefined : value.name };
      });
  if (members.length > 0) expect(parser, ')');
  if (members.length === 0) throw unsupported('a STRUCT without fields');
  if (types === undefined) return struct(members);
  if (types.length !== members.length) {
    throw unexpected(parser, `${types.length} values for STRUCT<${types.map((type) => type.name).join(', ')}>`);
  }
  return struct(types.map((type, index) => ({ name: type.name, value: assign(type, members[index]?.value ?? NULL) })));
}
