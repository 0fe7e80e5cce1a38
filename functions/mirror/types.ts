import { document, exactNumeric, JSON_REFUSALS, own, uniqueKeys } from './refusals.ts';
import type { Reason } from './reasons.ts';
import { asGeography, exactText } from './spatial.ts';

/**
 * PostgreSQL type → COPY expression → BigQuery type → cast for the split: one table, read from top to bottom.
 *
 * A value that BigQuery cannot hold exactly must be *refused* by the typed load, never rounded or changed: where the load
 * itself would accept a changed value, the COPY expression puts the run's random token and the reason in front of it. The
 * split then finds it, and takes both off again for the errors table.
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
  | 'JSON'
  | 'GEOGRAPHY';

/** A column's type as the catalogue describes it, domains already resolved to their base type. */
export type SourceType = {
  /** `typname` of the base type: `int4`, `numeric`, `geometry`. */
  name: string;
  /** Where the type lives: an extension's functions are in the same schema, and no search path leads there. */
  schema: string;
  /** `as string` and `as geography` are types that mirror.yaml takes so. */
  kind: 'base' | 'enum' | 'composite' | 'range' | 'array' | 'as string' | 'as geography';
  /** Of `numeric(precision, scale)`; absent when unbounded. */
  precision?: number | undefined;
  scale?: number | undefined;
  /** Of PostGIS's types: whether the functions that write their text take a number of decimals, as since 3.1. */
  decimals?: boolean | undefined;
  /** Of an array or a composite: what is in it, at any depth. */
  inside?: Inside | undefined;
};

export type Inside = {
  json: boolean;
  /** An array below the outermost one. */
  arrays: boolean;
  composites: boolean;
  /** A type with a cast of its own to json, which need not be exact: PostGIS's rounds coordinates to nine decimals. */
  ownJson: boolean;
};

export type Copy = (column: string, refusal: Refusal, serverVersion: number, type: SourceType) => string;
/** What stands in front of a refused value, as a SQL literal: the run's token and the reason, for the split to find. */
export type Refusal = (reason: Reason) => string;
export type Mapping = {
  bigquery: BigQueryType;
  copy?: Copy;
  /** Why `copy` refuses a value. */ refusals?: readonly Reason[];
};

const asIs: Mapping = { bigquery: 'STRING' };

/** Further base types of PostgreSQL 13 to 18, all exact as their text. */
const SERVER_TYPES =
  'regclass regcollation regconfig regdictionary regnamespace regoper regoperator regproc regprocedure regrole regtype \
aclitem refcursor pg_snapshot txid_snapshot gtsvector pg_node_tree pg_ndistinct pg_dependencies pg_mcv_list \
pg_brin_bloom_summary pg_brin_minmax_multi_summary'.split(' ');

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
  json: { bigquery: 'JSON', copy: uniqueKeys, refusals: JSON_REFUSALS },
  hstore: { bigquery: 'JSON', copy: (c, _refusal, _version, type) => `${own(type, 'hstore_to_json')}(${c})` },
  // pgvector: [1,2,3]; a sparse one is {1:1,3:2}/5
  vector: { bigquery: 'JSON' },
  halfvec: { bigquery: 'JSON' },
  sparsevec: asIs,
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
  char: { bigquery: 'STRING', copy: (c, _refusal, version) => (version >= 150000 ? c : octal(c)) },
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
  cube: asIs,
  jsonpath: asIs,
  // the server's own
  pg_lsn: asIs,
  xid8: asIs,
  tid: asIs,
  ...Object.fromEntries(SERVER_TYPES.map((name) => [name, asIs])),
  // PostGIS: EWKT, exact and readable
  geometry: { bigquery: 'STRING', copy: exactText },
  geography: { bigquery: 'STRING', copy: exactText },
};

/** Which BigQuery type holds `type`; `known` is false where the text form stands in for a type without a row above. */
export function bigQueryType(type: SourceType): { bigquery: BigQueryType; refusals: Reason[]; known: boolean } {
  const mapping = mappingOf(type);
  return {
    bigquery: mapping?.bigquery ?? 'STRING',
    refusals: [...(mapping?.refusals ?? [])],
    known: mapping !== undefined,
  };
}

/** The expression that COPY selects for `column` (a quoted identifier). */
export function copyExpression(type: SourceType, column: string, refusal: Refusal, serverVersion: number): string {
  return mappingOf(type)?.copy?.(column, refusal, serverVersion, type) ?? column;
}

/** A "char" is a byte. Beyond ASCII it is written as `\310` since PostgreSQL 15, before as itself, which is no UTF-8. */
const octal = (c: string): string =>
  `CASE WHEN ${c}::int4 < 0 THEN '\\' || (${c}::int4 >> 6 & 3) || (${c}::int4 >> 3 & 7) || (${c}::int4 & 7) ELSE ${c}::text END`;

function mappingOf(type: SourceType): Mapping | undefined {
  switch (type.kind) {
    case 'as string':
    case 'enum':
    case 'range':
      return asIs;
    case 'array':
    case 'composite':
      return document(type);
    case 'as geography':
      return asGeography;
    case 'base':
      return type.name === 'numeric' ? numeric(type) : BASE_TYPES[type.name];
  }
}

/** NUMERIC holds 29 integer digits and 9 decimals, BIGNUMERIC 38 and 38; a declared type that may exceed both is text. */
function numeric({ precision, scale }: SourceType): Mapping {
  if (precision === undefined || scale === undefined) {
    return { bigquery: 'BIGNUMERIC', copy: exactNumeric, refusals: ['not-a-number', 'infinite', 'too-precise'] };
  }
  // PostgreSQL 15 allows a negative scale: numeric(3,-2) has five integer digits.
  const integers = precision - scale;
  if (integers <= 29 && scale <= 9) return { bigquery: 'NUMERIC' };
  if (integers <= 38 && scale <= 38) return { bigquery: 'BIGNUMERIC' };
  return asIs;
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
    // Without make_valid: what BigQuery finds invalid on the sphere is refused rather than repaired.
    case 'GEOGRAPHY':
      return `SAFE.ST_GEOGFROMTEXT(${v})`;
    default:
      return `SAFE_CAST(${v} AS ${bigquery})`;
  }
}
