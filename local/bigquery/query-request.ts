import * as z from 'zod';
import { notImplemented } from '../http.ts';
import { parseBody } from './metadata.ts';
import { dispositions, refuseOthers, tableReference } from './job-request.ts';
import type { QueryParameter } from './sql/translate.ts';

const parameterType: z.ZodType<QueryParameter['parameterType']> = z.lazy(() =>
  z.object({
    type: z.string(),
    arrayType: parameterType.exactOptional(),
    structTypes: z.array(z.object({ name: z.string().exactOptional(), type: parameterType })).exactOptional(),
  }),
);

// Clients send numbers and booleans as they are, where the reference says string.
const scalar = z.union([z.string(), z.number(), z.boolean()]).transform(String);

const parameterValue: z.ZodType<QueryParameter['parameterValue']> = z.lazy(() =>
  z.object({
    value: scalar.nullable().exactOptional(),
    arrayValues: z.array(parameterValue).exactOptional(),
    structValues: z.record(z.string(), parameterValue).exactOptional(),
  }),
);

const queryParameter = z.object({ name: z.string().exactOptional(), parameterType, parameterValue });

const queryRequest = z.object({
  query: z.string(),
  useLegacySql: z.boolean().default(true),
  defaultDataset: z.object({ projectId: z.string().optional(), datasetId: z.string() }).optional(),
  queryParameters: z.array(queryParameter).optional(),
  destinationTable: tableReference.optional(),
  writeDisposition: z.enum(['WRITE_TRUNCATE', 'WRITE_APPEND', 'WRITE_EMPTY']).default('WRITE_EMPTY'),
  ...dispositions,
});

export type QueryRequest = z.infer<typeof queryRequest>;

/** Named without effect on what a query answers: caches, priorities, limits on cost, shapes of legacy SQL. */
const withoutEffect = [
  'parameterMode',
  'useQueryCache',
  'priority',
  'maximumBytesBilled',
  'maximumBillingTier',
  'allowLargeResults',
  'flattenResults',
  'preserveNulls',
  'writeIncrementalResults',
  'queryInfo',
];

/** @throws ApiError 400, or 501 for legacy SQL and options that are not here */
export function parseQuery(body: Record<string, unknown>): QueryRequest {
  refuseOthers('query', body, [...Object.keys(queryRequest.shape), ...withoutEffect]);
  const request = parseBody(queryRequest, body);
  if (request.useLegacySql) throw notImplemented('BigQuery', 'legacy SQL (set useLegacySql to false)');
  return request;
}
