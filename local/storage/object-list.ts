import { ApiError, notImplemented } from '../http.ts';
import { isFlagSet, segment, type Call, type Operation } from './call.ts';
import { findBucket, findObject, isVersioned } from './object-changes.ts';
import { compareNames, firstIndex } from './object-names.ts';
import { pageSize, readPageToken, writePageToken } from './page.ts';
import { shownObject } from './md5.ts';

/**
 * Objects in the byte order of their names; with a delimiter, names that hold it after the prefix are rolled up.
 * Costs a binary search and the page, however many objects the bucket or a rolled-up prefix has.
 */
export const listObjects: Operation = async (store, call) => {
  const bucket = findBucket(store, segment(call, 1));
  refuseFilters(call);
  // Where nothing is archived, all versions are the live ones.
  if (isFlagSet(call.query, 'versions') && isVersioned(bucket)) {
    throw notImplemented('GCS', 'objects.list: noncurrent versions');
  }
  const { entries, nextPageToken } = listNames(store.objectNames(bucket.name), call.query);
  const objects = entries
    .filter(({ kind }) => kind === 'object')
    .map(({ name }) => findObject(store, bucket.name, name));
  const items: Record<string, unknown>[] = [];
  for (const object of objects) items.push(await shownObject(store, object, call.origin));
  const prefixes = entries.filter(({ kind }) => kind === 'prefix');
  return {
    status: 200,
    body: {
      kind: 'storage#objects',
      ...(nextPageToken && { nextPageToken }),
      ...(prefixes.length > 0 && { prefixes: prefixes.map(({ name }) => name) }),
      ...(items.length > 0 && { items }),
    },
  };
};

type Entry = { kind: 'object' | 'prefix'; name: string };

function listNames(names: string[], query: URLSearchParams): { entries: Entry[]; nextPageToken: string | undefined } {
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const startOffset = query.get('startOffset') ?? '';
  const endOffset = query.get('endOffset') ?? '';
  const after = readPageToken(query);
  const limit = pageSize(query);
  const withTrailing = isFlagSet(query, 'includeTrailingDelimiter');

  let index = firstIndex(names, (name) => compareNames(name, prefix) >= 0 && compareNames(name, startOffset) >= 0);
  if (after !== undefined) {
    const rolledUp = delimiter !== '' && after.endsWith(delimiter) && after.length > prefix.length;
    index = Math.max(
      index,
      firstIndex(names, (name) => isPast(name, after, rolledUp)),
    );
  }
  const entries: Entry[] = [];
  for (let name = names[index]; name !== undefined; name = names[index]) {
    if (!name.startsWith(prefix) || (endOffset !== '' && compareNames(name, endOffset) >= 0)) break;
    const last = entries.at(-1);
    if (last && entries.length >= limit) return { entries, nextPageToken: writePageToken(last.name) };
    const end = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length);
    if (end < 0) {
      entries.push({ kind: 'object', name });
      index += 1;
      continue;
    }
    const rolledUp = name.slice(0, end + delimiter.length);
    // "objects whose names end with exactly one instance of delimiter appear in items in addition to prefixes"
    if (withTrailing && name === rolledUp) entries.push({ kind: 'object', name });
    entries.push({ kind: 'prefix', name: rolledUp });
    index = firstIndex(names, (other) => isPast(other, rolledUp, true));
  }
  return { entries, nextPageToken: undefined };
}

/** Whether `name` comes after `last`, and after all that begins with it where it stands for them. */
function isPast(name: string, last: string, standsForPrefix: boolean): boolean {
  return compareNames(name, last) > 0 && !(standsForPrefix && name.startsWith(last));
}

function refuseFilters({ query }: Call): void {
  for (const name of ['matchGlob', 'filter']) {
    if (query.get(name)) throw notImplemented('GCS', `objects.list: ${name}`);
  }
  const projection = query.get('projection');
  if (projection !== null && projection !== 'full' && projection !== 'noAcl') {
    throw new ApiError(400, 'invalid', `Invalid value for projection: '${projection}'; expected 'full' or 'noAcl'`);
  }
}
