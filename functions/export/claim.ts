import { z } from 'zod';
import { ledger, runPath, update } from '../ledger/index.ts';
import { changeLease, liveLease, type Lease } from '../ledger/lease.ts';
import { SafeError } from '../mirror/errors.ts';
import { runIdOf } from '../mirror/names.ts';

/**
 * One live run at a time. An execution claims a run id once; a retried task of the same execution finds its claim and
 * becomes the next attempt. The lease says which run is alive: kept by a heartbeat, it expires by itself when a task dies.
 */

export type Claim = { runId: string; attempt: number };

const LEASE_MS = 90_000;
const HEARTBEAT_MS = 15_000;

const ExecutionSchema = z.object({ runId: z.string() });
const ClaimSchema = z.object({
  execution: z.string(),
  attempt: z.number().int(),
  trigger: z.enum(['scheduled', 'manual']),
  at: z.string(),
});

/** Another execution's run is alive: this one ends at once, and nothing is wrong. */
export class AnotherRunIsLive extends SafeError {
  constructor(lease: Lease) {
    super(`Run ${lease.runId} (execution ${lease.execution}) is live; this execution ends without doing anything.`);
    this.name = 'AnotherRunIsLive';
  }
}

/** Claims a run for `execution`, and the lease. Throws AnotherRunIsLive. */
export async function claim(execution: string, trigger: 'scheduled' | 'manual'): Promise<Claim> {
  const standing = await liveLease();
  if (standing && standing.execution !== execution) throw new AnotherRunIsLive(standing);
  const runId = await runOf(execution, trigger);
  const claimed = await update(`${runPath(runId)}claim.json`, ClaimSchema, (current) => ({
    execution,
    attempt: (current?.attempt ?? 0) + 1,
    trigger,
    at: current?.at ?? new Date().toISOString(),
  }));
  const attempt = claimed?.attempt ?? 1;
  try {
    await takeLease({ runId, execution, attempt, until: Date.now() + LEASE_MS });
  } catch (error) {
    // It lost the race for the lease: a run that never lived is none.
    if (attempt === 1) {
      await ledger.remove(executionPath(execution));
      await ledger.remove(`${runPath(runId)}claim.json`);
    }
    throw error;
  }
  return { runId, attempt };
}

const executionPath = (execution: string): string => `executions/${execution}.json`;

/** The run that the execution has claimed before, or a new one: its start, moved on by seconds where two would coincide. */
async function runOf(execution: string, trigger: 'scheduled' | 'manual'): Promise<string> {
  const name = executionPath(execution);
  for (let start = Date.now(); ; start += 1000) {
    const known = await ledger.read(name, ExecutionSchema);
    if (known) return known.value.runId;
    const runId = runIdOf(new Date(start));
    const mine = { execution, attempt: 0, trigger, at: new Date().toISOString() };
    if (!(await ledger.create(`${runPath(runId)}claim.json`, mine))) continue;
    if (await ledger.create(name, { runId })) return runId;
  }
}

async function takeLease(lease: Lease): Promise<void> {
  await changeLease((current) => {
    const isFree = !current || current.until <= Date.now();
    const isOurs = current?.execution === lease.execution && current.attempt <= lease.attempt;
    if (current && !isFree && !isOurs) throw new AnotherRunIsLive(current);
    return lease;
  });
}

/**
 * Runs `work` while keeping the lease. `signal` fires when the lease is lost (a later attempt has taken over) or cannot be
 * kept: then nothing may be written any more. The lease is given back at the end.
 */
export async function keepingLease<T>(
  { runId, attempt }: Claim,
  execution: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const lost = new AbortController();
  let until = Date.now() + LEASE_MS;
  let hasEnded = false;
  const isMine = (lease: Lease | undefined): lease is Lease =>
    lease?.runId === runId && lease.execution === execution && lease.attempt === attempt;
  const beat = async (): Promise<void> => {
    const next = Date.now() + LEASE_MS;
    await changeLease((current) => {
      if (!isMine(current)) throw new LeaseLost(`Run ${runId}, attempt ${attempt}, has lost its lease`);
      // A beat that is still under way must not bring back a lease that was given back.
      return hasEnded ? undefined : { ...current, until: next };
    });
    until = next;
  };
  const heart = setInterval(() => {
    // Looked at first: a beat that hangs neither succeeds nor fails while the lease runs out.
    if (Date.now() > until - HEARTBEAT_MS) lost.abort(new LeaseLost(`Run ${runId} could not keep its lease`));
    // One missed beat is no loss while the lease still runs; the next one may go through.
    beat().catch((error: unknown) => error instanceof LeaseLost && lost.abort(error));
  }, HEARTBEAT_MS);
  try {
    return await work(lost.signal);
  } finally {
    clearInterval(heart);
    hasEnded = true;
    await changeLease((current) => (isMine(current) ? { ...current, until: 0 } : undefined));
  }
}

class LeaseLost extends SafeError {}
