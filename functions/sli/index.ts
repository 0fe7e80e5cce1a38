import { encryption, insertTable } from '../cloud/bigquery.ts';
import { jobId, run } from '../cloud/jobs.ts';
import { log } from '../cloud/log.ts';
import { publish } from '../cloud/pubsub.ts';
import { deliver, type Context, type Delivery } from '../deliver.ts';
import { mark, markerOf, markersOf } from '../ledger/markers.ts';
import { allLoaded, type Loaded } from '../ledger/progress.ts';
import { planOf, refuseExpired } from '../ledger/run.ts';
import { coverage, totalOf } from '../mirror/coverage.ts';
import { parseCompletion, TOPICS, type Completion, type PubSubEvent } from '../mirror/messages.ts';
import { errorsTable, SLI_TABLE } from '../mirror/names.ts';
import type { Plan } from '../mirror/plan.ts';
import { ERROR_FIELDS, SLI_FIELDS } from '../mirror/schema.ts';
import { gather } from './gather.ts';
import { backupPoints, coveragePoints } from './points.ts';
import { SliResultSchema } from './result.ts';

/**
 * All chunks are loaded: gather the run's error rows into the shard's errors table, and tell coverage, per table and in
 * total, to the SLI table and to Cloud Monitoring. Two chunks that finish together start this twice: the job's id and the
 * points' time come from the run, so that it happens once.
 */
export const sli = (event: PubSubEvent): Promise<void> => deliver(delivery, event);

const delivery: Delivery<Completion> = {
  step: 'sli',
  parse: parseCompletion,
  target: ({ body }) => (body.step === 'load' ? { runId: body.runId } : undefined),
  work: async ({ runId }, context) => {
    const plan = await planOf(runId);
    if (!(await markerOf(runId, 'sli', undefined, SliResultSchema))) {
      const all = await allLoaded(plan, await markersOf(runId));
      if (!all) return;
      refuseExpired(plan);
      await gatherErrors(plan, all, context);
      const { writePoints } = await import('../cloud/monitoring.ts');
      await writePoints(coveragePoints(all));
      // A request of its own: Monitoring refuses all points of one for the sake of one that it has had.
      await writePoints(backupPoints(plan));
      const total = totalOf(all.tables);
      const result = { ...total, coverage: coverage(total) };
      const { generation, startedAt } = context;
      await mark(runId, 'sli', undefined, SliResultSchema, {
        generation,
        startedAt,
        endedAt: new Date().toISOString(),
        result,
      });
      log.info('Coverage told', result);
    }
    const completion: Completion = { step: 'sli', runId, shard: plan.shard };
    await publish(TOPICS.completions, completion);
  },
};

async function gatherErrors(plan: Plan, all: Loaded, { generation, deadline }: Context): Promise<void> {
  const { dataset } = plan.config;
  const key = encryption();
  const encrypted = key && { encryptionConfiguration: key };
  // Both exist from the first run on, so that analysts' queries work before anything has ever failed.
  await insertTable(dataset, errorsTable(plan.shard), { schema: { fields: ERROR_FIELDS }, ...encrypted });
  await insertTable(dataset, SLI_TABLE, { schema: { fields: SLI_FIELDS }, ...encrypted });
  await run(
    {
      id: jobId('sli', plan.runId, errorsTable(plan.shard), generation),
      configuration: { query: { useLegacySql: false, query: gather(plan, all) } },
    },
    deadline,
  );
}
