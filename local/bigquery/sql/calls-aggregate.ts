import { coerceTo } from './operators.ts';
import { orderItems, orderSql, overClause } from './ordering.ts';
import {
  accept,
  ahead,
  expect,
  list,
  modelOf,
  next,
  peek,
  plain,
  unexpected,
  type Expression,
  type Parser,
} from './parser.ts';
import { InvalidQuery, unsupported, type FieldType } from './types.ts';

type Parse = (parser: Parser) => Expression;

/** An aggregate or window call as written, its parts in DuckDB's SQL. */
type Aggregate = {
  args: Expression[];
  distinct: string;
  order: string;
  filter: string;
  over: string;
  limit: string | undefined;
};

type Entry = {
  min: number;
  max: number;
  /** A function of windows alone. */
  window?: true;
  type?: FieldType | 'ARRAY';
  emit: (call: Aggregate) => string;
};

/** `name([DISTINCT] args [ORDER BY …]) [FILTER] [OVER]` */
function plainCall(name: string) {
  return ({ args, distinct, order, filter, over }: Aggregate): string =>
    `${name}(${distinct}${args.map((arg) => arg.sql).join(', ')}${order})${filter}${over}`;
}

/** DuckDB's aggregates in a macro that the argument's type chooses. */
function typedBy(name: string, aggregates: string[]) {
  return (call: Aggregate): string => {
    const [argument] = call.args;
    const model = argument ? modelOf(argument) : null;
    if (model === null)
      throw unsupported(`${name.replace('bq_', '').toUpperCase()} of this expression: name it in a subquery first`);
    return `${name}(${[model, ...aggregates.map((aggregate) => plainCall(aggregate)(call))].join(', ')})`;
  };
}

const AGGREGATES: Record<string, Entry> = {
  COUNT: {
    min: 0,
    max: 1,
    type: 'INT64',
    emit: (call) => (call.args.length === 0 ? `count(*)${call.over}` : plainCall('count')(call)),
  },
  COUNTIF: { min: 1, max: 1, type: 'INT64', emit: (call) => `(${plainCall('count_if')(call)})::BIGINT` },
  // DuckDB adds INT64 in 128 bits: BigQuery's overflow comes with the cast back.
  SUM: { min: 1, max: 1, emit: typedBy('bq_sum', ['sum']) },
  // The average of NUMERIC is NUMERIC, from its sum and count.
  AVG: { min: 1, max: 1, emit: typedBy('bq_avg', ['sum', 'count', 'avg']) },
  // NaN, DuckDB's greatest number, decides both in BigQuery.
  MIN: { min: 1, max: 1, emit: typedBy('bq_min', ['min', 'max']) },
  MAX: { min: 1, max: 1, emit: plainCall('max') },
  ANY_VALUE: { min: 1, max: 1, emit: plainCall('any_value') },
  LOGICAL_AND: { min: 1, max: 1, type: 'BOOL', emit: plainCall('bool_and') },
  LOGICAL_OR: { min: 1, max: 1, type: 'BOOL', emit: plainCall('bool_or') },
  BIT_XOR: { min: 1, max: 1, type: 'INT64', emit: plainCall('bit_xor') },
  BIT_AND: { min: 1, max: 1, type: 'INT64', emit: plainCall('bit_and') },
  BIT_OR: { min: 1, max: 1, type: 'INT64', emit: plainCall('bit_or') },
  // The exact count is as good an approximation as any.
  APPROX_COUNT_DISTINCT: {
    min: 1,
    max: 1,
    type: 'INT64',
    emit: (call) => plainCall('count')({ ...call, distinct: 'DISTINCT ' }),
  },
  ARRAY_AGG: {
    min: 1,
    max: 1,
    type: 'ARRAY',
    emit: (call) =>
      call.limit === undefined ? plainCall('list')(call) : `(${plainCall('list')(call)})[1:${call.limit}]`,
  },
  STRING_AGG: { min: 1, max: 2, type: 'STRING', emit: stringAgg },
  ROW_NUMBER: { min: 0, max: 0, window: true, type: 'INT64', emit: plainCall('row_number') },
  RANK: { min: 0, max: 0, window: true, type: 'INT64', emit: plainCall('rank') },
  DENSE_RANK: { min: 0, max: 0, window: true, type: 'INT64', emit: plainCall('dense_rank') },
  NTILE: { min: 1, max: 1, window: true, type: 'INT64', emit: plainCall('ntile') },
  LAG: { min: 1, max: 3, window: true, emit: shift('lag') },
  LEAD: { min: 1, max: 3, window: true, emit: shift('lead') },
  FIRST_VALUE: { min: 1, max: 1, window: true, emit: plainCall('first_value') },
  LAST_VALUE: { min: 1, max: 1, window: true, emit: plainCall('last_value') },
};

function shift(name: 'lag' | 'lead') {
  return (call: Aggregate): string => {
    const [value, offset, otherwise] = call.args;
    const args = value && otherwise ? [value, offset ?? otherwise, coerceTo(value, otherwise)] : call.args;
    return plainCall(name)({ ...call, args });
  };
}

function stringAgg(call: Aggregate): string {
  const [value, delimiter = plain("','", [])] = call.args;
  if (!value) throw new InvalidQuery('STRING_AGG takes a value');
  if (call.limit === undefined) {
    return plainCall('string_agg')({ ...call, args: [value, delimiter] });
  }
  const list = plainCall('list')({ ...call, args: [value], filter: ` FILTER (WHERE ${value.sql} IS NOT NULL)` });
  return `array_to_string((${list})[1:${call.limit}], ${delimiter.sql})`;
}

export function isAggregate(name: string): boolean {
  return Object.hasOwn(AGGREGATES, name);
}

/** Parses an aggregate or window function's parentheses and OVER clause. */
export function aggregateCall(parser: Parser, parse: Parse, name: string): Expression {
  const entry = AGGREGATES[name];
  if (!entry) throw unsupported(`the function ${name}`);
  expect(parser, '(');
  const distinct = accept(parser, 'DISTINCT') ? 'DISTINCT ' : '';
  const star = name === 'COUNT' && distinct === '' && accept(parser, '*');
  const args = star || ahead(parser, ')') ? [] : list(parser, () => parse(parser));
  if (args.length < entry.min || args.length > entry.max || (name === 'COUNT' && !star && args.length === 0)) {
    throw new InvalidQuery(`No matching signature for function ${name} with ${args.length} argument(s)`);
  }
  const inside = modifiers(parser, parse, name, args);
  expect(parser, ')');
  let over = overClause(parser, parse);
  if (entry.window && over === undefined) throw new InvalidQuery(`Window function ${name} requires an OVER clause`);
  if (over !== undefined && (distinct !== '' || inside.limit !== undefined)) {
    throw unsupported(`${name} with DISTINCT or LIMIT over a window`);
  }
  over = over === undefined ? '' : ` ${over}`;
  const [argument] = args;
  const type = entry.type ?? (KEEPS_TYPE.has(name) && argument?.type !== 'NULL' ? argument?.type : undefined);
  const result = plain(entry.emit({ args, distinct, ...inside, over }), args, type === undefined ? {} : { type });
  return { ...result, model: typeModel(name, type, argument) };
}

/** SQL of the result's type, for macros around the call: its argument's, where that is the type. */
function typeModel(name: string, type: Expression['type'], argument: Expression | undefined): string | null {
  const model = argument ? modelOf(argument) : null;
  if (name === 'ARRAY_AGG') return model === null ? null : `[${model}]`;
  if (name === 'AVG') return model === null ? null : `bq_avg(${model}, NULL, NULL, NULL::DOUBLE)`;
  if (name === 'SUM' || KEEPS_TYPE.has(name)) return model;
  return type === 'INT64' ? 'NULL::BIGINT' : type === 'BOOL' ? 'NULL::BOOLEAN' : 'NULL::VARCHAR';
}

const KEEPS_TYPE = new Set(['MIN', 'MAX', 'ANY_VALUE', 'LAG', 'LEAD', 'FIRST_VALUE', 'LAST_VALUE']);
const ORDERED = new Set(['ARRAY_AGG', 'STRING_AGG']);

/** IGNORE NULLS, ORDER BY and LIMIT inside the parentheses. */
function modifiers(parser: Parser, parse: Parse, name: string, args: Expression[]) {
  if (ahead(parser, 'HAVING')) throw unsupported(`${name}(… HAVING MAX or MIN …)`);
  let filter = '';
  if (accept(parser, 'IGNORE', 'NULLS')) {
    if (name !== 'ARRAY_AGG') throw unsupported(`IGNORE NULLS in ${name}`);
    filter = ` FILTER (WHERE ${args[0]?.sql ?? ''} IS NOT NULL)`;
  } else accept(parser, 'RESPECT', 'NULLS');
  let order = '';
  if (ORDERED.has(name) && accept(parser, 'ORDER', 'BY')) order = ` ORDER BY ${orderSql(orderItems(parser, parse))}`;
  let limit: string | undefined;
  if (ORDERED.has(name) && accept(parser, 'LIMIT')) {
    if (peek(parser).kind !== 'integer') throw unexpected(parser, 'an integer');
    limit = next(parser).text;
  }
  return { filter, order, limit };
}
