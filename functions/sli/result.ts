import { z } from 'zod';

/** What the SLI's marker records. */
export const SliResultSchema = z.object({ loaded: z.number(), errors: z.number(), coverage: z.number() });
