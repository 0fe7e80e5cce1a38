import { escapeIdentifier, escapeLiteral } from 'pg';
import type { RangePlan, TablePlan } from '../mirror/plan.ts';
import { isCovered, sourceFingerprint } from '../mirror/fingerprint.ts';
import { oversizePrefix } from '../mirror/null-token.ts';
import { ROW_LIMIT_BYTES } from './copy-out.ts';

/**
 * The COPY of one range. NULL is the run's token, unquoted; every value is quoted, so that blanks at its ends survive and
 * an empty string differs from NULL.
 */
export function copyStatement(
  table: TablePlan,
  range: RangePlan,
  nullToken: string,
  { oversize = false } = {},
): string {
  const select = oversize ? selectWithoutLargeValues(table, range, nullToken) : selectRows(table, range);
  return `COPY (${select}) TO STDOUT WITH (FORMAT csv, HEADER true, NULL ${escapeLiteral(nullToken)}, FORCE_QUOTE *, ENCODING 'UTF8')`;
}

function selectRows({ columns }: TablePlan, range: RangePlan): string {
  const list = columns.map(({ expression, name }) => `${expression} AS ${escapeIdentifier(name)}`);
  return `SELECT ${list.join(', ')} FROM ${range.relation}${pages(range)}`;
}

/** The fingerprint of one range, by the snapshot; undefined where the plan asks for none. */
export function fingerprintStatement({ columns, verify }: TablePlan, range: RangePlan): string | undefined {
  if (!verify || verify.covered.length === 0) return undefined;
  return sourceFingerprint(columns.filter(isCovered), `${range.relation}${pages(range)}`);
}

/** `ONLY` stands in `relation` where a parent's children are exported by themselves. */
function pages({ from, to }: RangePlan): string {
  const conditions = [
    ...(from === null ? [] : [`ctid >= '(${from},0)'::tid`]),
    ...(to === null ? [] : [`ctid < '(${to},0)'::tid`]),
  ];
  return conditions.length > 0 ? ` WHERE ${conditions.join(' AND ')}` : '';
}

/** A value up to this size stays as it is even in a row that is too large, unless there are very many of them. */
const LARGE_VALUE_BYTES = 1024 * 1024;

/**
 * Of a row whose CSV exceeds the limit, every large value becomes its length and digest; all other rows are unchanged.
 * `concat` writes a value as COPY does; a cast to text would not (bool, inet, char(n)). `IS NOT NULL` would be false of a
 * composite with one NULL in it.
 */
function selectWithoutLargeValues({ columns }: TablePlan, range: RangePlan, nullToken: string): string {
  const inner = columns.map((_, i) => `CASE WHEN v${i} IS DISTINCT FROM NULL THEN concat(v${i}) END AS c${i}`);
  const values = columns.map(({ expression }, i) => `${expression} AS v${i}`);
  // In CSV a quote counts twice; two quotes come to each value, and a comma or the line's end. NULL is the token.
  const size = columns.map((_, i) => {
    // Twice a text must not exceed PostgreSQL's 1 GB; one beyond the limit is too large with or without its quotes.
    const quoted = `CASE WHEN octet_length(c${i}) > ${ROW_LIMIT_BYTES} THEN c${i} ELSE replace(c${i}, '"', '""') END`;
    return `coalesce(octet_length(${quoted}) + 2, ${nullToken.length})::int8 + 1`;
  });
  // Half of an equal share of the limit: however many values stay, the row fits, even if all of them is quotes.
  const large = Math.min(LARGE_VALUE_BYTES, Math.floor(ROW_LIMIT_BYTES / columns.length / 2) - 3);
  const prefix = escapeLiteral(oversizePrefix(nullToken));
  const outer = columns.map(
    ({ name }, i) =>
      `CASE WHEN bytes > ${ROW_LIMIT_BYTES} AND octet_length(c${i}) > ${large} ` +
      `THEN ${prefix} || octet_length(c${i}) || ':' || encode(sha256(convert_to(c${i}, 'UTF8')), 'hex') ` +
      `ELSE c${i} END AS ${escapeIdentifier(name)}`,
  );
  // OFFSET 0 keeps the levels apart: merged, the size would be computed anew for every column.
  return (
    `SELECT ${outer.join(', ')} FROM (SELECT *, ${size.join(' + ')} AS bytes FROM (SELECT ${inner.join(', ')} ` +
    `FROM (SELECT ${values.join(', ')} FROM ${range.relation}${pages(range)} OFFSET 0) AS r OFFSET 0) AS t OFFSET 0) AS s`
  );
}
