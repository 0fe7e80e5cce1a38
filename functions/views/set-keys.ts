import { BigQueryError, getTable, patchTable } from '../cloud/bigquery.ts';
import { environment } from '../environment.ts';
import type { Loaded } from '../ledger/progress.ts';
import { bounded } from '../mirror/bounded.ts';
import { published } from '../mirror/names.ts';
import { tablesOf, type KeyPlan, type Plan } from '../mirror/plan.ts';
import { tableText } from '../mirror/table-pattern.ts';
import type { PublishedTable } from './published-table.ts';
import type { KeysResult } from './result.ts';

/**
 * Primary and foreign keys of the shard's tables, not enforced, for BigQuery's planner. "Load jobs have no constraints", and a
 * copy takes its source's, which are none: they are set on each copy. A foreign key to a table with error rows is left out,
 * since BigQuery would answer wrongly where a key leads nowhere. A key that BigQuery refuses is told, and holds up nothing.
 */
export async function setKeys(
  plan: Plan,
  tables: readonly PublishedTable[],
  { tables: counts }: Loaded,
): Promise<KeysResult> {
  const planned = new Map(tablesOf(plan).map((table) => [table.warehouseTable, table]));
  const nameOf = (name: string): string => tableText(planned.get(name) ?? { schema: '', table: name });
  /** Tables that no key may lead to, and why. */
  const closed = new Map(
    counts
      .filter(({ errors }) => errors > 0)
      .map(({ warehouseTable: name }) => [name, `rows of ${nameOf(name)} are in the errors table`]),
  );
  const result: KeysResult = { primary: 0, foreign: 0, leftOut: [] };
  const keyed = tables.flatMap(({ name }) => planned.get(name) ?? []);
  // A foreign key wants the primary key that it refers to: all primary keys first.
  await bounded(keyed, REQUESTS_AT_ONCE, async (table) => {
    const { warehouseTable, keys } = table;
    if (keys.primaryKey.length === 0) return;
    if (await patchKeys(plan, warehouseTable, { ...keys, foreignKeys: [] })) result.primary += 1;
    else {
      result.leftOut.push({ table: tableText(table), key: 'the primary key', reason: REFUSED });
      closed.set(warehouseTable, `BigQuery refused the primary key of ${tableText(table)}`);
    }
  });
  await bounded(keyed, REQUESTS_AT_ONCE, async (table) => {
    const { warehouseTable, keys } = table;
    const leftOut = (key: string, reason: string): number =>
      result.leftOut.push({ table: tableText(table), key, reason });
    const kept = keys.foreignKeys.filter(({ key, table: target }) => {
      const reason = closed.get(target);
      if (reason !== undefined) leftOut(key, reason);
      return reason === undefined;
    });
    if (kept.length === 0) return;
    if (await patchKeys(plan, warehouseTable, { primaryKey: [], foreignKeys: kept })) result.foreign += kept.length;
    else for (const { key } of kept) leftOut(key, REFUSED);
  });
  result.leftOut.sort((a, b) => `${a.table} ${a.key}`.localeCompare(`${b.table} ${b.key}`));
  return result;
}

/**
 * Takes the foreign keys off the shard's tables of an earlier run of the day: what a copy does to a primary key that others
 * refer to is not documented.
 */
export async function clearForeignKeys(plan: Plan, tables: readonly PublishedTable[]): Promise<void> {
  const { dataset } = plan.config;
  await bounded(tables, REQUESTS_AT_ONCE, async ({ to }) => {
    const current = await getTable(dataset, to);
    if ((current?.tableConstraints?.foreignKeys.length ?? 0) > 0) {
      await patchTable(dataset, to, { tableConstraints: { foreignKeys: [] } });
    }
  });
}

const REQUESTS_AT_ONCE = 32;
const REFUSED = 'BigQuery refused it';

/** False where BigQuery refuses the keys. A kind of keys that is not named stays as it is. */
async function patchKeys(
  plan: Plan,
  name: string,
  { primaryKey, foreignKeys }: Pick<KeyPlan, 'primaryKey' | 'foreignKeys'>,
): Promise<boolean> {
  const { dataset } = plan.config;
  const projectId = environment().GOOGLE_CLOUD_PROJECT;
  const tableConstraints = {
    ...(primaryKey.length > 0 && { primaryKey: { columns: primaryKey } }),
    foreignKeys: foreignKeys.map(({ columns, table, referenced }) => ({
      referencedTable: { projectId, datasetId: dataset, tableId: published(table, plan.shard) },
      columnReferences: columns.map((referencingColumn, i) => ({ referencingColumn, referencedColumn: referenced[i] })),
    })),
  };
  try {
    await patchTable(dataset, published(name, plan.shard), { tableConstraints });
    return true;
  } catch (error) {
    if (error instanceof BigQueryError && error.status === 400) return false;
    throw error;
  }
}
