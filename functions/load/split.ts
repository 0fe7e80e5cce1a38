import { createTableAs, column, literal, table } from '../mirror/sql.ts';
import { oversizePrefix, refusalPrefix } from '../mirror/null-token.ts';
import type { ColumnPlan } from '../mirror/plan.ts';
import { fieldsOf } from '../mirror/schema.ts';
import { ALLOWED, reasonBranches, type Reason } from '../mirror/reasons.ts';
import { splitCast } from '../mirror/types.ts';

/**
 * The split of a table whose typed load was refused: its rows are in an all-STRING staging table; the good ones go to the
 * table, each bad one with its raw text and its reasons to the errors table. Both statements decide by the same reasons,
 * so that every row is in exactly one of them.
 */
export type Split = {
  columns: readonly ColumnPlan[];
  nullToken: string;
  /** Some rows have large values replaced by length and digest. */
  oversize: boolean;
  /** Table ids in the loading dataset. */
  project: string;
  dataset: string;
  staging: string;
  target: string;
};

/** Typed rows without any reason against them, into the table. */
export function goodRows(split: Split, kmsKeyName: string | undefined): string {
  const casts = split.columns.map(({ bigquery, name }) => `${splitCast(bigquery, column(name))} AS ${column(name)}`);
  return createTableAs(
    table(split.project, split.dataset, split.target),
    fieldsOf(split.columns),
    kmsKeyName,
    `SELECT ${casts.join(', ')}\nFROM ${judged(split)}\nWHERE ${reasonNames(split)
      .map((name) => `${name} IS NULL`)
      .join(' AND ')}`,
  );
}

export type Origin = {
  runId: string;
  schema: string;
  table: string;
  /** The only part; null where there are several. */ part: string | null;
};

/** One row per bad source row: where it is from, every failing column with its reason, every column's raw text. */
export function badRows(split: Split, origin: Origin): string {
  const names = reasonNames(split);
  const failure = unlike(split, 'failure_');
  const failures = fallible(split).map(({ name, postgresType, bigquery }, i) => {
    const fields = [
      `${literal(name)} AS column_name`,
      `${literal(postgresType)} AS postgres_type`,
      `${literal(bigquery)} AS bigquery_type`,
      `${names[i]} AS reason`,
      `${literal(ALLOWED[bigquery])} AS detail`,
    ];
    return `STRUCT(${fields.join(', ')})`;
  });
  const raw = split.columns.map((plan) => `STRUCT(${literal(plan.name)} AS name, ${rawText(split, plan)} AS value)`);
  return `SELECT
  ${literal(origin.runId)} AS run_id,
  ${literal(origin.schema)} AS source_schema,
  ${literal(origin.table)} AS source_table,
  ${origin.part === null ? 'CAST(NULL AS STRING)' : literal(origin.part)} AS part,
  ARRAY(SELECT AS STRUCT ${failure}.* FROM UNNEST([${failures.join(', ')}]) AS ${failure} WHERE ${failure}.reason IS NOT NULL) AS failures,
  [${raw.join(', ')}] AS raw_row
FROM ${judged(split)}
WHERE ${names.map((name) => `${name} IS NOT NULL`).join(' OR ')}`;
}

/** Columns that can hold something that BigQuery cannot: any but plain text, and text too where rows were too large. */
const fallible = ({ columns, oversize }: Split): ColumnPlan[] =>
  columns.filter(({ bigquery }) => bigquery !== 'STRING' || oversize);

/** Names for the reasons, unlike any column of the table: `reason_0`, or with as many underscores as it takes. */
function reasonNames(split: Split): string[] {
  const prefix = unlike(split, 'reason_');
  const names = fallible(split).map((_, i) => `${prefix}${i}`);
  // A table of nothing but text refuses nothing; the statements stay well-formed.
  return names.length > 0 ? names : ['CAST(NULL AS STRING)'];
}

/** A name that no column of the table starts with. */
function unlike({ columns }: Split, wanted: string): string {
  let prefix = wanted;
  while (columns.some(({ name }) => name.toLowerCase().startsWith(prefix))) prefix += '_';
  return prefix;
}

/** The staging table with a reason per fallible column: NULL where the value is good. */
function judged(split: Split): string {
  const names = reasonNames(split);
  const reasons = fallible(split).map((plan, i) => `${reasonOf(split, plan)} AS ${names[i]}`);
  return `(SELECT ${['*', ...reasons].join(',\n  ')}\nFROM ${table(split.project, split.dataset, split.staging)})`;
}

function reasonOf({ nullToken, oversize }: Split, { name, bigquery, refusals }: ColumnPlan): string {
  const v = column(name);
  const branches: [condition: string, result: string][] = [[`${v} IS NULL`, 'NULL']];
  if (oversize) branches.push([`STARTS_WITH(${v}, ${literal(oversizePrefix(nullToken))})`, literal('row-too-large')]);
  for (const reason of refusals) branches.push([startsWith(v, nullToken, reason), literal(reason)]);
  branches.push([`${splitCast(bigquery, v)} IS NOT NULL`, 'NULL']);
  for (const [condition, reason] of reasonBranches(bigquery, v)) branches.push([condition, literal(reason)]);
  return `CASE ${whens(branches)} ELSE 'unparseable' END`;
}

/** A column's text as PostgreSQL wrote it: without the export's prefix, or the length and digest that stand for it. */
function rawText({ nullToken, oversize }: Split, { name, refusals }: ColumnPlan): string {
  const v = column(name);
  const branches = refusals.map((reason): [string, string] => {
    const length = refusalPrefix(nullToken, reason).length;
    return [startsWith(v, nullToken, reason), `SUBSTR(${v}, ${length + 1})`];
  });
  if (oversize) {
    const prefix = oversizePrefix(nullToken);
    const told = `REGEXP_REPLACE(SUBSTR(${v}, ${prefix.length + 1}), r'^([0-9]+):(.*)$', r'\\1 bytes, sha256 \\2')`;
    branches.push([`STARTS_WITH(${v}, ${literal(prefix)})`, told]);
  }
  return branches.length > 0 ? `CASE ${whens(branches)} ELSE ${v} END` : v;
}

const startsWith = (v: string, nullToken: string, reason: Reason): string =>
  `STARTS_WITH(${v}, ${literal(refusalPrefix(nullToken, reason))})`;

const whens = (branches: readonly (readonly [condition: string, result: string])[]): string =>
  branches.map(([condition, result]) => `WHEN ${condition} THEN ${result}`).join(' ');
