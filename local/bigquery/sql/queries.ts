import { expression } from './expressions.ts';
import { selectList, type Item } from './select-list.ts';
import { fromClause, type Source } from './sources.ts';
import { orderItems, orderSql, type OrderItem } from './ordering.ts';
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
  type Expression,
  type Parser,
  type Query,
} from './parser.ts';
import { InvalidQuery, quoteName, unsupported } from './types.ts';

/** Parses a query expression: WITH, SELECT, set operations, ORDER BY, LIMIT. The names of its columns are given where no star hides them. */
export function query(parser: Parser, as?: 'array' | 'scalar'): Query {
  const { ctes, ranges, outer, aliases, unnamed } = parser;
  const withs = accept(parser, 'WITH') ? withClause(parser) : '';
  parser.aliases = new Map();
  parser.unnamed = 0;
  parser.outer = ranges.length;
  const body = setOperations(parser, as);
  const sql = `${withs}${body.sql}`;
  Object.assign(parser, { ctes, ranges, outer, aliases, unnamed });
  return { sql, columns: body.columns, list: withs === '' ? body.list : undefined };
}

function withClause(parser: Parser): string {
  if (ahead(parser, 'RECURSIVE')) throw unsupported('WITH RECURSIVE');
  const parts = list(parser, () => {
    const name = identifier(parser);
    expect(parser, 'AS', '(');
    const { sql } = query(parser);
    expect(parser, ')');
    // A WITH query sees those before it.
    parser.ctes = [...parser.ctes, name.toLowerCase()];
    return `${quoteName(name)} AS (${sql})`;
  });
  return `WITH ${parts.join(', ')} `;
}

function setOperations(parser: Parser, as?: 'array' | 'scalar'): Query {
  let left = operand(parser);
  let operations = 0;
  for (;;) {
    const operator = setOperator(parser);
    if (operator === undefined) break;
    operations += 1;
    const { ranges } = parser;
    const right = operand(parser);
    parser.ranges = ranges;
    if (left.columns && right.columns && left.columns.length !== right.columns.length) {
      throw new InvalidQuery(
        `Queries in ${operator} have mismatched column count; query 1 has ${left.columns.length} column(s), query 2 has ${right.columns.length} column(s)`,
      );
    }
    left = {
      sql: `${left.sql} ${operator.replace(' DISTINCT', '')} ${right.sql}`,
      columns: left.columns,
      distinct: true,
      items: left.items,
    };
  }
  let { sql } = left;
  let order: OrderItem[] | undefined;
  if (accept(parser, 'ORDER', 'BY')) {
    order = ordering(parser, left, operations > 0);
    // Beside DISTINCT and set operations DuckDB sorts by output columns only, not by expressions of them.
    sql =
      left.distinct && as === undefined
        ? `SELECT * FROM (${sql}) ORDER BY ${orderSql(order)}`
        : `${sql} ORDER BY ${orderSql(order)}`;
  }
  const limited = limit(parser);
  const picked = order === undefined && limited === '' ? left.list : undefined;
  return { sql: `${sql}${limited}`, columns: left.columns, list: picked };
}

type Operand = Query & { distinct: boolean; items: Item[] };

function setOperator(parser: Parser): string | undefined {
  for (const operator of ['UNION ALL', 'UNION DISTINCT', 'EXCEPT DISTINCT', 'INTERSECT DISTINCT']) {
    if (accept(parser, ...operator.split(' '))) return operator;
  }
  for (const word of ['UNION', 'EXCEPT', 'INTERSECT']) {
    if (ahead(parser, word)) throw unexpected(parser, 'ALL or DISTINCT after the set operator');
  }
  return undefined;
}

function operand(parser: Parser): Operand {
  if (accept(parser, '(')) {
    const inner = query(parser);
    expect(parser, ')');
    return { sql: `(${inner.sql})`, columns: inner.columns, distinct: true, items: [] };
  }
  return select(parser);
}

function limit(parser: Parser): string {
  if (!accept(parser, 'LIMIT')) return '';
  const count = () => {
    const token = next(parser);
    if (token.kind === 'integer') return token.text;
    throw unsupported('LIMIT and OFFSET other than an integer literal');
  };
  const sql = ` LIMIT ${count()}`;
  return accept(parser, 'OFFSET') ? `${sql} OFFSET ${count()}` : sql;
}

/** ORDER BY: a SELECT alias wins over a column of that name, an integer is a position. */
function ordering(parser: Parser, of: Operand, combined: boolean): OrderItem[] {
  const outputs = of.distinct || combined;
  parser.aliases = outputs ? new Map() : aliasesOf(of.items);
  return orderItems(parser, expression).map((item) => {
    if (item.value.literal !== 'integer') return item;
    const position = Number.parseInt(item.value.sql, 10);
    const chosen = of.columns ? of.items[position - 1] : undefined;
    if (of.columns && (position < 1 || position > of.columns.length)) {
      throw new InvalidQuery(`ORDER BY column number item is out of range: ${position}`);
    }
    if (outputs || !chosen?.value) return { ...item, value: plain(String(position), [], { literal: 'integer' }) };
    return { ...item, value: chosen.value };
  });
}

function aliasesOf(items: Item[]): Map<string, Expression> {
  return new Map(
    items.flatMap((item) => (item.name && item.value ? [[item.name.toLowerCase(), item.value] as const] : [])),
  );
}

function select(parser: Parser): Operand {
  expect(parser, 'SELECT');
  const distinct = accept(parser, 'DISTINCT');
  if (!distinct) accept(parser, 'ALL');
  const asStruct = accept(parser, 'AS', 'STRUCT');
  if (!asStruct && accept(parser, 'AS', 'VALUE')) {
    if (ahead(parser, '*')) throw unsupported('SELECT AS VALUE *');
  }
  // What FROM names decides how a star and a path read: it is parsed first.
  const listAt = parser.at;
  const sources = skipToFrom(parser) ? fromClause(parser, expression) : [];
  const afterFrom = parser.at;
  parser.at = listAt;
  parser.aliases = new Map();
  const items = selectList(parser, sources);
  if (sources.length > 0) parser.at = afterFrom;
  const from = sources.length > 0 ? ` FROM ${sources.map((source) => source.sql).join('')}` : '';
  const condition = accept(parser, 'WHERE') ? expression(parser) : undefined;
  const where = condition ? ` WHERE ${condition.sql}` : '';
  const group = accept(parser, 'GROUP', 'BY') ? ` GROUP BY ${grouping(parser, items)}` : '';
  parser.aliases = aliasesOf(items);
  const having = accept(parser, 'HAVING') ? ` HAVING ${expression(parser).sql}` : '';
  const qualify = accept(parser, 'QUALIFY') ? ` QUALIFY ${expression(parser).sql}` : '';
  if (ahead(parser, 'WINDOW')) throw unsupported('the WINDOW clause');
  parser.aliases = new Map();
  const listed = items.map((item) => item.sql).join(', ');
  const clauses = `${from}${where}${group}${having}${qualify}`;
  const columns = items.every((item) => item.name !== undefined) ? items.map((item) => item.name) : undefined;
  const simple = !distinct && `${group}${having}${qualify}` === '';
  if (asStruct) {
    const list = simple ? pickedList(sources, items, condition) : undefined;
    const sql = `SELECT "_row" FROM (SELECT ${distinct ? 'DISTINCT ' : ''}${listed}${clauses}) AS "_row"`;
    return { sql, columns: [undefined], distinct: true, items: [], list };
  }
  return { sql: `SELECT ${distinct ? 'DISTINCT ' : ''}${listed}${clauses}`, columns, distinct, items };
}

/**
 * `ARRAY(SELECT AS STRUCT e.* FROM UNNEST(array) AS e WHERE …)` without a subquery: DuckDB then sees the columns in the array, where
 * in a subquery they would be an outer query's.
 */
function pickedList(sources: Source[], items: Item[], condition: Expression | undefined): string | undefined {
  const [source] = sources;
  const [item] = items;
  if (sources.length !== 1 || items.length !== 1 || !source?.array || item?.sql !== `${quoteName(source.name)}.*`)
    return undefined;
  // The element's type is as hidden in a lambda.
  if (condition && condition.depth > 0) return undefined;
  const kept = condition
    ? `list_filter(${source.array.sql}, lambda ${quoteName(source.name)}: ${condition.sql})`
    : source.array.sql;
  return `coalesce(${kept}, [])`;
}

/** Moves to this SELECT's FROM, past parentheses; false if the SELECT has none. */
function skipToFrom(parser: Parser): boolean {
  let depth = 0;
  for (; peek(parser).kind !== 'end'; next(parser)) {
    const token = peek(parser);
    if (token.kind === 'symbol' && '(['.includes(token.text)) depth += 1;
    if (token.kind === 'symbol' && ')]'.includes(token.text)) depth -= 1;
    if (depth < 0 || (token.kind === 'symbol' && token.text === ';')) return false;
    if (depth > 0 || token.kind !== 'word') continue;
    if (ahead(parser, 'FROM') && !distinctFrom(parser)) {
      next(parser);
      return true;
    }
    if (
      ahead(parser, 'UNION') ||
      ahead(parser, 'INTERSECT') ||
      (ahead(parser, 'EXCEPT') && !['('].includes(peek(parser, 1).text))
    ) {
      return false;
    }
  }
  return false;
}

/** IS [NOT] DISTINCT FROM has a FROM of its own. */
function distinctFrom(parser: Parser): boolean {
  return (
    parser.tokens[parser.at - 1]?.text.toUpperCase() === 'DISTINCT' &&
    /^(?:is|not)$/iu.test(parser.tokens[parser.at - 2]?.text ?? '')
  );
}

/** GROUP BY: a SELECT alias wins over a column of that name, where DuckDB prefers the column. */
function grouping(parser: Parser, items: Item[]): string {
  for (const construct of ['ROLLUP', 'CUBE', 'GROUPING', 'ALL']) {
    if (ahead(parser, construct)) throw unsupported(`GROUP BY ${construct}`);
  }
  return list(parser, () => {
    const value = expression(parser);
    const alias = value.path?.length === 1 ? value.path[0]?.toLowerCase() : undefined;
    const chosen =
      value.literal === 'integer'
        ? items[Number.parseInt(value.sql, 10) - 1]
        : items.find((item) => item.name?.toLowerCase() === alias);
    if (value.literal === 'integer' && chosen?.value === undefined) {
      throw new InvalidQuery(`GROUP BY column number item is out of range: ${Number.parseInt(value.sql, 10)}`);
    }
    return chosen?.value?.sql ?? value.sql;
  }).join(', ');
}
