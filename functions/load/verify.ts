import { encryption, resultOf, type JobConfiguration } from '../cloud/bigquery.ts';
import { jobId, ended, submit, succeeded } from '../cloud/jobs.ts';
import { PermanentError } from '../mirror/errors.ts';
import { isCovered, loadedFingerprint } from '../mirror/fingerprint.ts';
import { loaded, loadingDataset, refused } from '../mirror/names.ts';
import type { ExportedTable, Plan, TablePlan } from '../mirror/plan.ts';
import { table as tableName } from '../mirror/sql.ts';
import { tableText } from '../mirror/table-pattern.ts';

/**
 * Holds PostgreSQL's fingerprint of a table against BigQuery's, over the loaded rows and the error rows' raw texts. Gives the number
 * of columns that agree, or undefined where there is nothing to verify. Throws where they differ, naming columns, never values.
 */
export async function verified(
  {
    plan,
    chunk,
    table,
    exported,
    generation,
    deadline,
  }: {
    plan: Plan;
    chunk: string;
    table: TablePlan;
    exported: ExportedTable;
    generation: number;
    deadline: number;
  },
  hasErrors: boolean,
): Promise<number | undefined> {
  const { fingerprint: source, warehouseTable } = exported;
  if (!source) return undefined;
  const { runId, config } = plan;
  const columns = table.columns.filter(isCovered);
  const named = (id: string): string => tableName(config.project, loadingDataset(config.dataset), id);
  const errors = hasErrors ? named(refused(warehouseTable, runId)) : undefined;
  const query = loadedFingerprint(columns, table.columns, named(loaded(warehouseTable, runId)), errors);
  const key = encryption();
  const configuration: JobConfiguration = {
    // The result's own table is encrypted too: of a single row, a sum is a digest of its value.
    query: {
      useLegacySql: false,
      useQueryCache: false,
      query,
      ...(key && { destinationEncryptionConfiguration: key }),
    },
  };
  const id = await submit({ id: jobId('verify', runId, warehouseTable, generation), configuration });
  succeeded(id, await ended(id, deadline));
  const { n, ...sums } = await resultOf(id);
  const differing = columns.filter((_, i) => sums[`s${i}`] !== source.sums[i]).map(({ name }) => name);
  const rowsDiffer = sums[`s${columns.length}`] !== source.sums[columns.length];
  if (String(source.rows) === n && differing.length === 0 && !rowsDiffer) return columns.length;
  const what = differing.length > 0 ? `in ${differing.join(', ')}` : 'in which values stand in one row';
  throw new PermanentError(
    `${tableText(table)}: the fingerprints of PostgreSQL and BigQuery differ ${what}; ${source.rows} and ${String(n)} rows. ` +
      `Next: commons-mirror retry ${runId} load ${chunk} --redo; if it repeats, start a new run`,
  );
}
