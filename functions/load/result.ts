import { z } from 'zod';

const LoadedTableSchema = z.object({
  schema: z.string(),
  table: z.string(),
  warehouseTable: z.string(),
  exported: z.number().int(),
  loaded: z.number().int(),
  errors: z.number().int(),
  bytes: z.number().int(),
  parts: z.number().int(),
  /** Columns whose values were verified by fingerprint; absent where none was asked for, or a row was too large for one. */
  verified: z.number().int().optional(),
});
export type LoadedTable = z.infer<typeof LoadedTableSchema>;

/** What the load's marker records: per table, rows exported = rows loaded + error rows. */
export const LoadResultSchema = z.object({ tables: z.array(LoadedTableSchema) });
