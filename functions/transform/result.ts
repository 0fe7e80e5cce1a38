import { z } from 'zod';

const OutputSchema = z.object({ name: z.string(), table: z.string(), output: z.string(), rows: z.number().int() });
export type TransformOutput = z.infer<typeof OutputSchema>;

/** What the transform's marker records: `table` is the source's, `output` the twin's name without run or shard. */
export const TransformResultSchema = z.object({ outputs: z.array(OutputSchema) });
