import { z } from 'zod';

const KeysResultSchema = z.object({
  /** How many were set. */
  primary: z.number().int(),
  foreign: z.number().int(),
  /** What the plan wanted and this publication could not set. */
  leftOut: z.array(z.object({ table: z.string(), key: z.string(), reason: z.string() })),
});
export type KeysResult = z.infer<typeof KeysResultSchema>;

/** What the views' marker records: the publication's sequence, each view with the table that it now shows, and the keys. */
export const ViewsResultSchema = z.object({
  sequence: z.number().int(),
  views: z.array(z.object({ view: z.string(), table: z.string() })),
  keys: KeysResultSchema,
});
