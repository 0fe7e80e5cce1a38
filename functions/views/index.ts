import { listTables } from '../cloud/bigquery.ts';
import { log } from '../cloud/log.ts';
import { publish } from '../cloud/pubsub.ts';
import { deliver, type Context, type Delivery } from '../deliver.ts';
import { mark, markerOf, markersOf } from '../ledger/markers.ts';
import { allLoaded, allTransformed, type Loaded } from '../ledger/progress.ts';
import { coverageAccepted, outcomeOf, planOf, refuseExpired, writeOutcome } from '../ledger/run.ts';
import { shortfalls } from '../mirror/coverage.ts';
import { parseCompletion, TOPICS, type Completion, type Failure, type PubSubEvent } from '../mirror/messages.ts';
import { startOf } from '../mirror/names.ts';
import type { Plan } from '../mirror/plan.ts';
import { claimPublication, finishPublication, Superseded } from './claim.ts';
import { publishedTables } from './published-table.ts';
import { copyTables } from './copy-tables.ts';
import { expireSuperseded, moveViews } from './move-views.ts';
import { ViewsResultSchema } from './result.ts';
import { setKeys } from './set-keys.ts';

/**
 * The publication. When all chunks are loaded and transformed, and coverage is good enough: claim the pointer, copy every
 * table into its shard, check the copies, set their keys, move every view. Until the first copy the analysts' dataset is untouched; from
 * then on, whoever is killed, the next delivery rolls forward by the same names.
 */
export const views = (event: PubSubEvent): Promise<void> => deliver(delivery, event);

const delivery: Delivery<Completion> = {
  step: 'views',
  parse: parseCompletion,
  target: ({ body }) => (body.step === 'load' || body.step === 'transform' ? { runId: body.runId } : undefined),
  work: async ({ runId }, context) => {
    const plan = await planOf(runId);
    if (!(await markerOf(runId, 'views', undefined, ViewsResultSchema))) {
      if ((await outcomeOf(runId))?.state === 'superseded') return;
      const markers = await markersOf(runId);
      const [all, outputs] = await Promise.all([allLoaded(plan, markers), allTransformed(plan, markers)]);
      if (!all || !outputs) return;
      if (await isBlocked(plan, all)) return;
      refuseExpired(plan);
      try {
        await publishRun(plan, all, publishedTables(plan, all, outputs), context);
      } catch (error) {
        if (!(error instanceof Superseded)) throw error;
        await writeOutcome(runId, 'superseded', error.message);
        log.info(error.message);
        return;
      }
    }
    const completion: Completion = { step: 'views', runId, shard: plan.shard };
    await publish(TOPICS.completions, completion);
  },
};

async function publishRun(
  plan: Plan,
  all: Loaded,
  tables: ReturnType<typeof publishedTables>,
  { generation, startedAt, deadline }: Context,
): Promise<void> {
  const { runId, shard } = plan;
  const claimed = await claimPublication(plan, tables, generation, deadline);
  const existing = await listTables(plan.config.dataset);
  await copyTables(plan, tables, claimed, existing, deadline);
  const keys = await setKeys(plan, tables, all);
  const moved = await moveViews(plan, tables, claimed, existing);
  await expireSuperseded(plan, tables, claimed);
  await finishPublication(claimed);
  const result = { sequence: claimed.sequence, views: moved, keys };
  await mark(runId, 'views', undefined, ViewsResultSchema, {
    generation,
    startedAt,
    endedAt: new Date().toISOString(),
    result,
  });
  await writeOutcome(runId, 'published', `shard ${shard}, ${moved.length} views`);
  const seconds = (Date.now() - startOf(runId).getTime()) / 1000;
  log.info('Published', { shard, views: moved.length, seconds });
}

/** Below a coverage threshold a person decides; until then nothing of the run is published. */
async function isBlocked(plan: Plan, { tables }: Loaded): Promise<boolean> {
  const { runId } = plan;
  const found = shortfalls(tables, plan.config.coverage);
  if (found.length === 0 || (await coverageAccepted(runId))) return false;
  const told = found.map(
    ({ what, coverage, threshold, errors }) =>
      `${what}: coverage ${coverage}, wanted ${threshold}, ${errors} error rows`,
  );
  const what = told.length > 20 ? [...told.slice(0, 20), `and ${told.length - 20} more`].join('\n') : told.join('\n');
  await writeOutcome(runId, 'blocked', what);
  const failure: Failure = {
    step: 'views',
    runId,
    fault: `${runId}/views/blocked`,
    kind: 'blocked',
    what,
    attempts: 1,
  };
  await publish(TOPICS.failures, failure);
  return true;
}
