import { escapeIdentifier, escapeLiteral, type Client } from 'pg';

/**
 * One canonical text per value, asked of PostgreSQL and of BigQuery by rules that know nothing of the mirror's own: by the
 * kind of thing that a column holds, not by its mapping. What is not listed is compared as the text that PostgreSQL gives it.
 */
type Kind = {
  /** Of `c`, a quoted column. */
  postgres: (c: string) => string;
  bigquery: (c: string) => string;
  /** What is the same value in two writings becomes one. */
  same?: (text: string) => string;
};

const asText = (c: string): string => `CAST(${c} AS STRING)`;
const number: Kind = {
  postgres: (c) => `trim_scale((${c})::numeric)::text`,
  bigquery: (c) => `CAST(${c} AS STRING)`,
};
const json = (postgres: Kind['postgres']): Kind => ({
  postgres,
  // Of NULL it would make the text null, which a JSON null has too.
  bigquery: (c) => `IF(${c} IS NULL, NULL, TO_JSON_STRING(${c}))`,
  same: (text) => JSON.stringify(sorted(JSON.parse(text))),
});
const micros = (difference: (c: string) => string): Kind => ({
  postgres: (c) => `trim_scale(extract(epoch FROM ${c}) * 1000000)::text`,
  bigquery: (c) => `CAST(${difference(c)} AS STRING)`,
});
/** As PostgreSQL writes a value anywhere: by its type's output function, which a cast to text is not for every type. */
export const written = (c: string): string => `CASE WHEN ${c} IS NOT NULL THEN format('%s', ${c}) END`;
const text: Kind = { postgres: written, bigquery: asText };

/** By `typname`; a domain by that of its base. */
const KINDS: Record<string, Kind> = {
  int2: number,
  int4: number,
  int8: number,
  oid: { ...number, postgres: (c) => `${c}::text` },
  money: number,
  // Beyond BigQuery's widest number, text stands in: every digit of it counts.
  numeric: {
    ...number,
    bigquery: (c) => `CAST(${c} AS STRING)`,
    same: (value) => (value.includes('.') ? value.replace(/\.?0+$/u, '') : value),
  },
  // As a number: CAST would drop the sign of -0, as BigQuery's does.
  float4: { postgres: written, bigquery: (c) => c, same: float },
  float8: { postgres: written, bigquery: (c) => c, same: float },
  bool: { postgres: (c) => `${c}::text`, bigquery: asText },
  bytea: { postgres: (c) => `encode(${c}, 'hex')`, bigquery: (c) => `TO_HEX(${c})` },
  json: json((c) => `${c}::text`),
  jsonb: json((c) => `${c}::text`),
  hstore: json((c) => `public.hstore_to_json(${c})::text`),
  time: micros((c) => `TIME_DIFF(${c}, TIME '00:00:00', MICROSECOND)`),
  timestamp: micros((c) => `DATETIME_DIFF(${c}, DATETIME '1970-01-01 00:00:00', MICROSECOND)`),
  timestamptz: micros((c) => `UNIX_MICROS(${c})`),
};

export type Column = { source: string; name: string; kind: Kind };

/** How to compare a column: `category` is PostgreSQL's own `typcategory`. */
export function kindOf(typname: string, category: string): Kind {
  if (category === 'A') return json((c) => `to_json(${c})::text`);
  if (category === 'C') return json((c) => `to_json(${c})::text`);
  return KINDS[typname] ?? text;
}

type Row = readonly (string | null)[];

/** Rows of a table in PostgreSQL, each value as its canonical text. */
export async function postgresRows(client: Client, from: string, columns: readonly Column[]): Promise<Row[]> {
  const list = columns.map(({ source, kind }) => kind.postgres(escapeIdentifier(source)));
  const { rows } = await client.query<(string | null)[]>({
    text: `SELECT ${list.join(', ')} FROM ${from}`,
    rowMode: 'array',
  });
  return rows.map((row) => canonical(row, columns));
}

/** Rows of a table or view in BigQuery, each value as its canonical text. */
export async function bigqueryRows(
  query: (sql: string) => Promise<Record<string, unknown>[]>,
  table: string,
  columns: readonly Column[],
): Promise<Row[]> {
  const list = columns.map(({ name, kind }, i) => `${kind.bigquery(`\`${name}\``)} AS c${i}`);
  const rows = await query(`SELECT ${list.join(', ')} FROM \`${table}\``);
  return rows.map((row) =>
    canonical(
      columns.map((_, i) => {
        const value = row[`c${i}`];
        if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
        if (value !== null && typeof value !== 'string') throw new TypeError(`c${i} of ${table} is no text`);
        return value;
      }),
      columns,
    ),
  );
}

function canonical(row: Row, columns: readonly Column[]): Row {
  return row.map((value, i) => (value === null ? null : (columns[i]?.kind.same?.(value) ?? value)));
}

/** Rows that are in one list more often than in the other; the first few, shortened. */
export function differences(left: readonly Row[], right: readonly Row[]): { onlyLeft: string[]; onlyRight: string[] } {
  const counts = new Map<string, number>();
  for (const row of left) counts.set(JSON.stringify(row), (counts.get(JSON.stringify(row)) ?? 0) + 1);
  for (const row of right) counts.set(JSON.stringify(row), (counts.get(JSON.stringify(row)) ?? 0) - 1);
  const of = (sign: number): string[] =>
    [...counts]
      .filter(([, count]) => sign * count > 0)
      .slice(0, 3)
      .map(([row, count]) => `${Math.abs(count)} × ${row.slice(0, 500)}`);
  return { onlyLeft: of(1), onlyRight: of(-1) };
}

/** The double that a text means; -0 is not 0. */
function float(value: string): string {
  const named = /^([+-]?)(inf|infinity|nan)$/iu.exec(value);
  if (named) return named[2]?.toLowerCase() === 'nan' ? 'NaN' : `${named[1] === '-' ? '-' : ''}Infinity`;
  const double = Number(value);
  return Object.is(double, -0) ? '-0' : String(double);
}

/** With the keys of every object in order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [key, sorted(each)]),
  );
}

/** The columns of a relation with their kinds; `names` gives BigQuery's name for each mirrored one. */
export async function columnsOf(
  client: Client,
  schema: string,
  table: string,
  names: ReadonlyMap<string, string>,
): Promise<Column[]> {
  const { rows } = await client.query<{ source: string; typname: string; category: string }>(
    `SELECT a.attname AS source, coalesce(b.typname, t.typname) AS typname, coalesce(b.typcategory, t.typcategory) AS category
     FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = nullif(t.typbasetype, 0)
     WHERE a.attrelid = format('%I.%I', ${escapeLiteral(schema)}, ${escapeLiteral(table)})::regclass
       AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
  );
  return rows.flatMap(({ source, typname, category }) => {
    const name = names.get(source);
    return name === undefined ? [] : [{ source, name, kind: kindOf(typname, category) }];
  });
}
