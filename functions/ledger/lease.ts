import { z } from 'zod';
import { ledger, update } from './index.ts';

/** Which run is alive, and until when: one document, so that there is one live run at a time. */

const LEASE = 'lease.json';
const LeaseSchema = z.object({
  runId: z.string(),
  execution: z.string(),
  attempt: z.number().int(),
  until: z.number(),
});
export type Lease = z.infer<typeof LeaseSchema>;

/** The lease that has not expired, if there is one. */
export async function liveLease(now = Date.now()): Promise<Lease | undefined> {
  const lease = await lastLease();
  return lease && isLive(lease, now) ? lease : undefined;
}

/** The newest lease, also one that has expired or was given back. */
export async function lastLease(): Promise<Lease | undefined> {
  return (await ledger.read(LEASE, LeaseSchema))?.value;
}

export const isLive = (lease: Lease, now: number): boolean => lease.until > now;

/** Changes the lease unless somebody else changes it meanwhile, in which case `change` is asked again. */
export const changeLease = (change: (current: Lease | undefined) => Lease | undefined): Promise<Lease | undefined> =>
  update(LEASE, LeaseSchema, change);
