import { escapeIdentifier, escapeLiteral } from 'pg';
import type { RangePlan, TablePlan } from '../mirror/plan.ts';
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

/** `ONLY` stands in `relation` where a parent's children are exported by themselves. */
function pages({ from, to }: RangePlan): string {
  const conditions = [
    ...(from === null ? [] : [`ctid >= '(${from},0)'::tid`]),
    ...(to === null ? [] : [`ctid < '(${to},0)'::tid`]),
  ];
  return conditions.length > 0 ? ` WHERE ${conditions.join(' AND ')}` : '';
}

/** A value up to this size stays as it is even in a row that is too large. */
const LARGE_VALUE_BYTES = 1024 * 1024;

/** Of a row whose CSV exceeds the limit, every large value becomes its length and digest; all other rows are unchanged. */
function selectWithoutLargeValues({ columns }: TablePlan, range: RangePlan, nullToken: string): string {
  const inner = columns.map(({ expression }, i) => `(${expression})::text AS c${i}`);
  // In CSV a quote counts twice; two quotes and a comma come to each value.
  const size = columns.map((_, i) => `coalesce(octet_length(replace(c${i}, '"', '""')), 0)::int8 + 3`).join(' + ');
  const prefix = escapeLiteral(oversizePrefix(nullToken));
  const outer = columns.map(
    ({ name }, i) =>
      `CASE WHEN bytes > ${ROW_LIMIT_BYTES} AND octet_length(c${i}) > ${LARGE_VALUE_BYTES} ` +
      `THEN ${prefix} || octet_length(c${i}) || ':' || encode(sha256(convert_to(c${i}, 'UTF8')), 'hex') ` +
      `ELSE c${i} END AS ${escapeIdentifier(name)}`,
  );
  return (
    `SELECT ${outer.join(', ')} FROM (SELECT ${inner.join(', ')} FROM ${range.relation}${pages(range)}) AS r ` +
    `CROSS JOIN LATERAL (SELECT ${size} AS bytes) AS s`
  );
}
