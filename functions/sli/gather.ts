import type { Loaded } from '../ledger/progress.ts';
import { coverage, totalOf, type Counts } from '../mirror/coverage.ts';
import { errorsTable, loadingDataset, refused, SLI_TABLE } from '../mirror/names.ts';
import type { Plan } from '../mirror/plan.ts';
import { literal, table } from '../mirror/sql.ts';

/** BigQuery: "A query can reference up to 1,000 tables"; a script's statements count one by one. */
const TABLES_PER_INSERT = 500;
/** BigQuery: "an unresolved GoogleSQL query can be up to 1 MB long"; a line here is below 500 bytes. */
const ROWS_PER_INSERT = 1000;

const ERROR_COLUMNS = 'run_id, source_schema, source_table, part, failures, raw_row';
const SLI_COLUMNS = 'run_id, shard, source_schema, source_table, loaded, errors, coverage, measured_at';

/**
 * One transaction: the run's rows in both tables are replaced as a whole. Rows of the shard's other runs stay, and a repeat
 * changes nothing. "At most 2 mutating statements per table at once": never one per source table.
 */
export function gather(plan: Plan, { tables, at }: Loaded): string {
  const { project, dataset } = plan.config;
  const errors = table(project, dataset, errorsTable(plan.shard));
  const sli = table(project, dataset, SLI_TABLE);
  const ofRun = `WHERE run_id = ${literal(plan.runId)}`;
  const withErrors = tables.filter((counts) => counts.errors > 0);
  const line = (names: string, counts: Counts): string =>
    `(${literal(plan.runId)}, ${literal(plan.shard)}, ${names}, ${counts.loaded}, ${counts.errors}, ${coverage(counts)}, TIMESTAMP ${literal(at)})`;
  const lines = [
    ...tables.map((counts) => line(`${literal(counts.schema)}, ${literal(counts.table)}`, counts)),
    line('NULL, NULL', totalOf(tables)),
  ];
  return [
    'BEGIN TRANSACTION',
    `DELETE FROM ${errors} ${ofRun}`,
    ...batches(withErrors, TABLES_PER_INSERT).map((batch) => {
      const selects = batch.map(({ warehouseTable }) => {
        const source = table(project, loadingDataset(dataset), refused(warehouseTable, plan.runId));
        return `SELECT ${ERROR_COLUMNS} FROM ${source}`;
      });
      return `INSERT INTO ${errors} (${ERROR_COLUMNS})\n${selects.join('\nUNION ALL\n')}`;
    }),
    `DELETE FROM ${sli} ${ofRun}`,
    ...batches(lines, ROWS_PER_INSERT).map(
      (batch) => `INSERT INTO ${sli} (${SLI_COLUMNS}) VALUES\n${batch.join(',\n')}`,
    ),
    'COMMIT TRANSACTION',
  ]
    .map((statement) => `${statement};\n`)
    .join('');
}

function batches<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}
