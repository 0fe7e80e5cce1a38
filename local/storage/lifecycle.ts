import { notImplemented } from '../http.ts';
import { isRecord } from './call.ts';
import { deleteObject } from './object-changes.ts';
import type { Bucket, StoredObject } from './state.ts';
import type { Store } from './store.ts';

const DAY_MS = 24 * 3600 * 1000;

/** The conditions that can be judged of a live object; a rule's conditions must all hold. */
const CONDITIONS: Record<string, (value: unknown, object: StoredObject, now: Date) => boolean> = {
  age: (days, object, now) => now.getTime() - Date.parse(object.timeCreated) >= Number(days) * DAY_MS,
  createdBefore: (date, object) => Date.parse(object.timeCreated) < Date.parse(String(date)),
  isLive: (live) => live === true,
  matchesPrefix: (prefixes, object) => texts(prefixes).some((prefix) => object.name.startsWith(prefix)),
  matchesSuffix: (suffixes, object) => texts(suffixes).some((suffix) => object.name.endsWith(suffix)),
  matchesStorageClass: (classes, object) => texts(classes).includes(object.attributes.storageClass ?? 'STANDARD'),
  // "numNewerVersions" and its like speak of noncurrent objects, of which there are none here.
  numNewerVersions: () => false,
  daysSinceNoncurrentTime: () => false,
  noncurrentTimeBefore: () => false,
};

/**
 * Deletes what the buckets' lifecycle rules say at `now`, with the events that this causes, and returns it.
 * The real service does so about once a day; here nothing does unless asked. Throws 501 for a rule that it cannot judge.
 */
export function applyLifecycles(store: Store, now: Date): { bucket: string; name: string }[] {
  const expired = store.buckets().flatMap((bucket) => {
    const rules = deletionRules(bucket);
    if (rules.length === 0) return [];
    return store
      .objectNames(bucket.name)
      .map((name) => store.object(bucket.name, name))
      .filter((object) => object !== undefined)
      .filter((object) => rules.some((conditions) => conditions.every((holds) => holds(object, now))));
  });
  for (const object of expired) deleteObject(store, object, 'https://www.googleapis.com');
  return expired.map(({ bucket, name }) => ({ bucket, name }));
}

function deletionRules({ attributes: { lifecycle } }: Bucket): ((object: StoredObject, now: Date) => boolean)[][] {
  const rules: unknown = isRecord(lifecycle) ? lifecycle['rule'] : undefined;
  return (Array.isArray(rules) ? (rules as unknown[]) : []).flatMap((rule) => {
    const action = isRecord(rule) && isRecord(rule['action']) ? rule['action']['type'] : undefined;
    // There are no XML multipart uploads to abort.
    if (action === 'AbortIncompleteMultipartUpload') return [];
    if (action !== 'Delete') throw notImplemented('GCS', `lifecycle: action ${String(action)}`);
    const condition = isRecord(rule) && isRecord(rule['condition']) ? rule['condition'] : {};
    return [
      Object.entries(condition).map(([name, value]) => {
        const holds = CONDITIONS[name];
        if (!holds) throw notImplemented('GCS', `lifecycle: condition ${name}`);
        return (object: StoredObject, now: Date) => holds(value, object, now);
      }),
    ];
  });
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
