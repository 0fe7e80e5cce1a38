import * as z from 'zod';
import { ApiError, notImplemented } from '../http.ts';
import type { Catalog } from './catalog.ts';
import { tableConstraints } from './constraints.ts';
import { parseBody } from './metadata.ts';
import { apiSchema } from './schema.ts';
import { queryError } from './views.ts';

const millis = z.union([z.string().regex(/^\d+$/), z.number()]).transform(Number);

/** What of a table a client may set and gets back as it is. */
const settable = z.object({
  friendlyName: z.string().nullable().optional(),
  description: z.string().nullable().optional(),
  labels: z.record(z.string(), z.string().nullable()).nullable().optional(),
  encryptionConfiguration: z.object({ kmsKeyName: z.string() }).nullable().optional(),
  clustering: z
    .object({ fields: z.array(z.string()) })
    .nullable()
    .optional(),
  resourceTags: z.record(z.string(), z.string()).nullable().optional(),
  tableConstraints: tableConstraints.nullable().optional(),
});

const tableRequest = settable.extend({
  tableReference: z.object({ tableId: z.string() }).optional(),
  schema: apiSchema.nullable().optional(),
  view: z.object({ query: z.string().optional(), useLegacySql: z.boolean().optional() }).nullable().optional(),
  expirationTime: millis.nullable().optional(),
});

const refused = [
  'externalDataConfiguration',
  'materializedView',
  'timePartitioning',
  'rangePartitioning',
  'snapshotDefinition',
  'cloneDefinition',
  'biglakeConfiguration',
  'externalCatalogTableOptions',
  'defaultCollation',
  'defaultRoundingMode',
];

export function parseTable(body: unknown): z.infer<typeof tableRequest> {
  const given = typeof body === 'object' && body !== null ? Object.entries(body) : [];
  for (const [name, value] of given) {
    if (refused.includes(name) && value !== undefined && value !== null)
      throw notImplemented('BigQuery', `a table's ${name}`);
  }
  return parseBody(tableRequest, body);
}

export function checkTableId(id: string): void {
  // BigQuery: "up to 1,024 UTF-8 bytes; Unicode characters in category L, M, N, Pc, Pd, Zs".
  if (Buffer.byteLength(id) > 1024 || !/^[\p{L}\p{M}\p{N}\p{Pc}\p{Pd}\p{Zs}]+$/u.test(id)) {
    const rule =
      'Table IDs must be alphanumeric (plus underscores, dashes and spaces) and must be at most 1024 bytes long.';
    throw new ApiError(400, 'invalid', `Invalid table ID "${id}". ${rule}`);
  }
}

export function checkExpiration(catalog: Catalog, expirationTime: number | null): number | undefined {
  if (expirationTime === null || expirationTime === 0) return undefined;
  if (expirationTime <= catalog.now()) {
    throw new ApiError(
      400,
      'invalid',
      `The expiration time must be in the future: received ${expirationTime}, it is ${catalog.now()}.`,
    );
  }
  return expirationTime;
}

export function viewQuery(view: { query?: string | undefined; useLegacySql?: boolean | undefined }): string {
  // The REST API's own default is legacy SQL.
  if (view.useLegacySql !== false) throw notImplemented('BigQuery', 'views in legacy SQL (set useLegacySql to false)');
  if (view.query === undefined) throw queryError(new Error('View definition is missing its query'));
  return view.query;
}
