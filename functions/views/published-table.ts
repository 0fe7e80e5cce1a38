import type { Loaded } from '../ledger/progress.ts';
import { loaded, published } from '../mirror/names.ts';
import { tablesOf, type Plan } from '../mirror/plan.ts';
import type { TransformOutput } from '../transform/result.ts';

/** One table on its way into the analysts' dataset. */
export type PublishedTable = {
  /** Id without run or shard, and the view's name: `members`, `notes_transformed`. */
  name: string;
  /** In the loading dataset. */
  from: string;
  /** In the analysts' dataset. */
  to: string;
  rows: number;
  description: string;
};

/** Every loaded table and every twin of a run. */
export function publishedTables(plan: Plan, { tables }: Loaded, outputs: readonly TransformOutput[]): PublishedTable[] {
  const descriptions = new Map(tablesOf(plan).map((table) => [table.warehouseTable, describe(table)]));
  const table = (name: string, rows: number, description: string): PublishedTable => {
    return { name, from: loaded(name, plan.runId), to: published(name, plan.shard), rows, description };
  };
  return [
    ...tables.map(({ warehouseTable, loaded: rows }) =>
      table(warehouseTable, rows, descriptions.get(warehouseTable) ?? ''),
    ),
    ...outputs.map(({ output, rows, table: source }) => table(output, rows, `${source}, transformed`)),
  ];
}

/** BigQuery: a table description holds up to 16,384 characters. The original name is always told. */
function describe({ schema, table, description }: { schema: string; table: string; description: string }): string {
  return [`PostgreSQL: ${schema}.${table}`, description].filter(Boolean).join('\n').slice(0, 16_384);
}
