/**
 * PostgreSQL type → COPY expression → BigQuery type → cast for the split: one table, read from top to bottom.
 *
 * A value that BigQuery cannot hold exactly must be *refused* by the typed load, never rounded or changed: where the load
 * itself would accept a changed value, the COPY expression puts `refusal` (the run's random token and `!`) in front of it.
 * The split then finds it, and takes the prefix off again for the errors table.
 */

export type BigQueryType =
  | 'STRING'
  | 'INT64'
  | 'FLOAT64'
  | 'BOOL'
  | 'BYTES'
  | 'DATE'
  | 'TIME'
  | 'DATETIME'
  | 'TIMESTAMP'
  | 'NUMERIC'
  | 'BIGNUMERIC'
  | 'JSON';

/** A column's type as the catalogue describes it, domains already resolved to their base type. */
export type SourceType = {
  /** `typname` of the base type: `int4`, `numeric`, `geometry`. */
  name: string;
  /** Where the type lives: an extension's functions are in the same schema, and no search path leads there. */
  schema: string;
  /** `text` is any type that mirror.yaml takes as its text. */
  kind: 'base' | 'enum' | 'composite' | 'range' | 'array' | 'text';
  /** Of `numeric(precision, scale)`; absent when unbounded. */
  precision?: number | undefined;
  scale?: number | undefined;
};

type Copy = (column: string, refusal: string, serverVersion: number, schema: string) => string;
type Mapping = { bigquery: BigQueryType; copy?: Copy; /** Why `copy` refuses a value. */ refusal?: Reason };

const asIs: Mapping = { bigquery: 'STRING' };

const BASE_TYPES: Record<string, Mapping> = {
  // integers
  int2: { bigquery: 'INT64' },
  int4: { bigquery: 'INT64' },
  int8: { bigquery: 'INT64' },
  oid: { bigquery: 'INT64' },
  xid: { bigquery: 'INT64' },
  cid: { bigquery: 'INT64' },
  // numbers
  float4: { bigquery: 'FLOAT64' },
  float8: { bigquery: 'FLOAT64' },
  money: { bigquery: 'NUMERIC', copy: (c) => `${c}::numeric` },
  // truth, bytes, documents
  bool: { bigquery: 'BOOL' },
  // BigQuery's CSV takes base64 only; encode() breaks its lines every 76 characters.
  bytea: { bigquery: 'BYTES', copy: (c) => `replace(encode(${c}, 'base64'), E'\\n', '')` },
  jsonb: { bigquery: 'JSON' },
  json: { bigquery: 'JSON', copy: uniqueKeys, refusal: 'duplicate-key' },
  hstore: { bigquery: 'JSON', copy: (c, _refusal, _version, schema) => `${identifier(schema)}.hstore_to_json(${c})` },
  vector: { bigquery: 'JSON' },
  // time; the session's TimeZone is UTC, its DateStyle ISO, its IntervalStyle iso_8601
  date: { bigquery: 'DATE' },
  time: { bigquery: 'TIME' },
  timetz: asIs,
  timestamp: { bigquery: 'DATETIME' },
  timestamptz: { bigquery: 'TIMESTAMP' },
  interval: asIs,
  // text, and what is exact as its text
  text: asIs,
  varchar: asIs,
  bpchar: asIs,
  char: asIs,
  name: asIs,
  citext: asIs,
  ltree: asIs,
  xml: asIs,
  uuid: asIs,
  inet: asIs,
  cidr: asIs,
  macaddr: asIs,
  macaddr8: asIs,
  bit: asIs,
  varbit: asIs,
  tsvector: asIs,
  tsquery: asIs,
  point: asIs,
  line: asIs,
  lseg: asIs,
  box: asIs,
  path: asIs,
  polygon: asIs,
  circle: asIs,
  pg_lsn: asIs,
  xid8: asIs,
  tid: asIs,
  // PostGIS: the text form is EWKB in hexadecimal; EWKT is exact too and readable
  geometry: { bigquery: 'STRING', copy: (c, _refusal, _version, schema) => `${identifier(schema)}.st_asewkt(${c})` },
  geography: { bigquery: 'STRING', copy: (c, _refusal, _version, schema) => `${identifier(schema)}.st_asewkt(${c})` },
};

/** Which BigQuery type holds `type`; `known` is false where the text form stands in for a type without a row above. */
export function bigQueryType(type: SourceType): { bigquery: BigQueryType; refusal: Reason | null; known: boolean } {
  const mapping = mappingOf(type);
  return { bigquery: mapping?.bigquery ?? 'STRING', refusal: mapping?.refusal ?? null, known: mapping !== undefined };
}

/** The expression that COPY selects for `column` (a quoted identifier). `refusal` is a quoted SQL literal. */
export function copyExpression(type: SourceType, column: string, refusal: string, serverVersion: number): string {
  return mappingOf(type)?.copy?.(column, refusal, serverVersion, type.schema) ?? column;
}

const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

function mappingOf(type: SourceType): Mapping | undefined {
  switch (type.kind) {
    case 'text':
    case 'enum':
    case 'range':
      return asIs;
    // BigQuery's CSV has no arrays: "Arrays are not supported in CSV".
    case 'array':
      return { bigquery: 'JSON', copy: array, refusal: 'array-bounds' };
    case 'composite':
      return { bigquery: 'JSON', copy: (c) => `to_json(${c})` };
    case 'base':
      return type.name === 'numeric' ? numeric(type) : BASE_TYPES[type.name];
  }
}

/** NUMERIC holds 29 integer digits and 9 decimals, BIGNUMERIC 38 and 38; a declared type that may exceed both is text. */
function numeric({ precision, scale }: SourceType): Mapping {
  if (precision === undefined || scale === undefined)
    return { bigquery: 'BIGNUMERIC', copy: exactNumeric, refusal: 'too-precise' };
  // PostgreSQL 15 allows a negative scale: numeric(3,-2) has five integer digits.
  const integers = precision - scale;
  if (integers <= 29 && scale <= 9) return { bigquery: 'NUMERIC' };
  if (integers <= 38 && scale <= 38) return { bigquery: 'BIGNUMERIC' };
  return asIs;
}

/** A typed load rounds beyond 38 decimals, so such a value must not look like a number. NaN and infinities have no scale. */
const exactNumeric: Copy = (c, refusal) =>
  `CASE WHEN scale(${c}) <= 38 THEN ${c}::text WHEN scale(trim_scale(${c})) <= 38 THEN trim_scale(${c})::text ELSE ${refusal} || ${c}::text END`;

/** to_json drops lower bounds other than 1, and with them the subscripts that the source's queries use. */
const array: Copy = (c, refusal) =>
  `CASE WHEN ${c}::text LIKE '[%=%' THEN ${refusal} || ${c}::text ELSE to_json(${c})::text END`;

/**
 * BigQuery keeps the first of two equal keys, silently; `json` (unlike jsonb) may have them. Before PostgreSQL 16, keys are
 * counted against jsonb's, which has dropped the duplicates; where an escape hides a quote the counts differ too, and the
 * value is refused rather than guessed. jsonb would raise, and with it end the COPY, at `\u0000` and at half a surrogate pair.
 */
function uniqueKeys(c: string, refusal: string, serverVersion: number): string {
  if (serverVersion >= 160000) {
    return `CASE WHEN ${c} IS JSON WITH UNIQUE KEYS THEN ${c}::text ELSE ${refusal} || ${c}::text END`;
  }
  const keys = (text: string): string => `(SELECT count(*) FROM regexp_matches(${text}, '"\\s*:', 'g'))`;
  const unpaired = `regexp_replace(${c}::text, '\\\\u[dD][89aAbB]..\\\\u[dD][c-fC-F]..', '', 'g') ~ '\\\\u(0000|[dD][89a-fA-F])'`;
  return (
    `CASE WHEN ${unpaired} THEN ${refusal} || ${c}::text ` +
    `WHEN ${keys(`${c}::text`)} <> ${keys(`${c}::jsonb::text`)} THEN ${refusal} || ${c}::text ELSE ${c}::text END`
  );
}

/** The cast that the split applies to the raw text `v`; NULL where the text is not a value of the type. */
export function splitCast(bigquery: BigQueryType, v: string): string {
  switch (bigquery) {
    case 'STRING':
      return v;
    // SAFE_CAST to BOOL takes only true and false; COPY writes t and f, a cast to text true and false.
    case 'BOOL':
      return `CASE WHEN ${v} IN ('t', 'true') THEN TRUE WHEN ${v} IN ('f', 'false') THEN FALSE END`;
    case 'BYTES':
      return `SAFE.FROM_BASE64(${v})`;
    // 'exact' refuses numbers that would lose digits; 'round' would change them.
    case 'JSON':
      return `SAFE.PARSE_JSON(${v}, wide_number_mode=>'exact')`;
    default:
      return `SAFE_CAST(${v} AS ${bigquery})`;
  }
}

/** Why a value is in the errors table. */
export const REASONS = [
  'row-too-large',
  'too-precise',
  'duplicate-key',
  'array-bounds',
  'not-a-number',
  'infinite',
  'out-of-range',
  'before-year-1',
  'after-year-9999',
  'end-of-day',
  'number-not-exact',
  'unparseable',
] as const;
export type Reason = (typeof REASONS)[number];

/** What BigQuery allows, for the errors table's `detail`; no value is quoted. */
export const ALLOWED: Record<BigQueryType, string> = {
  STRING: 'a row of up to 100 MB',
  INT64: 'whole numbers from -2^63 to 2^63 - 1',
  FLOAT64: 'IEEE 754 double precision',
  BOOL: 'true or false',
  BYTES: 'base64',
  DATE: '0001-01-01 to 9999-12-31',
  TIME: '00:00:00 to 23:59:59.999999',
  DATETIME: '0001-01-01 00:00:00 to 9999-12-31 23:59:59.999999',
  TIMESTAMP: '0001-01-01 00:00:00 to 9999-12-31 23:59:59.999999 UTC',
  NUMERIC: 'up to 29 integer digits and 9 decimals',
  BIGNUMERIC: 'up to 38 integer digits and 38 decimals',
  JSON: 'numbers that fit int64, uint64 or float64 exactly; up to 500 levels; no key twice in an object',
};

/** WHEN branches that name the reason for a raw text `v` that the cast refused; the last resort is `unparseable`. */
export function reasonBranches(bigquery: BigQueryType, v: string): [condition: string, reason: Reason][] {
  switch (bigquery) {
    case 'NUMERIC':
    case 'BIGNUMERIC':
      return [
        [`${v} = 'NaN'`, 'not-a-number'],
        [`ENDS_WITH(${v}, 'Infinity')`, 'infinite'],
        [`REGEXP_CONTAINS(${v}, r'^-?[0-9.]+$')`, 'out-of-range'],
      ];
    case 'INT64':
      return [[`REGEXP_CONTAINS(${v}, r'^-?[0-9]+$')`, 'out-of-range']];
    case 'DATE':
    case 'DATETIME':
    case 'TIMESTAMP':
      return [
        [`ENDS_WITH(${v}, 'infinity')`, 'infinite'],
        [`ENDS_WITH(${v}, ' BC')`, 'before-year-1'],
        [`REGEXP_CONTAINS(${v}, r'^[0-9]{5,}-')`, 'after-year-9999'],
      ];
    case 'TIME':
      return [[`STARTS_WITH(${v}, '24:')`, 'end-of-day']];
    case 'JSON':
      return [[`SAFE.PARSE_JSON(${v}, wide_number_mode=>'round') IS NOT NULL`, 'number-not-exact']];
    default:
      return [];
  }
}
