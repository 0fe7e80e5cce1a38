import type { Call } from './call.ts';
import { formatCall } from './format.ts';
import { coerce, commonType, compare, concatenate, valueSql } from './operators.ts';
import { composed, macro, plain, type Expression } from './parser.ts';
import { geographyToText } from './stored.ts';
import { InvalidQuery, unsupported, type FieldType } from './types.ts';

type Known = FieldType | 'ARRAY' | undefined;

/** A function that is one macro of ours. */
function own(name: string, min: number, max = min, type?: Known): Call {
  return { min, max, emit: (args) => macro(`bq_${name}`, args, type === undefined ? {} : { type }) };
}

/** A function that DuckDB has with the same meaning. */
function same(name: string, min: number, max = min, type?: Known): Call {
  return {
    min,
    max,
    emit: (args) =>
      plain(`${name}(${args.map((arg) => arg.sql).join(', ')})`, args, type === undefined ? {} : { type }),
  };
}

/** Functions whose arguments share one type. */
function unified(min: number, max: number, sql: (args: string[]) => string): Call {
  return {
    min,
    max,
    emit: (given) => {
      const args = coerce(given);
      const untyped = args.every((arg) => arg.literal === 'string' || arg.literal === 'null');
      const values = untyped ? args.map((arg) => ({ ...arg, sql: valueSql(arg) })) : args;
      return composed(sql, values, commonType(args));
    },
  };
}

function extreme(name: 'greatest' | 'least'): Call {
  // BigQuery answers NULL if any argument is, and NaN if any is NaN; DuckDB passes over NULLs.
  return unified(1, 100, (args) => {
    const tests = args.map((arg) => `WHEN ${arg} IS NULL THEN NULL`);
    const nans = args.map((arg) => `WHEN bq_is_nan(${arg}) THEN ${arg}`);
    return `CASE ${tests.join(' ')} ${nans.join(' ')} ELSE ${name}(${args.join(', ')}) END`;
  });
}

export const SCALAR_CALLS: Record<string, Call> = {
  IF: {
    min: 3,
    max: 3,
    emit: ([condition, ...branches]) => {
      const [yes, no] = coerce(branches);
      if (!condition || !yes || !no) throw new InvalidQuery('IF takes a condition and two values');
      const values = [condition, { ...yes, sql: valueSqlOf(yes, no) }, { ...no, sql: valueSqlOf(no, yes) }];
      return composed(([when, a, b]) => `CASE WHEN ${when} THEN ${a} ELSE ${b} END`, values, commonType([yes, no]));
    },
  },
  COALESCE: unified(1, 1000, (args) => `coalesce(${args.join(', ')})`),
  IFNULL: unified(2, 2, (args) => `coalesce(${args.join(', ')})`),
  NULLIF: {
    min: 2,
    max: 2,
    emit: ([a, b]) => {
      if (!a || !b) throw new InvalidQuery('NULLIF takes two values');
      const same = compare('=', a, b);
      const values = [same, { ...a, sql: valueSql(a) }];
      return composed(([when, value]) => `CASE WHEN ${when} THEN NULL ELSE ${value} END`, values, commonType([a]));
    },
  },
  GREATEST: extreme('greatest'),
  LEAST: extreme('least'),
  ERROR: own('error', 1),

  CONCAT: { min: 1, max: 1000, emit: (args) => concatenate(args) },
  STARTS_WITH: same('starts_with', 2, 2, 'BOOL'),
  ENDS_WITH: same('ends_with', 2, 2, 'BOOL'),
  SUBSTR: own('substr', 2, 3, 'STRING'),
  SUBSTRING: own('substr', 2, 3, 'STRING'),
  LENGTH: own('length', 1, 1, 'INT64'),
  CHAR_LENGTH: own('char_length', 1, 1, 'INT64'),
  CHARACTER_LENGTH: own('char_length', 1, 1, 'INT64'),
  BYTE_LENGTH: own('byte_length', 1, 1, 'INT64'),
  OCTET_LENGTH: own('byte_length', 1, 1, 'INT64'),
  UPPER: own('upper', 1, 1, 'STRING'),
  LOWER: own('lower', 1, 1, 'STRING'),
  TRIM: own('trim', 1, 2, 'STRING'),
  LTRIM: own('ltrim', 1, 2, 'STRING'),
  RTRIM: own('rtrim', 1, 2, 'STRING'),
  REPLACE: own('replace', 3, 3, 'STRING'),
  SPLIT: own('split', 1, 2, 'ARRAY'),
  STRPOS: same('strpos', 2, 2, 'INT64'),
  LPAD: own('lpad', 2, 3, 'STRING'),
  RPAD: own('rpad', 2, 3, 'STRING'),
  REPEAT: own('repeat', 2, 2, 'STRING'),
  REVERSE: own('reverse', 1, 1, 'STRING'),
  FORMAT: { min: 1, max: 1000, emit: formatCall },
  REGEXP_CONTAINS: same('regexp_matches', 2, 2, 'BOOL'),
  REGEXP_REPLACE: own('regexp_replace', 3, 3, 'STRING'),
  REGEXP_EXTRACT: { min: 2, max: 2, emit: regexpExtract },
  REGEXP_SUBSTR: { min: 2, max: 2, emit: regexpExtract },
  REGEXP_EXTRACT_ALL: {
    min: 2,
    max: 2,
    emit: (args) => {
      const group = captureGroup(args[1]);
      return plain(`regexp_extract_all(${args.map((arg) => arg.sql).join(', ')}, ${group})`, args, { type: 'ARRAY' });
    },
  },
  TO_HEX: own('to_hex', 1, 1, 'STRING'),
  FROM_HEX: own('from_hex', 1, 1, 'BYTES'),
  TO_BASE64: own('to_base64', 1, 1, 'STRING'),
  FROM_BASE64: own('from_base64', 1, 1, 'BYTES'),
  MD5: own('md5', 1, 1, 'BYTES'),
  SHA1: own('sha1', 1, 1, 'BYTES'),
  SHA256: own('sha256', 1, 1, 'BYTES'),
  FARM_FINGERPRINT: own('farm_fingerprint', 1, 1, 'INT64'),
  GENERATE_UUID: { min: 0, max: 0, emit: () => plain('uuid()::VARCHAR', [], { type: 'STRING' }) },

  ST_GEOGFROMTEXT: {
    min: 1,
    max: 2,
    named: ['oriented', 'planar', 'make_valid'],
    safely: true,
    emit: ([wkt, oriented], { named, safe }) => {
      if (!wkt) throw new InvalidQuery('ST_GEOGFROMTEXT takes a string');
      const [argument] = oriented ? ['oriented'] : named.keys();
      if (argument !== undefined) throw unsupported(`ST_GEOGFROMTEXT's argument ${argument}`);
      return plain(`bq_${safe ? 'safe_' : ''}geography(${valueSql(wkt)})`, [wkt], { type: 'GEOGRAPHY' });
    },
  },
  // DuckDB's member of a NULL has no type of its own.
  ST_ASTEXT: {
    min: 1,
    max: 1,
    emit: ([value]) => {
      if (!value || value.literal === 'null') return plain('NULL::VARCHAR', [], { type: 'STRING' });
      return plain(`${geographyToText(value.sql)}::VARCHAR`, [value], { type: 'STRING' });
    },
  },

  ABS: own('abs', 1),
  SIGN: own('sign', 1),
  ROUND: own('round', 1, 2),
  FLOOR: own('floor', 1),
  CEIL: own('ceil', 1),
  CEILING: own('ceil', 1),
  TRUNC: own('trunc', 1),
  MOD: own('mod', 2),
  DIV: own('div', 2),
  SQRT: own('sqrt', 1, 1, 'FLOAT64'),
  POW: own('pow', 2, 2, 'FLOAT64'),
  POWER: own('pow', 2, 2, 'FLOAT64'),
  IS_NAN: own('is_nan', 1, 1, 'BOOL'),
  IS_INF: own('is_inf', 1, 1, 'BOOL'),
  SAFE_DIVIDE: { min: 2, max: 2, emit: (args) => safely(macro('bq_divide', coerce(args))) },
  SAFE_ADD: { min: 2, max: 2, emit: (args) => safely(macro('bq_add', coerce(args))) },
  SAFE_SUBTRACT: { min: 2, max: 2, emit: (args) => safely(macro('bq_subtract', coerce(args))) },
  SAFE_MULTIPLY: { min: 2, max: 2, emit: (args) => safely(macro('bq_multiply', coerce(args))) },

  ARRAY_LENGTH: own('array_length', 1, 1, 'INT64'),
  ARRAY_TO_STRING: own('array_to_string', 2, 3, 'STRING'),
  ARRAY_REVERSE: same('list_reverse', 1, 1, 'ARRAY'),
  ARRAY_CONCAT: { min: 1, max: 100, emit: (args) => concatenate(args) },
  GENERATE_ARRAY: own('generate_array', 2, 3, 'ARRAY'),
};

function valueSqlOf(value: Expression, other: Expression): string {
  return other.literal === 'string' || other.literal === 'null' ? valueSql(value) : value.sql;
}

function safely(value: Expression): Expression {
  return composed(([sql]) => `TRY(${sql})`, [value]);
}

function regexpExtract(args: Expression[]): Expression {
  const [value, pattern] = args;
  if (!value || !pattern) throw new InvalidQuery('REGEXP_EXTRACT takes a value and a regular expression');
  const group = captureGroup(pattern);
  // DuckDB answers '' where nothing matches, BigQuery NULL.
  const sql = `CASE WHEN regexp_matches(${value.sql}, ${pattern.sql}) THEN regexp_extract(${value.sql}, ${pattern.sql}, ${group}) END`;
  return plain(sql, args, { type: 'STRING' });
}

/** 1 if the pattern has a capturing group, else 0, the whole match. */
function captureGroup(pattern: Expression | undefined): 0 | 1 {
  if (pattern?.text === undefined) throw unsupported('REGEXP_EXTRACT with a pattern that is not a literal');
  const bare = pattern.text.replaceAll(/\\.|\[\^?\]?(?:\\.|[^\]\\])*\]/gsu, '_');
  const groups = [...bare.matchAll(/\((?!\?)|\(\?P?</gu)].length;
  if (groups > 1) throw new InvalidQuery('Regular expression must have at most 1 capturing group');
  // A group that takes no part in the match is NULL in BigQuery and '' in DuckDB.
  if (groups === 1 && /\)(?:[?*]|\{0)|\|/u.test(bare)) {
    throw unsupported('REGEXP_EXTRACT with a capturing group that may take no part in the match');
  }
  return groups === 1 ? 1 : 0;
}
