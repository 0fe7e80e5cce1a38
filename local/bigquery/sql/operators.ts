import { cast } from './literals.ts';
import { composed, macro, modelOf, plain, type Expression } from './parser.ts';
import { duckType, InvalidQuery, type Field } from './types.ts';

const COMPARISONS: Record<string, string> = {
  '=': 'bq_eq',
  '!=': 'bq_ne',
  '<>': 'bq_ne',
  '<': 'bq_lt',
  '<=': 'bq_le',
  '>': 'bq_gt',
  '>=': 'bq_ge',
};
const ARITHMETIC: Record<string, string> = { '+': 'bq_add', '-': 'bq_subtract', '*': 'bq_multiply', '/': 'bq_divide' };

/** Types that DuckDB compares as BigQuery does; FLOAT64 is not among them, for in DuckDB NaN equals NaN and is the greatest number. */
const COMPARE_ALIKE = new Set(['STRING', 'INT64', 'BOOL', 'BYTES', 'DATE', 'TIME', 'DATETIME', 'TIMESTAMP', 'NUMERIC']);

export function isComparison(operator: string): boolean {
  return operator in COMPARISONS;
}

export function compare(operator: string, left: Expression, right: Expression): Expression {
  const [a, b] = coerce([left, right]) as [Expression, Expression];
  const direct = operator === '!=' ? '<>' : operator;
  const alike = a.type === b.type && a.type !== undefined && COMPARE_ALIKE.has(a.type);
  // A string literal has by now the other side's type, which is none that compares differently.
  const literal = [left, right].some((side) => side.literal === 'string' || side.literal === 'null');
  if (alike || literal) return plain(`(${a.sql} ${direct} ${b.sql})`, [a, b], { type: 'BOOL' });
  const name = COMPARISONS[operator] ?? '';
  if (a.model === null || b.model === null)
    return plain(`${name}_unseen(${a.sql}, ${b.sql})`, [a, b], { type: 'BOOL' });
  return macro(name, [a, b], { type: 'BOOL' });
}

export function arithmetic(operator: string, left: Expression, right: Expression): Expression {
  const [a, b] = coerce([left, right]) as [Expression, Expression];
  if (a.type === 'INT64' && b.type === 'INT64' && operator !== '/') {
    return plain(`(${a.sql} ${operator} ${b.sql})`, [a, b], { type: 'INT64' });
  }
  return macro(ARITHMETIC[operator] ?? '', [a, b]);
}

/** BigQuery's literals take the type of what they meet: a string becomes a DATE beside a DATE, 0.5 a NUMERIC beside a NUMERIC. */
export function coerce(values: Expression[]): Expression[] {
  const model = values.find((value) => value.literal === undefined);
  return model === undefined ? values : values.map((value) => coerceTo(model, value));
}

export function coerceTo(model: Expression, value: Expression): Expression {
  const seen = modelOf(model);
  // Of a type that nobody can tell yet, DuckDB makes the literal what it meets.
  if (seen === null) return value;
  if (value.literal === 'string' && model.type !== 'STRING') {
    return macro('bq_coerce_string', [seen, value], model.type === undefined ? {} : { type: model.type });
  }
  if (value.literal === 'float' && model.type !== 'FLOAT64') return macro('bq_coerce_float', [seen, value]);
  return value;
}

export function negate(value: Expression): Expression {
  // DuckDB reads 9223372036854775808 as a HUGEINT: negated, it is INT64's least.
  if (value.literal === 'integer')
    return plain(`(-${value.sql})::BIGINT`, [value], { type: 'INT64', literal: 'integer' });
  if (value.literal === 'float') return plain(`(-${value.sql})`, [value], { type: 'FLOAT64', literal: 'float' });
  return macro('bq_negate', [value], value.type === undefined ? {} : { type: value.type });
}

/** `||` and CONCAT: NULL if any part is; only STRING, BYTES and arrays. */
export function concatenate(parts: Expression[]): Expression {
  const sides = parts.map((part) =>
    part.type === 'STRING' || part.literal === 'null' ? part : macro('bq_concatenable', [part]),
  );
  const type = parts.find((part) => part.type === 'STRING' || part.type === 'BYTES')?.type;
  return composed((sqls) => `(${sqls.join(' || ')})`, sides, type === undefined ? {} : { type });
}

export function bitwise(operator: string, left: Expression, right: Expression): Expression {
  if (operator === '^') return plain(`xor(${left.sql}, ${right.sql})`, [left, right]);
  if (operator === '&' || operator === '|') return plain(`(${left.sql} ${operator} ${right.sql})`, [left, right]);
  throw new InvalidQuery(`Unknown operator ${operator}`);
}

/** A string literal as a value of its own: untyped, DuckDB would let it become anything. */
export function valueSql(value: Expression): string {
  return value.literal === 'string' ? `${value.sql}::VARCHAR` : value.sql;
}

/** The value as a column or field of that type takes it, by BigQuery's implicit conversions only. */
export function assign(field: Field, value: Expression): Expression {
  if (value.literal === 'null') return cast(value, field, false);
  const model = plain(`NULL::${duckType(field)}`, [], { type: field.mode === 'REPEATED' ? 'ARRAY' : field.type });
  const known = model.type === undefined ? {} : { type: model.type };
  if (field.type === 'JSON' && field.mode !== 'REPEATED') return macro('bq_assign_json', [value], known);
  return macro('bq_assign', [model, coerceTo(model, value)], known);
}

/** The type that all share, NULLs aside. */
export function commonType(values: Expression[]): Partial<Expression> {
  const types = new Set(values.filter((value) => value.literal !== 'null').map((value) => value.type));
  const [type] = types;
  return types.size === 1 && type !== undefined ? { type } : {};
}
