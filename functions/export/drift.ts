import { publish } from '../cloud/pubsub.ts';
import { publishedPlan } from '../ledger/published-plan.ts';
import { driftSince, driftText } from '../mirror/drift.ts';
import { TOPICS, type Failure } from '../mirror/messages.ts';
import type { Plan } from '../mirror/plan.ts';

/** Puts into the plan what has changed in the source since the run that analysts read. */
export async function noteDrift(plan: Plan): Promise<void> {
  const before = await publishedPlan(plan.runId);
  if (before) plan.drift = driftSince(before, plan);
}

/** Tells a change once per run, as information: it is nobody's failure. */
export async function tellDrift({ runId, drift }: Plan): Promise<void> {
  if (!drift || drift.changes.length === 0) return;
  const news: Failure = {
    step: 'export',
    runId,
    fault: `${runId}/export/drift`,
    kind: 'information',
    what: driftText(drift),
    attempts: 1,
  };
  await publish(TOPICS.failures, news);
}
