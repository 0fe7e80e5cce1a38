import { accept, ahead, expect, list, macro, peek, unexpected, next, type Expression, type Parser } from './parser.ts';
import { unsupported } from './types.ts';

type Parse = (parser: Parser) => Expression;

export type OrderItem = { value: Expression; direction: 'ASC' | 'DESC'; nulls: 'FIRST' | 'LAST' };

/** The items of an ORDER BY: NULLs are the least unless it says otherwise. */
export function orderItems(parser: Parser, parse: Parse): OrderItem[] {
  return list(parser, () => {
    const value = parse(parser);
    if (ahead(parser, 'COLLATE')) throw unsupported('ORDER BY … COLLATE');
    const direction = accept(parser, 'DESC') ? 'DESC' : 'ASC';
    if (direction === 'ASC') accept(parser, 'ASC');
    let nulls: OrderItem['nulls'] = direction === 'ASC' ? 'FIRST' : 'LAST';
    if (accept(parser, 'NULLS')) {
      nulls = accept(parser, 'FIRST') ? 'FIRST' : 'LAST';
      if (nulls === 'LAST') expect(parser, 'LAST');
    }
    return { value, direction, nulls };
  });
}

/** DuckDB's ORDER BY list. NaN is BigQuery's least number and DuckDB's greatest: a key before it sets that right. */
export function orderSql(items: OrderItem[]): string {
  return items
    .flatMap(({ value, direction, nulls }) => {
      const key = `${value.sql} ${direction} NULLS ${nulls}`;
      const ordinal = value.literal === 'integer';
      return (value.type !== undefined && !['FLOAT64', 'GEOGRAPHY'].includes(value.type)) || ordinal
        ? [key]
        : [`${macro('bq_nan_order', [value]).sql} ${direction} NULLS ${nulls}`, key];
    })
    .join(', ');
}

/** `OVER (…)`, in DuckDB's SQL; undefined if there is none. */
export function overClause(parser: Parser, parse: Parse): string | undefined {
  if (!accept(parser, 'OVER')) return undefined;
  if (!ahead(parser, '(')) throw unsupported('named windows');
  expect(parser, '(');
  const parts: string[] = [];
  if (accept(parser, 'PARTITION', 'BY')) {
    parts.push(`PARTITION BY ${list(parser, () => parse(parser).sql).join(', ')}`);
  }
  if (accept(parser, 'ORDER', 'BY')) parts.push(`ORDER BY ${orderSql(orderItems(parser, parse))}`);
  if (ahead(parser, 'RANGE')) {
    // A RANGE of values needs one ordering key, and the key for NaN is a second.
    throw unsupported('window frames by RANGE');
  }
  if (accept(parser, 'ROWS')) parts.push(`ROWS ${frame(parser)}`);
  expect(parser, ')');
  return `OVER (${parts.join(' ')})`;
}

function frame(parser: Parser): string {
  if (!accept(parser, 'BETWEEN')) return bound(parser);
  const from = bound(parser);
  expect(parser, 'AND');
  return `BETWEEN ${from} AND ${bound(parser)}`;
}

function bound(parser: Parser): string {
  if (accept(parser, 'CURRENT', 'ROW')) return 'CURRENT ROW';
  const token = peek(parser);
  if (!ahead(parser, 'UNBOUNDED') && token.kind !== 'integer') throw unexpected(parser, 'a frame boundary');
  const distance = next(parser).text.toUpperCase();
  if (accept(parser, 'PRECEDING')) return `${distance} PRECEDING`;
  expect(parser, 'FOLLOWING');
  return `${distance} FOLLOWING`;
}
