import { ended } from '../cloud/jobs.ts';
import { getJob } from '../cloud/bigquery.ts';
import { jobId } from '../cloud/jobs.ts';
import { movePublication, publication, type Publication } from '../ledger/publication.ts';
import { bounded } from '../mirror/bounded.ts';
import { SafeError, StillRunning } from '../mirror/errors.ts';
import type { Plan } from '../mirror/plan.ts';
import type { PublishedTable } from './published-table.ts';

/** A newer run was published first; this one publishes nothing. */
export class Superseded extends SafeError {
  constructor(runId: string, by: string) {
    super(`Run ${runId} is superseded: run ${by} is newer and was published first`);
    this.name = 'Superseded';
  }
}

/** A function ends after 10 minutes at the latest: whoever has given no sign of life for longer starts no more jobs. */
const INVOCATION_MS = 600_000;

/**
 * Takes the publication pointer for this run, or finds that it has it. Throws Superseded where a newer run has it. Copy
 * jobs of the publication before do not stop when their starter does: they must have ended before this run's may start, or
 * an older table could land upon a newer one.
 */
export async function claimPublication(
  plan: Plan,
  tables: readonly PublishedTable[],
  generation: number,
  deadline: number,
): Promise<Publication> {
  for (;;) {
    const current = await publication();
    const standing = current?.value;
    if (standing && standing.runId > plan.runId) throw new Superseded(plan.runId, standing.runId);
    const isOurs = standing?.runId === plan.runId;
    const next: Publication = {
      sequence: isOurs ? standing.sequence : (standing?.sequence ?? 0) + 1,
      runId: plan.runId,
      shard: plan.shard,
      state: 'moving',
      touchedAt: Date.now(),
      tables: tables.map(({ name }) => name),
      jobs: [],
      before: isOurs ? standing.before : before(standing),
      earlier: isOurs ? standing.earlier : earlier(standing),
    };
    next.jobs = tables.map(({ name }) => copyJobId(next, name, generation));
    if (!isOurs && standing?.state === 'moving' && Date.now() - standing.touchedAt < INVOCATION_MS) {
      throw new StillRunning(`the publication of run ${standing.runId}`);
    }
    if (!(await movePublication(next, current?.generation ?? '0'))) continue;
    await bounded(next.before?.jobs ?? [], 16, (job) => endedForGood(job, deadline));
    return next;
  }
}

export const copyJobId = ({ runId, sequence }: Publication, name: string, generation: number): string =>
  jobId(`copy_${sequence}`, runId, name, generation);

function before(standing: Publication | undefined): Publication['before'] {
  if (!standing) return null;
  const { runId, jobs, state } = standing;
  // One that was stopped half-way may not have waited for the jobs before it.
  return { runId, jobs: state === 'done' ? jobs : [...jobs, ...(standing.before?.jobs ?? [])] };
}

function earlier(standing: Publication | undefined): Publication['earlier'] {
  if (!standing) return [];
  const { tables, shard, state } = standing;
  const moved = new Set(state === 'done' ? tables : []);
  return [...tables.map((name) => ({ name, shard })), ...standing.earlier.filter(({ name }) => !moved.has(name))];
}

/** Every try of a copy job has ended, or was never started. */
async function endedForGood(id: string, deadline: number): Promise<void> {
  for (let n = 0; ; n++) {
    const tried = `${id}_${n}`;
    if (!(await getJob(tried))) return;
    await ended(tried, deadline);
  }
}

/** Throws Superseded where the pointer has moved on: asked before every step that changes what analysts read. */
export async function stillOurs({ runId }: Publication): Promise<void> {
  const current = await publication();
  if (current && current.value.runId !== runId) throw new Superseded(runId, current.value.runId);
}

export async function finishPublication(ours: Publication): Promise<void> {
  for (;;) {
    const current = await publication();
    if (!current || current.value.runId !== ours.runId) return;
    const done: Publication = { ...current.value, state: 'done', touchedAt: Date.now() };
    if (await movePublication(done, current.generation)) return;
  }
}
