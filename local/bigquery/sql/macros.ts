import { BIGNUMERIC_FIELD, duckType } from './types.ts';

/** BigQuery's scalar types by name, in DuckDB's types. */
export const SCALARS = {
  STRING: 'VARCHAR',
  INT64: 'BIGINT',
  FLOAT64: 'DOUBLE',
  NUMERIC: 'DECIMAL(38,9)',
  BIGNUMERIC: `STRUCT("${BIGNUMERIC_FIELD}" BIGNUM)`,
  BOOL: 'BOOLEAN',
  BYTES: 'BLOB',
  DATE: 'DATE',
  TIME: 'TIME',
  DATETIME: 'TIMESTAMP',
  TIMESTAMP: 'TIMESTAMPTZ',
} as const;
export type Scalar = keyof typeof SCALARS;
export const SCALAR_NAMES = Object.keys(SCALARS) as Scalar[];

/** What macros only know to refuse it. */
const REFUSED = { GEOGRAPHY: duckType({ name: '', type: 'GEOGRAPHY', mode: 'NULLABLE' }) };

/** One reading of a macro: its parameters as `x INT64` (a type of ours) or a bare name for any type, and its body. */
export type Overload = [parameters: string, body: string];

/**
 * A macro that DuckDB chooses a body for by its arguments' types, which are known when it binds, not when we translate. A second
 * one, `…_of_model`, chooses by models that are given before the arguments; not where a body calls another typed macro, which
 * would have to choose again.
 */
export function macroSql(name: string, overloads: Overload[]): string {
  const bodies = overloads.map(([parameters, body]) => `(${duckTyped(parameters)}) AS (${body})`);
  const direct = `CREATE MACRO ${name}${bodies.join(', ')};`;
  if (overloads.some(([, body]) => /\bbq_(?:safe_)?cast_/u.test(body))) return direct;
  const modelled = overloads.map(([parameters, body]) => {
    const models = parameters.split(', ').map((parameter) => `m_${parameter}`);
    const names = parameters.split(', ').map((parameter) => parameter.replace(/ .*/u, ''));
    return `(${duckTyped(models.join(', '))}, ${names.join(', ')}) AS (${body})`;
  });
  return `${direct}\nCREATE MACRO ${name}_of_model${modelled.join(', ')};`;
}

/** `x INT64` as `x BIGINT`. */
function duckTyped(parameters: string): string {
  const types: Record<string, string> = { ...SCALARS, ...REFUSED };
  return parameters.replaceAll(
    /\b(?<name>\w+) (?<type>[A-Z][A-Z0-9]+)\b/gu,
    (whole, parameter: string, type: string) => (Object.hasOwn(types, type) ? `${parameter} ${types[type]}` : whole),
  );
}

/** SQL text of a failure that ends the query with this message; `message` is SQL too. */
export function failure(message: string, type: string): string {
  return `CAST(bq_fail(${message}) AS ${type})`;
}

export function mismatch(operator: string, left: string, right: string): string {
  return `'No matching signature for ${operator} for argument types: ${left}, ${right}'`;
}
