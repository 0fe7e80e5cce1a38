import { z } from 'zod';

/** What the export's marker records. */
export const ExportResultSchema = z.object({ tables: z.number().int(), rows: z.number(), bytes: z.number() });
