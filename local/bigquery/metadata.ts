import * as z from 'zod';
import { ApiError } from '../http.ts';

/** @throws ApiError 412 when the resource is not in the state that the client has seen */
export function checkEtag(ifMatch: string | undefined, etag: string): void {
  if (ifMatch !== undefined && ifMatch !== '*' && ifMatch.replaceAll('"', '') !== etag) {
    throw new ApiError(412, 'conditionNotMet', 'Precondition Failed');
  }
}

/** Takes over what a request sets; null clears. Labels are merged one by one, and so are the kinds of keys. */
export function mergeMetadata(
  before: Record<string, unknown>,
  change: Record<string, unknown>,
): Record<string, unknown> {
  const merged = { ...before };
  for (const [name, value] of Object.entries(change)) {
    if (value === undefined) continue;
    if (value === null) delete merged[name];
    else if (name === 'labels' || name === 'tableConstraints')
      merged[name] = mergeMetadata(asRecord(before[name]), asRecord(value));
    else merged[name] = value;
  }
  return merged;
}

export function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

/** Multi-regions are written in capitals, regions in small letters, whatever the request has. */
export function canonicalLocation(location: string): string {
  return ['US', 'EU'].includes(location.toUpperCase()) ? location.toUpperCase() : location.toLowerCase();
}

/** @throws ApiError 400 that names the first wrong field of a request */
export function parseBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ApiError(
    400,
    'invalid',
    `Invalid value at '${issue?.path.join('.') ?? ''}': ${issue?.message ?? 'not readable'}`,
  );
}
