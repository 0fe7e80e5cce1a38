import * as z from 'zod';
import { notImplemented } from '../http.ts';

export const tableReference = z
  .object({ projectId: z.string().optional(), datasetId: z.string(), tableId: z.string() })
  .transform(({ projectId, datasetId, tableId }) => ({ project: projectId, dataset: datasetId, table: tableId }));

export const dispositions = {
  createDisposition: z.enum(['CREATE_IF_NEEDED', 'CREATE_NEVER']).default('CREATE_IF_NEEDED'),
  destinationEncryptionConfiguration: z.object({ kmsKeyName: z.string() }).optional(),
};

export const writeDisposition = z.enum(['WRITE_TRUNCATE', 'WRITE_APPEND', 'WRITE_EMPTY']);

/** Nothing that a client asks for is dropped in silence; what is off anyway may be named. */
export function refuseOthers(kind: string, body: Record<string, unknown>, known: string[]): void {
  for (const [name, value] of Object.entries(body)) {
    const asksNothing =
      value === undefined || value === null || value === false || (Array.isArray(value) && value.length === 0);
    if (!known.includes(name) && !asksNothing) throw notImplemented('BigQuery', `${kind} with ${name}`);
  }
}
