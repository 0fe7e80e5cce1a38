import { z } from 'zod';
import { listFolders } from '../cloud/storage.ts';
import { environment } from '../environment.ts';
import { ExportResultSchema } from '../export/result.ts';
import { LoadResultSchema } from '../load/result.ts';
import { bounded } from '../mirror/bounded.ts';
import { coverage, totalOf } from '../mirror/coverage.ts';
import type { Step } from '../mirror/messages.ts';
import { transformsOf, type Plan } from '../mirror/plan.ts';
import { SliResultSchema } from '../sli/result.ts';
import { TransformResultSchema } from '../transform/result.ts';
import { ViewsResultSchema } from '../views/result.ts';
import { faultsOf, isTold, type Fault } from './faults.ts';
import { ledger, runPath } from './index.ts';
import { isLive, lastLease } from './lease.ts';
import { markersOf, type Markers } from './markers.ts';
import { restoreOf, restoreText } from './restores.ts';
import { findPlan, outcomeOf, type Outcome } from './run.ts';

/** What the ledger says of runs, for the page and for the command line. */

export type StepStatus = {
  step: Step;
  chunk?: string;
  state: 'done' | 'failed' | 'waiting';
  seconds?: number;
  what?: string;
};

export type RunStatus = {
  runId: string;
  shard: string | undefined;
  trigger: string;
  state: Outcome['state'] | 'running';
  reason: string;
  coverage: number | undefined;
  /** Of a run of a backup: which one, and how far its restore is. */
  restore?: string;
  steps: StepStatus[];
};

const ClaimSchema = z.object({ trigger: z.enum(['scheduled', 'manual']), at: z.string() });

/** An export claims its run, and then the lease. */
const CLAIMING_MS = 10_000;

/** Ids of the runs, newest first. */
export async function runIds(): Promise<string[]> {
  const folders = await listFolders(environment().LEDGER_BUCKET, 'runs/');
  return folders
    .map((folder) => folder.split('/')[1] ?? '')
    .sort()
    .toReversed();
}

export async function statusOf(runId: string): Promise<RunStatus> {
  const [claim, plan, outcome, faults, lease, restored] = await Promise.all([
    ledger.read(`${runPath(runId)}claim.json`, ClaimSchema),
    findPlan(runId),
    outcomeOf(runId),
    faultsOf(runId),
    lastLease(),
    restoreOf(runId),
  ]);
  // After the lease: an export that has given it up has written its marker before.
  const markers = await markersOf(runId);
  const now = Date.now();
  const hadLease = lease?.runId === runId;
  const isAlive = hadLease && isLive(lease, now);
  const isClaiming = !hadLease && claim !== undefined && now - Date.parse(claim.value.at) < CLAIMING_MS;
  const restore = restoreText(restored, isAlive, now);
  const steps = await stepsOf(markers, plan, faults);
  const failed = steps.find(({ state }) => state === 'failed');
  // An export that was killed has left neither a result nor a word; its lease has run out.
  const exported = steps.some(({ step, state }) => step === 'export' && state === 'done');
  const died = !outcome && !isAlive && !isClaiming && !exported;
  return {
    runId,
    shard: plan?.shard,
    trigger: claim?.value.trigger ?? 'unknown',
    // A retry that has succeeded leaves the old outcome behind until the run ends anew.
    state: died ? 'failed' : outcome?.state === 'failed' && !failed ? 'running' : (outcome?.state ?? 'running'),
    reason: died ? 'The export ended without a result; it was stopped or killed.' : (outcome?.reason ?? ''),
    coverage: await coverageOf(markers, plan),
    ...(restore !== undefined && { restore }),
    steps,
  };
}

async function stepsOf(markers: Markers, plan: Plan | undefined, faults: Fault[]): Promise<StepStatus[]> {
  const step = async (step: Step, chunk: string | undefined, result: z.ZodType): Promise<StepStatus> => {
    const marker = await markers.read(step, chunk, result);
    const base = { step, ...(chunk !== undefined && { chunk }) };
    if (marker) {
      const seconds = (Date.parse(marker.endedAt) - Date.parse(marker.startedAt)) / 1000;
      return { ...base, state: 'done', seconds };
    }
    const fault = faults.findLast((each) => each.step === step && (each.subject ?? undefined) === chunk);
    if (!fault) return { ...base, state: 'waiting' };
    return { ...base, state: isTold(fault) ? 'failed' : 'waiting', what: fault.what };
  };
  const chunks = plan?.chunks.map(({ name }) => name) ?? [];
  const transformed = plan ? chunks.filter((name) => transformsOf(plan, name).length > 0) : [];
  return Promise.all([
    step('export', undefined, ExportResultSchema),
    ...chunks.map((chunk) => step('load', chunk, LoadResultSchema)),
    ...transformed.map((chunk) => step('transform', chunk, TransformResultSchema)),
    step('sli', undefined, SliResultSchema),
    step('views', undefined, ViewsResultSchema),
  ]);
}

async function coverageOf(stored: Markers, plan: Plan | undefined): Promise<number | undefined> {
  if (!plan) return undefined;
  const markers = await bounded(plan.chunks, 16, ({ name }) => stored.read('load', name, LoadResultSchema));
  const tables = markers.flatMap((marker) => marker?.result.tables ?? []);
  return tables.length > 0 ? coverage(totalOf(tables)) : undefined;
}
