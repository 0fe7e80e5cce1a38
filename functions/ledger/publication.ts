import { z } from 'zod';
import { ledger } from './index.ts';

/**
 * The publication pointer: whose tables the views show, or are being moved to. Only ever forward: a run claims it by
 * compare-and-set, with a sequence number that all of its job ids and views carry.
 */
const PublicationSchema = z.object({
  sequence: z.number().int(),
  runId: z.string(),
  shard: z.string(),
  state: z.enum(['moving', 'done']),
  /** Epoch ms of the last sign of life of whoever moves it. */
  touchedAt: z.number(),
  /** Table ids without shard, views by the same names. */
  tables: z.array(z.string()),
  /** Ids of the copy jobs: they do not stop when their starter does. */
  jobs: z.array(z.string()),
  /** The publication before, whose copy jobs must have ended. */
  before: z.object({ runId: z.string(), jobs: z.array(z.string()) }).nullable(),
  /**
   * Tables of earlier runs that views have shown until now, or may still show where a run was stopped half-way. Each expires
   * once this run's view of that name has moved; where this run has none, its view and it stay, and are handed on.
   */
  earlier: z.array(z.object({ name: z.string(), shard: z.string() })),
});
export type Publication = z.infer<typeof PublicationSchema>;

const POINTER = 'publication.json';

export async function publication(): Promise<{ value: Publication; generation: string } | undefined> {
  return ledger.read(POINTER, PublicationSchema);
}

/** False where somebody else has moved the pointer since `generation`. */
export async function movePublication(to: Publication, generation: string): Promise<boolean> {
  return ledger.replace(POINTER, to, generation);
}
