import { z } from 'zod';
import { PermanentError } from '../mirror/errors.ts';
import { PlanSchema, type Plan } from '../mirror/plan.ts';
import { isExpired, newRunCommand } from '../mirror/retry.ts';
import { ledger, runPath, update } from './index.ts';

const planPath = (runId: string): string => `${runPath(runId)}plan.json`;

export async function findPlan(runId: string): Promise<Plan | undefined> {
  return (await ledger.read(planPath(runId), PlanSchema))?.value;
}

/** The plan that the run obeys. Throws where the ledger has none. */
export async function planOf(runId: string): Promise<Plan> {
  const plan = await findPlan(runId);
  if (!plan) throw new PermanentError(`Run ${runId} has no plan in the ledger. Next: commons-mirror status`);
  return plan;
}

/** Writes the plan of an attempt; a later attempt's plan replaces an earlier one's, never the other way round. */
export async function writePlan(plan: Plan): Promise<void> {
  await update(planPath(plan.runId), PlanSchema, (current) =>
    current && current.attempt >= plan.attempt ? undefined : plan,
  );
}

export const OUTCOMES = ['published', 'blocked', 'failed', 'superseded'] as const;
const Outcome = z.object({
  state: z.enum(OUTCOMES),
  reason: z.string(),
  /** The fault is in mirror.yaml. */
  configuration: z.boolean().default(false),
  at: z.string(),
});
export type Outcome = z.infer<typeof Outcome>;

/** A run's end, if it has come: `published` and `superseded` are final, the others may still turn. */
export async function outcomeOf(runId: string): Promise<Outcome | undefined> {
  return (await ledger.read(`${runPath(runId)}outcome.json`, Outcome))?.value;
}

export async function writeOutcome(
  runId: string,
  state: Outcome['state'],
  reason: string,
  configuration = false,
): Promise<void> {
  await update(`${runPath(runId)}outcome.json`, Outcome, (current) =>
    current && (current.state === 'published' || current.state === state)
      ? undefined
      : { state, reason, configuration, at: new Date().toISOString() },
  );
}

const Acceptance = z.object({ at: z.string() });

/** A person's answer to a blocked run: publish it with the coverage that it has. */
export async function acceptCoverage(runId: string): Promise<void> {
  await ledger.create(`${runPath(runId)}accepted.json`, { at: new Date().toISOString() });
}

export async function coverageAccepted(runId: string): Promise<boolean> {
  return (await ledger.read(`${runPath(runId)}accepted.json`, Acceptance)) !== undefined;
}

/** Throws where a run's rows have been deleted. */
export function refuseExpired({ runId, config }: Plan): void {
  if (!isExpired(runId)) return;
  throw new PermanentError(
    `The data of run ${runId} was deleted two days after its start; it cannot be repeated. ` +
      `Next: start a new run: ${newRunCommand(config)}`,
  );
}
