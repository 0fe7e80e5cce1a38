import { LineCounter, parseDocument, type Document } from 'yaml';
import { z } from 'zod';
import { ConfigurationError } from './errors.ts';
import { PatternText } from './table-pattern.ts';

/**
 * mirror.yaml: what is mirrored, in one file that the code and Terraform read. Secrets are not in it: they come from the
 * environment. Every object is strict, so that a misspelt key is a fault and not a silent default.
 */

const fraction = z.number().min(0).max(1);
const tableName = PatternText.refine((text) => !text.replaceAll(/"(?:[^"]|"")+"/gu, '').includes('*'), {
  message: 'one table, without *',
});
const distinct = (list: readonly unknown[]): boolean => new Set(list).size === list.length;

const Columns = z.union([
  z.strictObject({
    only: z.array(z.string()).min(1).describe('Columns to mirror; a new column stays out until listed'),
  }),
  z.strictObject({ except: z.array(z.string()).min(1).describe('Columns to leave out') }),
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
        .refine(distinct, 'each format once'),
    )
    .describe('Column name to formats; each format becomes a column <name>_<format> of <table>_transformed'),
});

const Source = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('url'),
    connections: z.int().min(1).max(16).default(4).describe('Connections that export in parallel'),
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
        name: z.string().regex(/^[a-z][a-z0-9-]{0,40}$/u, 'lower-case letters, digits and dashes'),
        tables: z.array(PatternText).min(1),
        except: z.array(PatternText).default([]),
      }),
    )
    .default([])
    .refine((chunks) => distinct(chunks.map(({ name }) => name)), 'each chunk name once')
    .refine((chunks) => !chunks.some(({ name }) => name === 'builder'), 'the name builder belongs to the Builder list')
    .describe('Tables that are loaded together; patterns allowed'),
  builder: z
    .array(tableName)
    .default([])
    .refine(distinct, 'each table once')
    .describe('Builder tables: an explicit list, each must exist; exported as the chunk "builder"'),
  columns: z.record(tableName, Columns).default({}).describe('Columns to mirror, per table; all when not listed'),
  transforms: z
    .array(DraftTransform)
    .default([])
    .refine((list) => distinct(list.map(({ table }) => table)), 'each table once'),
  coverage: z
    .strictObject({
      total: fraction.default(0.999).describe('Least coverage over all tables'),
      perTable: fraction.default(0.99).describe('Least coverage of a table without a threshold of its own'),
      tables: z.record(tableName, fraction).default({}),
    })
    .default({ total: 0.999, perTable: 0.99, tables: {} })
    .describe('Below a threshold, a run is blocked until a person accepts its coverage'),
  keepDays: z.int().min(1).max(3650).default(30).describe('Days that a superseded shard is kept'),
});

export type Config = z.infer<typeof ConfigSchema>;

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/** A place in mirror.yaml and what is wrong there. */
export type Fault = { path: readonly PropertyKey[]; message: string };

/** The parsed file, kept so that faults found later, against the database, can name their line. */
export type ConfigFile = { config: Config; file: string; source: string };

/** Parses mirror.yaml. Throws one ConfigurationError that names every fault with its line, what was found and what is allowed. */
export function parseConfig(source: string, file: string): ConfigFile {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, uniqueKeys: true });
  if (document.errors.length > 0) {
    throw new ConfigurationError(
      [
        `${file} is not valid YAML:`,
        ...document.errors.map(({ pos, message }) => `  line ${lines.linePos(pos[0]).line}: ${message.split('\n')[0]}`),
      ].join('\n'),
    );
  }
  const parsed = ConfigSchema.safeParse(document.toJS() ?? {});
  if (!parsed.success) throw configFaults({ file, source }, parsed.error.issues.flatMap(faultsOf));
  if (parsed.data.chunks.length === 0 && parsed.data.builder.length === 0) {
    throw configFaults({ file, source }, [
      { path: [], message: 'chunks: no table is listed, neither here nor in builder' },
    ]);
  }
  return { config: parsed.data, file, source };
}

/** One error that names all of `faults`, each with its line and what was found there. */
export function configFaults({ file, source }: { file: string; source: string }, faults: Fault[]): ConfigurationError {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines });
  const told = faults.map(({ path, message }) => {
    const { line, found } = locate(document, lines, path);
    return `  line ${line}: ${path.length > 0 ? `${path.map(String).join('.')}: ` : ''}${message}${found}`;
  });
  return new ConfigurationError(
    `${file} has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n${told.join('\n')}`,
  );
}

function locate(
  document: Document.Parsed,
  lines: LineCounter,
  path: readonly PropertyKey[],
): { line: number; found: string } {
  for (let depth = path.length; depth >= 0; depth--) {
    const node: unknown = document.getIn(path.slice(0, depth), true);
    if (typeof node !== 'object' || node === null || !('range' in node) || !Array.isArray(node.range)) continue;
    const start: unknown = node.range[0];
    if (typeof start !== 'number') continue;
    const scalar = depth === path.length && 'value' in node ? JSON.stringify(node.value) : undefined;
    return { line: lines.linePos(start).line, found: scalar === undefined ? '' : `; found ${scalar}` };
  }
  return { line: 1, found: '' };
}

type Issue = z.core.$ZodIssue;

function faultsOf(issue: Issue): Fault[] {
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({ path: [...issue.path, key], message: 'unknown key' }));
    case 'invalid_type':
      return [
        {
          path: issue.path,
          message:
            issue.input === undefined ? `missing or empty; wanted: ${issue.expected}` : `wanted: ${issue.expected}`,
        },
      ];
    case 'invalid_value':
      return [{ path: issue.path, message: `allowed: ${issue.values.map(String).join(', ')}` }];
    case 'invalid_format':
      return [{ path: issue.path, message: `wanted: ${issue.message}` }];
    case 'invalid_union': {
      const [first] = issue.errors.toSorted((a, b) => a.length - b.length);
      const nested = (first ?? []).flatMap(faultsOf);
      return nested.length > 0
        ? nested.map(({ path, message }) => ({ path: [...issue.path, ...path], message }))
        : [{ path: issue.path, message: 'wanted: one of the forms in mirror.schema.json' }];
    }
    case 'invalid_key':
      return issue.issues.flatMap(faultsOf).map(({ message }) => ({ path: issue.path, message }));
    default:
      return [{ path: issue.path, message: `wanted: ${issue.message}` }];
  }
}
