import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { ApiError, notImplemented, readBody } from '../http.ts';
import type { Origin } from './resources.ts';
import type { Store } from './store.ts';

/** A request as the operations see it. */
export type Call = {
  method: string;
  /** The decoded path segments after the API's prefix: `['b', BUCKET, 'o', OBJECT]`. */
  path: string[];
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  origin: Origin;
};

/** An answer without bytes of an object; no body means none is sent. */
export type Reply = { status: number; body?: Record<string, unknown> };

/** An operation on metadata: it neither takes nor gives an object's bytes, so that it may also come in a batch. */
export type Operation = (store: Store, call: Call, body: Record<string, unknown>) => Reply | Promise<Reply>;

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A request's JSON object, `{}` for an empty body. Throws 400. */
export function parseJson(text: string): Record<string, unknown> {
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ApiError(400, 'parseError', 'Parse Error: the request body is not JSON');
  }
  if (!isRecord(value)) throw new ApiError(400, 'parseError', 'Parse Error: the request body is not a JSON object');
  return value;
}

/** A request's body, which leaves the connection usable for an answer when it is not read to its end. */
export function readChunks(request: IncomingMessage): AsyncIterable<Buffer> {
  return request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
}

export async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  return parseJson((await readBody(request)).toString());
}

/** The path segment at `index`, which the route has made sure is there. */
export function segment(call: Call, index: number): string {
  const value = call.path[index];
  if (value === undefined) throw new Error(`The route of ${call.path.join('/')} has no segment ${index}`);
  return value;
}

/** Whether a flag of the query is set; Google's command line writes Python's `True`. */
export function isFlagSet(query: URLSearchParams, name: string): boolean {
  return query.get(name)?.toLowerCase() === 'true';
}

/** Applies a JSON merge patch: null removes, objects merge, all else replaces. */
export function mergePatch(target: Record<string, unknown>, patch: Record<string, unknown>): Record<string, unknown> {
  const result = { ...target };
  for (const [key, value] of Object.entries(patch)) {
    const before = result[key];
    if (value === null) delete result[key];
    else result[key] = isRecord(value) ? mergePatch(isRecord(before) ? before : {}, value) : value;
  }
  return result;
}

const REFUSED_PARAMETERS: Record<string, string> = {
  predefinedAcl: 'ACLs (predefinedAcl)',
  predefinedDefaultObjectAcl: 'ACLs (predefinedDefaultObjectAcl)',
  destinationPredefinedAcl: 'ACLs (destinationPredefinedAcl)',
  softDeleted: 'soft delete (softDeleted)',
};

/**
 * Throws 501 for parameters that would change what any operation does. `userProject` is not among them: it says who pays,
 * Google's command line sends it for any bucket, and a bucket whose requester pays cannot be made here.
 */
export function refuseParameters({ query, headers }: Pick<Call, 'query' | 'headers'>): void {
  for (const [name, operation] of Object.entries(REFUSED_PARAMETERS)) {
    const value = query.get(name);
    if (value !== null && value.toLowerCase() !== 'false') throw notImplemented('GCS', operation);
  }
  if (
    headers['x-goog-encryption-algorithm'] !== undefined ||
    headers['x-goog-copy-source-encryption-algorithm'] !== undefined
  ) {
    throw notImplemented('GCS', 'customer-supplied encryption keys');
  }
}
