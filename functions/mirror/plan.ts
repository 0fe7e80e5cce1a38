import { z } from 'zod';
import { ConfigSchema } from './config.ts';
import { DriftSchema } from './drift.ts';
import { isTable } from './table-pattern.ts';
import { REASONS } from './reasons.ts';

/**
 * The plan: what a run will do, written before the first byte moves. Every later step reads it here and nowhere else, so
 * that a deployment in the middle of a run changes nothing for that run.
 */

export const ColumnPlanSchema = z.object({
  /** The name in PostgreSQL, and the one in BigQuery. */
  source: z.string(),
  name: z.string(),
  /** The column's number in the table, which a rename keeps. */
  position: z.number().int().optional(),
  /** As `format_type` gives it, `numeric(10,2)`. */
  postgresType: z.string(),
  bigquery: z.enum([
    'STRING',
    'INT64',
    'FLOAT64',
    'BOOL',
    'BYTES',
    'DATE',
    'TIME',
    'DATETIME',
    'TIMESTAMP',
    'NUMERIC',
    'BIGNUMERIC',
    'JSON',
    'GEOGRAPHY',
  ]),
  required: z.boolean(),
  description: z.string(),
  /** What COPY selects, and for which reasons it may put the refusal's prefix in front of a value. */
  expression: z.string(),
  refusals: z.array(z.enum(REASONS)),
});
export type ColumnPlan = z.infer<typeof ColumnPlanSchema>;

/** One COPY: a relation, or a range of its pages `[from, to)`; `to` null is open-ended. */
export const RangePlanSchema = z.object({
  relation: z.string(),
  from: z.number().int().nullable(),
  to: z.number().int().nullable(),
});
export type RangePlan = z.infer<typeof RangePlanSchema>;

/** Names as in BigQuery; `key` is the constraint's in PostgreSQL. */
export const KeyPlanSchema = z.object({
  /** Empty where there is none. */
  primaryKey: z.array(z.string()),
  foreignKeys: z.array(
    z.object({ key: z.string(), columns: z.array(z.string()), table: z.string(), referenced: z.array(z.string()) }),
  ),
  leftOut: z.array(z.object({ key: z.string(), reason: z.string() })),
});
export type KeyPlan = z.infer<typeof KeyPlanSchema>;

export const TablePlanSchema = z.object({
  /** The catalogue's own number of the table, which a rename keeps. */
  oid: z.number().int().optional(),
  schema: z.string(),
  table: z.string(),
  warehouseTable: z.string(),
  kind: z.enum(['table', 'partitioned table', 'materialized view', 'view', 'foreign table']),
  description: z.string(),
  estimatedRows: z.number(),
  estimatedBytes: z.number(),
  columns: z.array(ColumnPlanSchema).min(1),
  omittedColumns: z.array(z.string()),
  keys: KeyPlanSchema,
  /** Where the table is verified by fingerprint: the columns, as in BigQuery, that it covers and those that it does not. */
  verify: z.object({ covered: z.array(z.string()), notCovered: z.array(z.string()) }).optional(),
  ranges: z.array(RangePlanSchema).min(1),
});
export type TablePlan = z.infer<typeof TablePlanSchema>;

export const ChunkPlanSchema = z.object({ name: z.string(), tables: z.array(TablePlanSchema) });
export type ChunkPlan = z.infer<typeof ChunkPlanSchema>;

export const PlanSchema = z.object({
  version: z.literal(1),
  runId: z.string(),
  shard: z.string(),
  attempt: z.number().int(),
  trigger: z.enum(['scheduled', 'manual']),
  startedAt: z.string(),
  config: ConfigSchema,
  /** The backup that the rows come from; a live database has none. */
  backup: z.object({ id: z.number().int(), createdAt: z.string() }).optional(),
  serverVersion: z.number().int(),
  /** Stands for NULL in this run's CSV; drawn at random, so that no value can equal it. */
  nullToken: z.string(),
  chunks: z.array(ChunkPlanSchema),
  leftOut: z.array(z.object({ schema: z.string(), table: z.string(), reason: z.string() })),
  warnings: z.array(z.string()),
  /** Against the last published run; absent before the first. */
  drift: DriftSchema.optional(),
});
export type Plan = z.infer<typeof PlanSchema>;

export const PartSchema = z.object({
  object: z.string(),
  rows: z.number().int(),
  bytes: z.number().int(),
  crc32c: z.string(),
});
export type Part = z.infer<typeof PartSchema>;

export const ExportedTableSchema = z.object({
  schema: z.string(),
  table: z.string(),
  warehouseTable: z.string(),
  /** By COPY's own tag, over all ranges. */
  rows: z.number().int(),
  bytes: z.number().int(),
  /** Some row is beyond BigQuery's limit: its large values are replaced by length and digest, for the split to find. */
  oversize: z.boolean(),
  /** PostgreSQL's own fingerprint, where the plan asks for one. */
  fingerprint: z.object({ rows: z.number().int(), sums: z.array(z.string()) }).optional(),
  parts: z.array(PartSchema).min(1),
});
export type ExportedTable = z.infer<typeof ExportedTableSchema>;

/** The manifest: a chunk is fully exported. Its object's creation is the event that starts the load. */
export const ManifestSchema = z.object({
  version: z.literal(1),
  runId: z.string(),
  attempt: z.number().int(),
  chunk: z.string(),
  tables: z.array(ExportedTableSchema),
});
export type Manifest = z.infer<typeof ManifestSchema>;

export const MANIFEST_PREFIX = 'chunks/';
export const manifestObject = (runId: string, attempt: number, chunk: string): string =>
  `${MANIFEST_PREFIX}${runId}/${attempt}/${chunk}.json`;

const MANIFEST_OBJECT = /^chunks\/(\d{8}T\d{6}Z)\/(\d+)\/([a-z][a-z0-9-]*)\.json$/u;

/** Run, attempt and chunk of a manifest's object name; undefined for any other object. */
export function parseManifestObject(name: string): { runId: string; attempt: number; chunk: string } | undefined {
  const [, runId, attempt, chunk] = MANIFEST_OBJECT.exec(name) ?? [];
  return runId && attempt && chunk ? { runId, attempt: Number(attempt), chunk } : undefined;
}

export const dataPrefix = (runId: string, attempt: number): string => `data/${runId}/${attempt}/`;

/** All tables of a plan with the chunk that each is in. */
export function tablesOf(plan: Plan): (TablePlan & { chunk: string })[] {
  return plan.chunks.flatMap(({ name, tables }) => tables.map((table) => ({ ...table, chunk: name })));
}

/** The transforms of the plan whose table is in `chunk`, each with its table. */
export function transformsOf(
  plan: Plan,
  chunk: string,
): { transform: Plan['config']['transforms'][number]; table: TablePlan }[] {
  const tables = plan.chunks.find(({ name }) => name === chunk)?.tables ?? [];
  return plan.config.transforms.flatMap((transform) => {
    const table = tables.find((candidate) => isTable(transform.table, candidate));
    return table ? [{ transform, table }] : [];
  });
}
