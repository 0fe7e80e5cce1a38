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
  /** What was published before. */
  before: z
    .object({
      sequence: z.number().int(),
      runId: z.string(),
      shard: z.string(),
      tables: z.array(z.string()),
      jobs: z.array(z.string()),
      wasDone: z.boolean(),
    })
    .nullable(),
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
