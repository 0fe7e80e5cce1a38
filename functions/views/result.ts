import { z } from 'zod';

/** What the views' marker records: the publication's sequence, and each view with the table that it now shows. */
export const ViewsResultSchema = z.object({
  sequence: z.number().int(),
  views: z.array(z.object({ view: z.string(), table: z.string() })),
});
