import * as z from 'zod';
import { ApiError, notImplemented } from '../http.ts';
import type { CsvFormat } from './csv-fast.ts';
import { parseBody } from './metadata.ts';
import { tableReference, dispositions, writeDisposition, refuseOthers } from './job-request.ts';
import { apiSchema, parseSchema } from './schema.ts';
import type { Field } from './sql/types.ts';

/**
 * Whether a **quoted** value that equals the null marker is NULL. Google does not say; yes is the answer that hurts a writer who
 * relies on quotes. An empty quoted string is the empty string in either case, as Google says.
 */
export const quotedMarkerIsNull = true;

const count = z.union([z.string().regex(/^\d+$/), z.number().int().min(0)]).transform(Number);

const loadRequest = z.object({
  sourceUris: z.array(z.string()).default([]),
  destinationTable: tableReference,
  schema: apiSchema.optional(),
  sourceFormat: z.enum(['CSV', 'NEWLINE_DELIMITED_JSON']).default('CSV'),
  writeDisposition: writeDisposition.default('WRITE_APPEND'),
  ...dispositions,
  destinationTableProperties: z
    .object({
      friendlyName: z.string().optional(),
      description: z.string().optional(),
      labels: z.record(z.string(), z.string()).optional(),
    })
    .optional(),
  skipLeadingRows: count.default(0),
  fieldDelimiter: z.string().default(','),
  quote: z.string().default('"'),
  nullMarker: z.string().default(''),
  nullMarkers: z.array(z.string()).default([]),
  allowQuotedNewlines: z.boolean().default(false),
  allowJaggedRows: z.boolean().default(false),
  ignoreUnknownValues: z.boolean().default(false),
  maxBadRecords: count.default(0),
  encoding: z.enum(['UTF-8', 'ISO-8859-1']).default('UTF-8'),
  preserveAsciiControlCharacters: z.boolean().default(false),
});

export type LoadRequest = z.infer<typeof loadRequest>;

/**
 * @param body the `load` part of a job's configuration
 * @throws ApiError 400 for what BigQuery refuses at once, 501 for options that change the outcome and are not here
 */
export function parseLoad(body: Record<string, unknown>): LoadRequest {
  if (body['autodetect'] === true) throw notImplemented('BigQuery', 'load with autodetect');
  refuseOthers('load', body, [...Object.keys(loadRequest.shape), 'autodetect']);
  const request = parseBody(loadRequest, body);
  for (const uri of request.sourceUris) {
    if (!/^gs:\/\/[^/]+\/.+$/.test(uri))
      throw new ApiError(400, 'invalid', `Source URI must be a Google Cloud Storage location: ${uri}`);
    if (uri.includes('*')) throw notImplemented('BigQuery', 'load with a wildcard in sourceUris');
    // BigQuery "doesn't support Cloud Storage object versioning. If you include a generation number ... the load job fails."
    if (/#\d+$/.test(uri)) throw new ApiError(400, 'invalid', `Source URI must not have a generation: ${uri}`);
  }
  if (request.schema !== undefined) checkSchema(request, parseSchema(request.schema));
  return request;
}

export function checkSchema({ sourceFormat }: LoadRequest, fields: Field[]): void {
  const nested = fields.find((field) => field.mode === 'REPEATED' || field.type === 'STRUCT');
  // BigQuery: "CSV files don't support nested or repeated data."
  if (sourceFormat === 'CSV' && nested !== undefined) {
    throw new ApiError(400, 'invalid', `Cannot load CSV data with a nested or repeated schema. Field: ${nested.name}`);
  }
}

export function csvFormat(request: LoadRequest): CsvFormat {
  const delimiter =
    request.fieldDelimiter === '\\t' || request.fieldDelimiter === 'tab' ? '\t' : request.fieldDelimiter;
  if (delimiter.length !== 1 || delimiter.charCodeAt(0) > 0x7f)
    throw notImplemented('BigQuery', `the field delimiter ${JSON.stringify(delimiter)}`);
  if (request.quote.length > 1 || request.quote.charCodeAt(0) > 0x7f)
    throw notImplemented('BigQuery', `the quote ${JSON.stringify(request.quote)}`);
  const nullMarkers = request.nullMarkers.length > 0 ? request.nullMarkers : [request.nullMarker];
  return {
    delimiter,
    quote: request.quote,
    quotedNewlines: request.allowQuotedNewlines,
    encoding: request.encoding,
    skipRows: request.skipLeadingRows,
    nullMarkers,
    quotedMarkerIsNull: quotedMarkerIsNull && !nullMarkers.includes(''),
  };
}
