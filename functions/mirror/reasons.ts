import type { BigQueryType } from './types.ts';

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
  'too-deep',
  'not-wgs-84',
  'not-two-dimensional',
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
  GEOGRAPHY:
    'longitudes and latitudes in degrees on WGS 84, in shapes with straight edges that are valid on the sphere',
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
      return [
        [`SAFE.PARSE_JSON(${v}, wide_number_mode=>'round') IS NOT NULL`, 'number-not-exact'],
        // Numbers beyond float64 cannot be rounded either.
        [`REGEXP_CONTAINS(${v}, r'[0-9](?:[eE]\\+?[0-9]{3}|[0-9]{308})')`, 'number-not-exact'],
        // What PostgreSQL took for JSON fails otherwise by its depth, or by half a surrogate pair, which is an escape.
        [`NOT REGEXP_CONTAINS(${v}, r'\\\\u') AND LENGTH(REGEXP_REPLACE(${v}, r'[^\\[{]', '')) > 500`, 'too-deep'],
      ];
    default:
      return [];
  }
}
