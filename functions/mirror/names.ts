/**
 * Names on the BigQuery side, all derived from the source's names and the run, so that every step finds what the one
 * before it made without being told.
 *
 * | name                                  | where it lives                                   |
 * |---------------------------------------|--------------------------------------------------|
 * | `<table>_<run>`                       | loading dataset, one run's rows                  |
 * | `<table>_staging_<run>`               | loading dataset, all-STRING rows of a refused table |
 * | `<table>_errors_<run>`                | loading dataset, rows that BigQuery cannot hold  |
 * | `<table>_transformed_<run>`           | loading dataset, a transformer's twin            |
 * | `<table>_<shard>`, `<table>_transformed_<shard>` | published                             |
 * | `<table>`, `<table>_transformed`      | the views that analysts read                     |
 * | `commons_mirror_errors_<shard>`, `commons_mirror_sli` | published, the mirror's own tables |
 */

export const SLI_TABLE = 'commons_mirror_sli';
export const errorsTable = (shard: string): string => `commons_mirror_errors_${shard}`;
export const loadingDataset = (dataset: string): string => `${dataset}_loading`;

/** Where a table's rows are, by purpose, before publication. */
export const loaded = (table: string, runId: string): string => `${table}_${runId}`;
export const staged = (table: string, runId: string): string => `${table}_staging_${runId}`;
export const refused = (table: string, runId: string): string => `${table}_errors_${runId}`;
export const twinOf = (table: string): string => `${table}_transformed`;
export const published = (table: string, shard: string): string => `${table}_${shard}`;

/**
 * The BigQuery id of a source table: `members` for `public.members`, `care__teams` for `care.teams`.
 *
 * Injective by construction, so that one table's name never changes because another table appears. BigQuery allows
 * letters, marks, numbers, connectors, dashes and spaces (≤ 1,024 bytes; PostgreSQL's ≤ 63 bytes each stay far below).
 * What is escaped as `-<code point in hex>-`:
 *  - every character other than a letter, mark, number or underscore, the dash itself included;
 *  - an underscore that follows one, since `__` separates schema and table;
 *  - a last underscore: a schema's, since the separator starts at the first `__`; and a table's, since `s_` would be published
 *    as `s__20260101`, which is the table `20260101` of the schema `s`;
 *  - the underscore of an ending that the mirror itself appends, so that a source's `x_20260101` or `x_transformed`
 *    cannot meet the mirror's own;
 *  - the first underscore of `commons_mirror_…`.
 */
export function warehouseTable(schema: string, table: string): string {
  const name = encodeTable(table);
  if (schema === 'public') return name;
  return `${encode(schema)}__${name}`;
}

const OWN_ENDING = /_(?=(?:\d{8}|\d{8}T\d{6}Z|transformed|errors|staging)$)/u;

function encodeTable(name: string): string {
  return encode(name)
    .replace(OWN_ENDING, '-5f-')
    .replace(/^commons_mirror_/u, 'commons-5f-mirror_');
}

function encode(name: string): string {
  return name
    .replace(/[^\p{L}\p{M}\p{N}_]/gu, (character) => `-${(character.codePointAt(0) ?? 0).toString(16)}-`)
    .replace(/(?<=_)_|_$/gu, '-5f-');
}

/** BigQuery: "Column names cannot use any of the following prefixes" (any case). */
const RESERVED_PREFIX = /^(?:_TABLE_|_FILE_|_PARTITION|_ROW_TIMESTAMP|__ROOT__|_COLIDENTIFIER|_CHANGE_)/iu;

/**
 * BigQuery column names for one table's columns, in the same order. Letters, marks, numbers and underscores stay; all
 * else becomes `_`. "Duplicate column names are not allowed even if the case differs": only such a clash within the
 * table adds a suffix `_2`, `_3`, … to the later column.
 */
export function columnNames(names: readonly string[]): string[] {
  const plain = names.map(columnName);
  const wanted = new Set(plain.map(fold));
  const taken = new Set<string>();
  return plain.map((name) => {
    let candidate = name;
    for (let n = 2; taken.has(fold(candidate)) || (candidate !== name && wanted.has(fold(candidate))); n++) {
      candidate = `${name}_${n}`;
    }
    taken.add(fold(candidate));
    return candidate;
  });
}

const fold = (name: string): string => name.toLowerCase();

function columnName(name: string): string {
  const plain = name.replace(/[^\p{L}\p{M}\p{N}_]/gu, '_');
  // "A column name must start with a letter or underscore."
  return /^[\p{M}\p{N}]/u.test(plain) || RESERVED_PREFIX.test(plain) ? `_${plain}` : plain;
}

/** A run's id: its start in UTC to the second, `20261122T030000Z`. */
export function runIdOf(start: Date): string {
  return `${start
    .toISOString()
    .replace(/[-:]/gu, '')
    .replace(/\.\d+Z$/u, '')}Z`;
}

export function startOf(runId: string): Date {
  const [, y, m, d, h, i, s] = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/u.exec(runId) ?? [];
  return new Date(`${y}-${m}-${d}T${h}:${i}:${s}Z`);
}

/** The date that a run is for, `YYYYMMDD` in the configured IANA time zone. */
export function shardOf(start: Date, timeZone: string): string {
  const parts = new Intl.DateTimeFormat('en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' });
  return parts.format(start).replaceAll('-', '');
}

/** A loading table lives two days (the loading dataset's default expiration), and so does the run's data. */
export const DATA_LIFETIME_MS = 2 * 24 * 60 * 60 * 1000;

/** The two buckets, named as Terraform names them. Bucket names are global: the project's name makes them unique. */
export const bucketsOf = (project: string): { data: string; ledger: string } => ({
  data: `${project}-mirror-data`,
  ledger: `${project}-mirror-ledger`,
});
