import { z } from 'zod';
import { check, configFaults, readYaml } from './config-faults.ts';
import { PatternText, tableOf, tableText } from './table-pattern.ts';

/**
 * mirror.yaml: what is mirrored, in one file that the code and Terraform read. Secrets are not in it: they come from the
 * environment. Every object is strict, so that a misspelt key is a fault and not a silent default.
 */

const fraction = z.number().min(0).max(1);
const tableName = PatternText.refine((text) => !text.replaceAll(/"(?:[^"]|"")+"/gu, '').includes('*'), {
  message: 'one table, without *',
});

/** Each entry's key only once in a list; every repetition is a fault at its own place. */
function once<T>(what: string, keyOf: (entry: T) => string, place: PropertyKey[] = []) {
  return ({ value, issues }: z.core.ParsePayload<T[]>): void => {
    for (const [i, entry] of value.entries()) {
      const key = keyOf(entry);
      if (!value.slice(0, i).some((earlier) => keyOf(earlier) === key)) continue;
      issues.push({ code: 'custom', message: `each ${what} once`, path: [i, ...place], input: key });
    }
  };
}

/** `"public"."members"` and `public.members` are one table. */
function eachTableOnce<T>({ value, issues }: z.core.ParsePayload<Record<string, T>>): void {
  const tables = Object.keys(value);
  for (const [i, text] of tables.entries()) {
    if (!tables.slice(0, i).some((earlier) => tableKey(earlier) === tableKey(text))) continue;
    issues.push({ code: 'custom', message: 'each table once', path: [text], input: tableKey(text) });
  }
}

const tableKey = (text: string): string => tableText(tableOf(text));

const as = z
  .record(z.string(), z.enum(['string', 'geography']))
  .describe(
    'Columns to take as another type. string: as PostgreSQL writes them; what no other type holds then stays in the table. ' +
      'geography: PostGIS values as GEOGRAPHY, which BigQuery snaps and re-orients',
  );

const Columns = z.union([
  z.strictObject({
    only: z.array(z.string()).min(1).describe('Columns to mirror; a new column stays out until listed'),
    as: as.optional(),
  }),
  z.strictObject({ except: z.array(z.string()).min(1).describe('Columns to leave out'), as: as.optional() }),
  z.strictObject({ as }),
]);

const DraftTransform = z.strictObject({
  transformer: z.literal('draftjs').describe('Draft.js raw content to text, Markdown or HTML'),
  table: tableName,
  columns: z
    .record(
      z.string(),
      z
        .array(z.enum(['text', 'markdown', 'html']))
        .min(1)
        .check(once('format', String)),
    )
    .describe('Column name to formats; each format becomes a column <name>_<format> of <table>_transformed'),
});

const connections = z.int().min(1).max(16).default(4).describe('Connections that export in parallel');
const aptibleHandle = z.string().regex(/^[a-z0-9._-]{1,64}$/u, "a handle: lower-case letters, digits, '-', '_', '.'");

const Source = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('url'),
    connections,
  }),
  z.strictObject({
    type: z.literal('aptible'),
    environment: aptibleHandle.describe('Handle of the environment that the database is in'),
    database: aptibleHandle.describe('Handle of the database whose backup is restored; itself it is never touched'),
    restoreInto: aptibleHandle
      .optional()
      .describe('Handle of the environment for the temporary database; without it, the same one'),
    backup: z
      .enum(['auto', 'newest', 'create'])
      .default('auto')
      .describe('Which backup: newest, a new one, or auto: a new one where the newest is too old or published already'),
    maxBackupAgeHours: z.number().min(1).max(720).default(12).describe('The age from which a backup is too old'),
    containerMb: z
      .int()
      .min(512)
      .optional()
      .describe("Memory of the temporary database; without it, Aptible's default"),
    diskGb: z.int().min(1).optional().describe("Disk of the temporary database; without it, the backed-up one's"),
    connections,
    sessions: z.int().min(1).max(8).default(2).describe('SSH sessions that share the connections'),
    tlsName: z
      .string()
      .min(1)
      .optional()
      .describe("Name in the database's certificate; without it, localhost.<the stack's internal domain>"),
  }),
]);

export const ConfigSchema = z.strictObject({
  project: z
    .string()
    .regex(/^[a-z][a-z0-9-]{4,28}[a-z0-9]$/u, 'a Google Cloud project id')
    .describe('Google Cloud project id'),
  region: z
    .string()
    .regex(/^[a-z]+-[a-z]+\d+$/u, 'a region such as us-central1')
    .describe('Region of the functions, the job and the scheduler'),
  location: z
    .string()
    .regex(/^(?:US|EU|[a-z]+-[a-z]+\d+)$/u, 'US, EU or a region such as us-central1')
    .describe('Location of the datasets, buckets and keys'),
  dataset: z
    .string()
    .regex(/^[A-Za-z0-9_]{1,900}$/u, 'letters, digits and underscores')
    .describe('The dataset that analysts read; runs load into <dataset>_loading'),
  timeZone: z
    .string()
    .refine(isTimeZone, 'an IANA time zone such as America/New_York')
    .default('UTC')
    .describe("Time zone of the schedule and of the shard's date"),
  schedule: z
    .string()
    .regex(/^\S+(?: \S+){4}$/u, 'five cron fields')
    .default('0 3,15 * * *')
    .describe('When runs start, in cron form'),
  source: Source.default({ type: 'url', connections: 4 }).describe(
    'Where the rows come from; the URL is the secret SOURCE_URL',
  ),
  chunks: z
    .array(
      z.strictObject({
        name: z
          .string()
          .regex(/^[a-z][a-z0-9-]{0,40}$/u, 'lower-case letters, digits and dashes')
          .refine((name) => name !== 'builder', 'another name; builder is the chunk of the Builder tables'),
        tables: z.array(PatternText).min(1),
        except: z.array(PatternText).default([]),
      }),
    )
    .default([])
    .check(once('chunk name', ({ name }) => name, ['name']))
    .describe('Tables that are loaded together; patterns allowed'),
  builder: z
    .array(tableName)
    .default([])
    .check(once('table', tableKey))
    .describe('Builder tables: an explicit list, each must exist; exported as the chunk "builder"'),
  columns: z
    .record(tableName, Columns)
    .check(eachTableOnce)
    .default({})
    .describe('Columns to mirror, per table, and which of them as text; all when not listed'),
  transforms: z
    .array(DraftTransform)
    .default([])
    .check(once('table', ({ table }) => tableKey(table), ['table'])),
  coverage: z
    .strictObject({
      total: fraction.default(0.999).describe('Least coverage over all tables'),
      perTable: fraction.default(0.99).describe('Least coverage of a table without a threshold of its own'),
      tables: z.record(tableName, fraction).check(eachTableOnce).default({}),
    })
    .default({ total: 0.999, perTable: 0.99, tables: {} })
    .describe('Below a threshold, a run is blocked until a person accepts its coverage'),
  verify: z
    .union([z.literal('all'), z.array(tableName).check(once('table', tableKey))])
    .default([])
    .describe(
      'Tables whose values are verified by fingerprint, or all: one more read of each, in PostgreSQL and in BigQuery',
    ),
  keepDays: z.int().min(1).max(3650).default(30).describe('Days that a superseded shard is kept'),
});

export type Config = z.infer<typeof ConfigSchema>;

const timeZones = new Map<string, boolean>();

/** Each name is asked for once: a run's plan holds its configuration, and is read at every event. */
function isTimeZone(name: string): boolean {
  const known = timeZones.get(name) ?? existsTimeZone(name);
  timeZones.set(name, known);
  return known;
}

function existsTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/** The parsed file, kept so that faults found later, against the database, can name their line. */
export type ConfigFile = { config: Config; file: string; source: string };

/** Parses mirror.yaml. Throws one ConfigurationError that names every fault with its line, what was found and what is allowed. */
export function parseConfig(source: string, file: string): ConfigFile {
  const checked = check(ConfigSchema, readYaml({ file, source }) ?? {});
  if ('faults' in checked) throw configFaults({ file, source }, checked.faults);
  const config = checked.value;
  if (config.chunks.length === 0 && config.builder.length === 0) {
    throw configFaults({ file, source }, [
      { path: [], message: 'no table is listed, neither in chunks nor in builder' },
    ]);
  }
  return { config, file, source };
}
