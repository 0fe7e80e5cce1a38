import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Completion, Failure } from '../mirror/messages.ts';
import type { Step } from '../mirror/messages.ts';
import { bounded } from '../mirror/bounded.ts';
import { ledger, runPath, update } from './index.ts';

/**
 * A fault is one message's failure, however often the platform delivers it: the original event under whatever message ids
 * it comes, and each person's retry by itself. It is counted here, since `deliveryAttempt` may be missing.
 */

const FaultSchema = z.object({
  step: z.string(),
  subject: z.string().nullable(),
  count: z.number().int(),
  permanent: z.boolean(),
  what: z.string(),
  firstAt: z.string(),
  lastAt: z.string(),
});
export type Fault = z.infer<typeof FaultSchema>;

/** "A failure that repeats is told on its third attempt." */
export const TOLD_AT_ATTEMPT = 3;

export type FaultKey = { runId: string; step: Step; subject?: string | undefined; delivery: string };

/** What tells a retry's failures from the original's: 'original', or the id of the message that retries. */
export function deliveryOf(message: { id: string; body: { retry?: Completion['retry'] } }): string {
  return message.body.retry ? message.id : 'original';
}

const folder = ({ runId, step, subject }: Omit<FaultKey, 'delivery'>): string =>
  `${runPath(runId)}faults/${step}${subject === undefined ? '' : `.${subject}`}/`;

/** Counts a failure; `what` is a safe text. */
export async function countFault(key: FaultKey, generation: number, permanent: boolean, what: string): Promise<Fault> {
  const at = new Date().toISOString();
  const fault = await update(`${folder(key)}g${generation}-${safe(key.delivery)}.json`, FaultSchema, (current) => ({
    step: key.step,
    subject: key.subject ?? null,
    count: (current?.count ?? 0) + 1,
    permanent: permanent || (current?.permanent ?? false),
    what,
    firstAt: current?.firstAt ?? at,
    lastAt: at,
  }));
  if (!fault) throw new Error('unreachable: a fault is always written');
  return fault;
}

/** Whether a person has to be told now: a permanent fault at once, another at its third attempt. */
export const isTold = (fault: Fault): boolean => fault.permanent || fault.count >= TOLD_AT_ATTEMPT;

/** Every fault of a run, oldest first. */
export async function faultsOf(runId: string): Promise<Fault[]> {
  const names = await ledger.list(`${runPath(runId)}faults/`);
  const found = await bounded([...names.keys()], 16, (name) => ledger.read(name, FaultSchema));
  return found.flatMap((entry) => (entry ? [entry.value] : [])).sort((a, b) => a.firstAt.localeCompare(b.firstAt));
}

/** The fault's name in messages and in the alert's own memory. */
export function faultName(key: FaultKey, generation: number): Failure['fault'] {
  return [key.runId, key.step, key.subject ?? '', `g${generation}`, safe(key.delivery)].join('/');
}

const safe = (text: string): string =>
  /^[\w-]{1,60}$/u.test(text) ? text : createHash('sha256').update(text).digest('hex').slice(0, 32);
