import { z } from 'zod';
import { ApiError, notImplemented } from '../http.ts';
import { mergePatch } from './call.ts';
import { objectAttributes, type ObjectAttributes } from './state.ts';

/** What would protect or share an object; none of it is built, so none of it is accepted. */
const REFUSED = ['acl', 'contexts', 'eventBasedHold', 'retention', 'temporaryHold'] as const;

/** "If no content type is specified, the object is served as application/octet-stream." */
export const DEFAULT_CONTENT_TYPE = 'application/octet-stream';

/** Custom metadata is text; the service takes numbers and booleans, as Google's client offers them, and keeps their text. */
const writableAttributes = objectAttributes.extend({
  metadata: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String)).optional(),
});

/** The attributes that a client sets in an object's resource, the service's own left out. Throws 400 and 501. */
export function readAttributes(body: Record<string, unknown>): ObjectAttributes {
  for (const name of REFUSED) {
    const value = body[name];
    const isSet =
      value !== undefined && value !== null && value !== false && !(Array.isArray(value) && value.length === 0);
    if (isSet) throw notImplemented('GCS', `objects: ${name}`);
  }
  const parsed = writableAttributes.safeParse(mergePatch({}, body));
  if (!parsed.success) {
    throw new ApiError(400, 'invalid', `Invalid object metadata: ${z.prettifyError(parsed.error)}`);
  }
  const { customTime } = parsed.data;
  if (customTime !== undefined && Number.isNaN(Date.parse(customTime))) {
    throw new ApiError(400, 'invalid', `Invalid customTime: '${customTime}'; expected a time as in RFC 3339`);
  }
  return parsed.data;
}

/** The attributes after a patch. Throws 400, also when it takes customTime back, which "cannot be removed or set to an earlier time". */
export function patchAttributes(before: ObjectAttributes, body: Record<string, unknown>): ObjectAttributes {
  readAttributes(body);
  const after = readAttributes(mergePatch(before, body));
  if (before.customTime !== undefined && !(Date.parse(after.customTime ?? '') >= Date.parse(before.customTime))) {
    throw new ApiError(
      400,
      'invalid',
      `customTime is ${before.customTime} and cannot be removed or set to an earlier time; received ${String(body['customTime'])}`,
    );
  }
  return after;
}

/** Throws 400 for what the service does not take as an object's name. */
export function checkObjectName(name: string): void {
  const bytes = Buffer.byteLength(name);
  if (bytes >= 1 && bytes <= 1024 && name !== '.' && name !== '..' && !/[\r\n]/.test(name) && name.isWellFormed())
    return;
  throw new ApiError(
    400,
    'invalid',
    `Invalid object name of ${bytes} bytes; expected 1 to 1024 bytes of UTF-8 without line breaks, other than '.' and '..'`,
  );
}
