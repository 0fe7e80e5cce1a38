import type { ColumnPlan } from './plan.ts';
import { column as quoted } from './sql.ts';
import type { BigQueryType } from './types.ts';

/**
 * One fingerprint over a table's rows, computed by PostgreSQL in the snapshot and by BigQuery over what it has: per column, and over
 * whole rows, a sum of 60 bits of each value's SHA-256. Sums know no order, and count what is there twice twice. Both sides
 * hash the text that COPY writes; a row in the errors table has that text itself.
 */
export type Fingerprint = { rows: number; /** By the columns' order, then that of whole rows. */ sums: string[] };

/** FLOAT64 and JSON are written differently by the two; such columns are told to be not covered. */
const COVERED = new Set<BigQueryType>([
  'INT64',
  'BOOL',
  'BYTES',
  'DATE',
  'TIME',
  'DATETIME',
  'TIMESTAMP',
  'NUMERIC',
  'BIGNUMERIC',
  'STRING',
]);
export const isCovered = ({ bigquery }: ColumnPlan): boolean => COVERED.has(bigquery);

const isDecimal = ({ bigquery }: ColumnPlan): boolean => bigquery === 'NUMERIC' || bigquery === 'BIGNUMERIC';

/** For PostgreSQL: one row of `rows` and `s0`, `s1`, …; `from` is a relation with its condition. */
export function sourceFingerprint(columns: readonly ColumnPlan[], from: string): string {
  const digests = columns.map((plan, i) => {
    const value = `"${plan.source.replaceAll('"', '""')}"`;
    // A decimal's zeros at the end are no part of its value; all else is as `concat`, and so COPY, writes it.
    const text = isDecimal(plan) ? `trim_scale(${value}::numeric)::text` : `concat(${plan.expression})`;
    const marked = `CASE WHEN ${value} IS DISTINCT FROM NULL THEN 'v' || ${text} ELSE 'n' END`;
    return `encode(sha256(convert_to(${marked}, 'UTF8')), 'hex') AS d${i}`;
  });
  const sum = (digest: string): string => `coalesce(sum(('x' || left(${digest}, 15))::bit(60)::int8), 0)::text`;
  const whole = `encode(sha256(convert_to(${columns.map((_, i) => `d${i}`).join(' || ')}, 'UTF8')), 'hex')`;
  const sums = [...columns.map((_, i) => sum(`d${i}`)), sum('d')].map((text, i) => `${text} AS s${i}`);
  // OFFSET 0: a digest is computed once, and used twice.
  return (
    `SELECT count(*)::text AS rows, ${sums.join(', ')} FROM (SELECT *, ${whole} AS d ` +
    `FROM (SELECT ${digests.join(', ')} FROM ${from} OFFSET 0) AS v OFFSET 0) AS w`
  );
}

/** For BigQuery: the same over the loaded table, and over the errors table where there is one. */
export function loadedFingerprint(
  columns: readonly ColumnPlan[],
  all: readonly ColumnPlan[],
  loaded: string,
  errors: string | undefined,
): string {
  const typed = columns.map((plan, i) => `${typedText(plan)} AS t${i}`);
  const raw = columns.map((plan, i) => {
    const value = `raw_row[OFFSET(${all.indexOf(plan)})].value`;
    return `${isDecimal(plan) ? withoutZeros(value) : value} AS t${i}`;
  });
  const texts = [
    `SELECT ${typed.join(', ')} FROM ${loaded}`,
    ...(errors === undefined ? [] : [`SELECT ${raw.join(', ')} FROM ${errors}`]),
  ].join('\nUNION ALL\n');
  const digests = columns.map((_, i) => `TO_HEX(SHA256(IF(t${i} IS NULL, 'n', CONCAT('v', t${i})))) AS d${i}`);
  const whole = `TO_HEX(SHA256(ARRAY_TO_STRING([${columns.map((_, i) => `d${i}`).join(', ')}], '')))`;
  const sum = (digest: string): string =>
    `CAST(IFNULL(SUM(CAST(CAST(CONCAT('0x', SUBSTR(${digest}, 1, 15)) AS INT64) AS NUMERIC)), 0) AS STRING)`;
  const sums = [...columns.map((_, i) => sum(`d${i}`)), sum('d')].map((text, i) => `${text} AS s${i}`);
  return (
    `SELECT CAST(COUNT(*) AS STRING) AS n, ${sums.join(', ')} FROM (SELECT *, ${whole} AS d FROM (SELECT ${digests.join(', ')}\n` +
    `FROM (${texts}) AS t) AS v) AS w`
  );
}

/** A typed value as PostgreSQL writes it. */
function typedText({ name, bigquery }: ColumnPlan): string {
  const c = quoted(name);
  const text = `CAST(${c} AS STRING)`;
  switch (bigquery) {
    case 'BOOL':
      return `CASE ${c} WHEN TRUE THEN 't' WHEN FALSE THEN 'f' END`;
    case 'BYTES':
      return `TO_BASE64(${c})`;
    // BigQuery writes three or six digits of a second's fraction.
    case 'TIME':
    case 'DATETIME':
    case 'NUMERIC':
    case 'BIGNUMERIC':
      return withoutZeros(text);
    case 'TIMESTAMP':
      return `CONCAT(${withoutZeros(`REGEXP_REPLACE(${text}, r'\\+00$', '')`)}, '+00')`;
    default:
      return bigquery === 'STRING' ? c : text;
  }
}

/** Without the zeros behind a point, and without a point that nothing follows. */
const withoutZeros = (text: string): string =>
  `REGEXP_REPLACE(REGEXP_REPLACE(${text}, r'(\\.[0-9]*?)0+$', r'\\1'), r'\\.$', '')`;
