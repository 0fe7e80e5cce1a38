import { z } from 'zod';
import type { Config } from './config.ts';
import type { Plan, TablePlan } from './plan.ts';
import { matches, tablePattern, tableText } from './table-pattern.ts';

/** What has changed in the source since the run that analysts read, by the plans of both. */

const Standing = z.object({ schema: z.string(), table: z.string(), warehouseTable: z.string(), shard: z.string() });
/** A table that the source no longer has, and whose view stays on the last shard that has it. */
export type Standing = z.infer<typeof Standing>;

export const DriftSchema = z.object({
  /** The published run that this one is held against. */
  since: z.string(),
  changes: z.array(z.string()),
  /** Named in every run until mirror.yaml selects the name no more. */
  standing: z.array(Standing),
});
export type Drift = z.infer<typeof DriftSchema>;

/** As much of an earlier plan as is compared; plans of earlier versions had less in them. */
export const EarlierPlanSchema = z.object({
  runId: z.string(),
  shard: z.string(),
  chunks: z.array(
    z.object({
      tables: z.array(
        z.object({
          oid: z.number().optional(),
          schema: z.string(),
          table: z.string(),
          warehouseTable: z.string(),
          columns: z.array(z.object({ source: z.string(), postgresType: z.string(), position: z.number().optional() })),
          omittedColumns: z.array(z.string()),
        }),
      ),
    }),
  ),
  drift: z.object({ standing: z.array(Standing) }).optional(),
});
export type EarlierPlan = z.infer<typeof EarlierPlanSchema>;
type EarlierTable = EarlierPlan['chunks'][number]['tables'][number];

export function driftSince(before: EarlierPlan, now: Plan): Drift {
  const earlier = before.chunks.flatMap(({ tables }) => tables);
  const tables = now.chunks.flatMap(({ tables }) => tables);
  const isNow = (table: { warehouseTable: string }): boolean =>
    tables.some(({ warehouseTable }) => warehouseTable === table.warehouseTable);
  const successors = new Map(
    earlier.flatMap((table) => {
      const successor = tables.find(({ oid }) => oid !== undefined && oid === table.oid);
      const isRenamed = !isNow(table) && successor && !earlier.some((each) => isSame(each, successor));
      return isRenamed ? [[table, successor] as const] : [];
    }),
  );
  const renamed = new Set(successors.values());
  const changes = [
    ...[...successors].flatMap(([table, successor]) => [
      `${tableText(table)} is now ${tableText(successor)}`,
      ...columnChanges(table, successor),
    ]),
    ...tables.flatMap((table) => {
      if (renamed.has(table)) return [];
      const old = earlier.find((each) => isSame(each, table));
      return old ? columnChanges(old, table) : [`${tableText(table)}: new`];
    }),
    ...earlier
      .filter((table) => !isNow(table) && !successors.has(table))
      .map((table) => `${tableText(table)}: ${isSelected(now.config, table) ? 'gone' : 'left out by mirror.yaml now'}`),
  ];
  const known = [
    ...earlier.map(({ schema, table, warehouseTable }) => ({ schema, table, warehouseTable, shard: before.shard })),
    ...(before.drift?.standing ?? []),
  ];
  const standing = known.filter((table) => !isNow(table) && isSelected(now.config, table));
  return { since: before.runId, changes, standing };
}

const isSame = (one: { warehouseTable: string }, other: { warehouseTable: string }): boolean =>
  one.warehouseTable === other.warehouseTable;

/** A column is the same one by its number, which a rename keeps; by its name where a plan has no numbers. */
function columnChanges(before: EarlierTable, now: TablePlan): string[] {
  const name = (column: string): string => `${tableText(now)}.${column}`;
  const sameOf = ({ source, position }: EarlierTable['columns'][number]) =>
    now.columns.find((each) => (position === undefined ? each.source === source : each.position === position));
  const kept = new Set(before.columns.map(sameOf));
  const wasKnown = (column: string): boolean =>
    before.omittedColumns.includes(column) || before.columns.some(({ source }) => source === column);
  return [
    ...before.columns.flatMap((column) => {
      const same = sameOf(column);
      if (!same) {
        const isOmitted = now.omittedColumns.includes(column.source);
        return [`${name(column.source)}: ${isOmitted ? 'left out by mirror.yaml now' : 'gone'}`];
      }
      return [
        ...(same.source === column.source ? [] : [`${name(column.source)} is now ${same.source}`]),
        ...(same.postgresType === column.postgresType
          ? []
          : [`${name(same.source)}: ${column.postgresType} is now ${same.postgresType}, ${same.bigquery} in BigQuery`]),
      ];
    }),
    ...now.columns
      .filter((column) => !kept.has(column))
      .map(({ source, postgresType, bigquery }) => {
        const isListed = before.omittedColumns.includes(source);
        return `${name(source)}: ${isListed ? 'mirrored now' : 'new'}, ${postgresType}, ${bigquery} in BigQuery`;
      }),
    ...now.omittedColumns
      .filter((column) => !wasKnown(column))
      .map((column) => `${name(column)}: new, and left out until mirror.yaml lists it`),
  ];
}

/** Whether mirror.yaml would take a table of that name, if there were one. */
function isSelected({ chunks, builder }: Config, table: { schema: string; table: string }): boolean {
  const isMatch = (text: string): boolean => matches(tablePattern(text), table);
  return builder.some(isMatch) || chunks.some(({ tables, except }) => tables.some(isMatch) && !except.some(isMatch));
}

/** For a person: as much as a message holds. */
export function driftText({ since, changes, standing }: Drift): string {
  const shown = changes.length > 30 ? [...changes.slice(0, 30), `and ${changes.length - 30} more`] : changes;
  const views = standing.map(({ warehouseTable, shard }) => `The view ${warehouseTable} stays on shard ${shard}.`);
  return [`The source has changed since run ${since}:`, ...shown, ...views.slice(0, 20)].join('\n');
}
