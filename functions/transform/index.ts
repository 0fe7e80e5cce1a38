import { encryption, getTable } from '../cloud/bigquery.ts';
import { jobId, run } from '../cloud/jobs.ts';
import { log } from '../cloud/log.ts';
import { publish } from '../cloud/pubsub.ts';
import { deliver, type Context, type Delivery } from '../deliver.ts';
import { mark, markerOf } from '../ledger/markers.ts';
import { planOf, refuseExpired } from '../ledger/run.ts';
import { bounded } from '../mirror/bounded.ts';
import { PermanentError } from '../mirror/errors.ts';
import { parseCompletion, TOPICS, type Completion, type PubSubEvent } from '../mirror/messages.ts';
import { loaded, loadingDataset, twinOf } from '../mirror/names.ts';
import { transformsOf, type Plan, type TablePlan } from '../mirror/plan.ts';
import { tableText } from '../mirror/table-pattern.ts';
import { TransformResultSchema, type TransformOutput } from './result.ts';
import { draftStatement } from './draft-statement.ts';

/**
 * A chunk is loaded: make the transformed twin of each of its tables that has a transformer. The work is a query, so that
 * it scales with BigQuery and no row passes through this function. Rows out = rows in, or the step fails.
 */
export const transform = (event: PubSubEvent): Promise<void> => deliver(delivery, event);

const delivery: Delivery<Completion> = {
  step: 'transform',
  parse: parseCompletion,
  target: ({ body }) => (body.step === 'load' && body.chunk ? { runId: body.runId, subject: body.chunk } : undefined),
  work: async ({ runId, subject: chunk = '' }, context) => {
    const plan = await planOf(runId);
    const transforms = transformsOf(plan, chunk);
    if (transforms.length === 0) return;
    if (!(await markerOf(runId, 'transform', chunk, TransformResultSchema))) {
      refuseExpired(plan);
      const outputs = await bounded(transforms, 4, (each) => makeTwin(plan, chunk, each, context));
      const { generation, startedAt } = context;
      const endedAt = new Date().toISOString();
      await mark(runId, 'transform', chunk, TransformResultSchema, {
        generation,
        startedAt,
        endedAt,
        result: { outputs },
      });
      log.info('Chunk transformed', { tables: outputs.length });
    }
    const completion: Completion = { step: 'transform', runId, shard: plan.shard, chunk };
    await publish(TOPICS.completions, completion);
  },
};

async function makeTwin(
  plan: Plan,
  chunk: string,
  { transform, table }: { transform: Plan['config']['transforms'][number]; table: TablePlan },
  { generation, deadline }: Context,
): Promise<TransformOutput> {
  const dataset = loadingDataset(plan.config.dataset);
  const source = loaded(table.warehouseTable, plan.runId);
  const output = twinOf(table.warehouseTable);
  const target = loaded(output, plan.runId);
  const query = draftStatement(
    plan.config.project,
    dataset,
    source,
    target,
    table,
    transform.columns,
    encryption()?.kmsKeyName,
  );
  await run(
    {
      id: jobId('transform', plan.runId, table.warehouseTable, generation),
      configuration: { query: { useLegacySql: false, query } },
      stands: async () => (await getTable(dataset, target)) !== undefined,
    },
    deadline,
  );
  const [before, after] = await Promise.all([getTable(dataset, source), getTable(dataset, target)]);
  if (!before || !after || before.numRows !== after.numRows) {
    throw new PermanentError(
      `${tableText(table)}: the transform read ${before?.numRows ?? 'no'} rows and wrote ${after?.numRows ?? 'none'}. ` +
        `Next: commons-mirror retry ${plan.runId} transform ${chunk} --redo`,
    );
  }
  return { name: transform.transformer, table: tableText(table), output, rows: after.numRows };
}
