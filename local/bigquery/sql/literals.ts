import { macro, plain, type Expression, type Parser, type ParameterType, type ParameterValue } from './parser.ts';
import { duckType, InvalidQuery, quoteName, unsupported, type Field, type FieldType } from './types.ts';

/** A DuckDB string literal. */
export function text(value: string): string {
  // DuckDB's own literals end at a NUL byte.
  if (value.includes('\0')) throw unsupported('the character NUL in a literal');
  return `'${value.replaceAll("'", "''")}'`;
}

export function stringLiteral(value: string): Expression {
  return plain(text(value), [], { type: 'STRING', literal: 'string', text: value });
}

export function bytesLiteral(value: Buffer): Expression {
  return plain(`from_hex('${value.toString('hex')}')`, [], { type: 'BYTES' });
}

export function integerLiteral(digits: string): Expression {
  const value = BigInt(digits);
  if (value > 9223372036854775808n) throw new InvalidQuery(`Invalid integer literal: ${digits}`);
  // -9223372036854775808 is read as the negation of a literal that BIGINT alone does not hold.
  const type = value === 9223372036854775808n ? 'HUGEINT' : 'BIGINT';
  return plain(`${value}::${type}`, [], { type: 'INT64', literal: 'integer' });
}

export function floatLiteral(digits: string): Expression {
  if (!Number.isFinite(Number(digits))) throw new InvalidQuery(`Invalid floating point literal: ${digits}`);
  return plain(`'${digits}'::DOUBLE`, [], { type: 'FLOAT64', literal: 'float' });
}

export const NULL: Expression = { sql: 'NULL', type: 'NULL', literal: 'null', depth: 0 };

const CASTS: Partial<Record<FieldType, string>> = {
  INT64: 'int64',
  FLOAT64: 'float64',
  BOOL: 'bool',
  STRING: 'string',
  BYTES: 'bytes',
  DATE: 'date',
  TIME: 'time',
  DATETIME: 'datetime',
  TIMESTAMP: 'timestamp',
  NUMERIC: 'numeric',
  BIGNUMERIC: 'bignumeric',
};

/** CAST, or SAFE_CAST: NULL where CAST fails. */
export function cast(value: Expression, to: Field, safe: boolean): Expression {
  const known = { type: to.mode === 'REPEATED' ? ('ARRAY' as const) : to.type };
  if (value.literal === 'null') return plain(`NULL::${duckType(to)}`, [], known);
  const name = to.mode === 'REPEATED' ? undefined : CASTS[to.type];
  if (name === undefined) {
    if (to.type === 'JSON') throw new InvalidQuery('Invalid cast to JSON: use PARSE_JSON or TO_JSON');
    if (to.type === 'GEOGRAPHY' && to.mode !== 'REPEATED') {
      throw new InvalidQuery('Invalid cast to GEOGRAPHY: use ST_GEOGFROMTEXT');
    }
    throw unsupported(`CAST to ${to.mode === 'REPEATED' ? 'ARRAY' : to.type}`);
  }
  const result = macro(`${safe ? 'bq_safe_cast' : 'bq_cast'}_${name}`, [value], known);
  if (to.precision === undefined) return result;
  if (to.type !== 'NUMERIC') throw unsupported(`CAST to ${to.type} with parameters`);
  return plain(`${safe ? 'TRY_CAST' : 'CAST'}(${result.sql} AS ${duckType(to)})`, [result], known);
}

/** A typed literal: DATE '…', NUMERIC '…', JSON '…'. */
export function typedLiteral(type: FieldType, value: string): Expression {
  if (type === 'JSON') return macro('bq_parse_json', [text(value)], { type });
  const instant = type === 'TIMESTAMP' ? instantOf(value) : undefined;
  if (instant !== undefined) return plain(`make_timestamptz(${instant})`, [], { type });
  return cast(stringLiteral(value), { name: '', type, mode: 'NULLABLE' }, false);
}

/**
 * Microseconds since 1970 of a time as JavaScript writes it, `2026-11-22T22:07:47.216Z`, if it is one. The cast takes more forms, and
 * takes DuckDB 9 ms to plan, each.
 */
function instantOf(value: string): string | undefined {
  const milliseconds = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/u.test(value) ? Date.parse(value) : Number.NaN;
  const isExact = !Number.isNaN(milliseconds) && new Date(milliseconds).toISOString() === value && value >= '0001';
  return isExact ? `${milliseconds}000` : undefined;
}

const PARAMETER_TYPES: Record<string, FieldType> = {
  STRING: 'STRING',
  INT64: 'INT64',
  INTEGER: 'INT64',
  FLOAT64: 'FLOAT64',
  FLOAT: 'FLOAT64',
  BOOL: 'BOOL',
  BOOLEAN: 'BOOL',
  BYTES: 'BYTES',
  DATE: 'DATE',
  TIME: 'TIME',
  DATETIME: 'DATETIME',
  TIMESTAMP: 'TIMESTAMP',
  NUMERIC: 'NUMERIC',
  BIGNUMERIC: 'BIGNUMERIC',
  JSON: 'JSON',
};

/** The value of `@name` or of the next `?`. */
export function parameter(parser: Parser, token: string): Expression {
  const parameters = parser.context.parameters ?? [];
  const name = token.slice(1).toLowerCase();
  const found =
    token === '?'
      ? parameters.filter((each) => !each.name)[parser.positional]
      : parameters.find((each) => each.name?.toLowerCase() === name);
  if (token === '?') parser.positional += 1;
  if (found === undefined) {
    throw new InvalidQuery(
      token === '?' ? 'Query parameters are missing for positional ?' : `Query parameter '${name}' not found`,
    );
  }
  return parameterExpression(found.parameterType, found.parameterValue);
}

function parameterExpression(type: ParameterType, value: ParameterValue): Expression {
  if (type.type === 'ARRAY') {
    const element = type.arrayType;
    if (element === undefined) throw new InvalidQuery('An ARRAY query parameter needs its arrayType');
    const items = (value.arrayValues ?? []).map((each) => parameterExpression(element, each));
    const duck = duckType({ ...parameterField(element, ''), mode: 'REPEATED' });
    return plain(`[${items.map((item) => item.sql).join(', ')}]::${duck}`, items, { type: 'ARRAY' });
  }
  if (type.type === 'STRUCT') {
    const members = (type.structTypes ?? []).map((member, index) => {
      const name = member.name ?? `_field_${index + 1}`;
      return { name, value: parameterExpression(member.type, value.structValues?.[member.name ?? ''] ?? {}) };
    });
    const sql = members.map((member) => `${quoteName(member.name)} := ${member.value.sql}`).join(', ');
    return plain(
      `struct_pack(${sql})`,
      members.map((member) => member.value),
      { type: 'STRUCT' },
    );
  }
  const field = parameterField(type, '');
  if (value.value === undefined || value.value === null) return cast(NULL, field, false);
  // The REST API carries BYTES in base64.
  if (field.type === 'BYTES') return bytesLiteral(Buffer.from(value.value, 'base64'));
  if (field.type === 'STRING') return stringLiteral(value.value);
  return typedLiteral(field.type, value.value);
}

function parameterField(type: ParameterType, name: string): Field {
  if (type.type === 'STRUCT') {
    const fields = (type.structTypes ?? []).map((member, index) =>
      parameterField(member.type, member.name ?? `_field_${index + 1}`),
    );
    return { name, type: 'STRUCT', mode: 'NULLABLE', fields };
  }
  if (type.type === 'ARRAY' && type.arrayType) return { ...parameterField(type.arrayType, name), mode: 'REPEATED' };
  const found = PARAMETER_TYPES[type.type.toUpperCase()];
  if (found === undefined) throw unsupported(`query parameters of type ${type.type}`);
  return { name, type: found, mode: 'NULLABLE' };
}
