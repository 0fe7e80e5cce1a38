import { EarlierPlanSchema, type EarlierPlan } from '../mirror/drift.ts';
import { ledger, runPath } from './index.ts';
import { publication } from './publication.ts';

/** The plan of the run that the views show, other than `runId`; undefined before the first publication. */
export async function publishedPlan(runId: string): Promise<EarlierPlan | undefined> {
  const pointer = (await publication())?.value;
  const shown = pointer?.state === 'done' && pointer.runId !== runId ? pointer.runId : pointer?.before?.runId;
  if (shown === undefined) return undefined;
  return (await ledger.read(`${runPath(shown)}plan.json`, EarlierPlanSchema))?.value;
}
