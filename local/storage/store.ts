import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { openJournal } from './journal.ts';
import { compareNames, insertName, removeName } from './object-names.ts';
import { transaction, type Bucket, type DueMessage, type StoredObject, type Transaction } from './state.ts';

/** Bytes that were received whole, not yet anybody's object. */
export type Content = { path: string; size: number; crc32c: string; md5Hash?: string | undefined };

export type Store = {
  bucket: (name: string) => Bucket | undefined;
  buckets: () => Bucket[];
  object: (bucket: string, name: string) => StoredObject | undefined;
  /** A bucket's object names in the order of `compareNames`; not to be changed. */
  objectNames: (bucket: string) => string[];
  /** The file that holds an object's bytes. */
  contentPath: (object: { bucket: string; generation: number }) => string;
  /** A free path for bytes on their way in; swept when the store is opened. */
  temporaryPath: () => string;
  /** A generation higher than all before: microseconds of the clock, as in the real service. */
  nextGeneration: () => number;
  /** Makes `changes` durable and visible, all or none; `content` becomes the bytes of the object among them. */
  commit: (changes: Transaction, content?: { path: string; of: StoredObject }) => void;
  /** Calls back for every message that is due, those of earlier processes first. */
  onDue: (listener: (message: DueMessage) => void) => void;
  close: () => void;
};

/**
 * All state: `journal.jsonl` says what exists, `objects/BUCKET/GENERATION` are the bytes, `uploads/` what is being received.
 * An object lives from the moment its line is in the journal; its bytes are in place before that and go after it, so a
 * process killed anywhere leaves files that no line names, and those are deleted here.
 */
export function openStore(directory: string): Store {
  const objectsDirectory = join(directory, 'objects');
  const uploadsDirectory = join(directory, 'uploads');
  mkdirSync(objectsDirectory, { recursive: true });
  rmSync(uploadsDirectory, { recursive: true, force: true });
  mkdirSync(uploadsDirectory);

  const buckets = new Map<string, { bucket: Bucket; objects: Map<string, StoredObject>; names: string[] }>();
  const due = new Map<string, DueMessage>();
  const listeners: ((message: DueMessage) => void)[] = [];
  let lastGeneration = 0;
  let sorted = false;

  function entry(name: string) {
    const found = buckets.get(name);
    if (!found) throw new Error(`The journal names bucket ${name} before it exists`);
    return found;
  }

  function apply(changes: Transaction): void {
    for (const change of changes) {
      switch (change.type) {
        case 'bucket':
          buckets.set(change.bucket.name, {
            ...(buckets.get(change.bucket.name) ?? { objects: new Map(), names: [] }),
            bucket: change.bucket,
          });
          break;
        case 'bucketDeleted':
          buckets.delete(change.name);
          break;
        case 'object': {
          const { objects, names } = entry(change.object.bucket);
          if (sorted) insertName(names, change.object.name);
          objects.set(change.object.name, change.object);
          lastGeneration = Math.max(lastGeneration, change.object.generation);
          break;
        }
        case 'objectDeleted': {
          const { objects, names } = entry(change.bucket);
          if (sorted) removeName(names, change.name);
          objects.delete(change.name);
          break;
        }
        case 'due':
          due.set(change.message.id, change.message);
          break;
        case 'published':
          due.delete(change.id);
          break;
        case 'generation':
          lastGeneration = Math.max(lastGeneration, change.last);
          break;
      }
    }
  }

  const contentPath = (object: { bucket: string; generation: number }) =>
    join(objectsDirectory, object.bucket, String(object.generation));

  function snapshot(): Transaction[] {
    return [
      [{ type: 'generation', last: lastGeneration }],
      ...[...buckets.values()].map(({ bucket }): Transaction => [{ type: 'bucket', bucket }]),
      ...[...buckets.values()].flatMap(({ objects }) =>
        [...objects.values()].map((object): Transaction => [{ type: 'object', object }]),
      ),
      ...[...due.values()].map((message): Transaction => [{ type: 'due', message }]),
    ];
  }

  const journal = openJournal(join(directory, 'journal.jsonl'), (value) => transaction.parse(value), apply);
  for (const found of buckets.values()) found.names = [...found.objects.keys()].sort(compareNames);
  sorted = true;

  function rewriteWhenMostlyHistory(): void {
    const live = 1 + buckets.size + due.size + [...buckets.values()].reduce((sum, { names }) => sum + names.length, 0);
    if (journal.length() > 1_000 + 4 * live) journal.rewrite(snapshot());
  }

  rewriteWhenMostlyHistory();
  reconcileFiles(objectsDirectory, [...buckets.values()], contentPath);

  return {
    bucket: (name) => buckets.get(name)?.bucket,
    buckets: () => [...buckets.values()].map(({ bucket }) => bucket),
    object: (bucket, name) => buckets.get(bucket)?.objects.get(name),
    objectNames: (bucket) => buckets.get(bucket)?.names ?? [],
    contentPath,
    temporaryPath: () => join(uploadsDirectory, randomUUID()),
    nextGeneration: () => (lastGeneration = Math.max(lastGeneration + 1, Date.now() * 1_000)),
    commit: (changes, content) => {
      rewriteWhenMostlyHistory();
      const target = content && contentPath(content.of);
      if (content && target) {
        mkdirSync(join(objectsDirectory, content.of.bucket), { recursive: true });
        renameSync(content.path, target);
      }
      const replaced = changes.flatMap((change) =>
        replacedBy(change, (bucket, name) => buckets.get(bucket)?.objects.get(name)),
      );
      try {
        journal.append(changes);
      } catch (error) {
        if (target) rmSync(target, { force: true });
        throw error;
      }
      apply(changes);
      for (const object of replaced) rmSync(contentPath(object), { force: true });
      for (const change of changes) {
        if (change.type === 'bucketDeleted')
          rmSync(join(objectsDirectory, change.name), { recursive: true, force: true });
        if (change.type === 'due') for (const listener of listeners) listener(change.message);
      }
    },
    onDue: (listener) => {
      listeners.push(listener);
      for (const message of due.values()) listener(message);
    },
    close: () => journal.close(),
  };
}

/** The objects whose bytes nobody needs once `change` is in. */
function replacedBy(
  change: Transaction[number],
  live: (bucket: string, name: string) => StoredObject | undefined,
): StoredObject[] {
  if (change.type !== 'object' && change.type !== 'objectDeleted') return [];
  const { bucket, name } = change.type === 'object' ? change.object : change;
  const before = live(bucket, name);
  if (!before || (change.type === 'object' && change.object.generation === before.generation)) return [];
  return [before];
}

function reconcileFiles(
  objectsDirectory: string,
  buckets: { bucket: Bucket; objects: Map<string, StoredObject> }[],
  contentPath: (object: StoredObject) => string,
): void {
  const named = new Map(
    buckets.map(({ bucket, objects }) => [
      bucket.name,
      new Map([...objects.values()].map((object) => [String(object.generation), object])),
    ]),
  );
  for (const directory of readdirSync(objectsDirectory)) {
    const generations = named.get(directory);
    if (!generations) {
      rmSync(join(objectsDirectory, directory), { recursive: true, force: true });
      continue;
    }
    for (const file of readdirSync(join(objectsDirectory, directory))) {
      if (!generations.delete(file)) rmSync(join(objectsDirectory, directory, file), { force: true });
    }
  }
  for (const generations of named.values()) {
    for (const object of generations.values()) {
      if (existsSync(contentPath(object))) continue;
      throw new Error(
        `The bytes of gs://${object.bucket}/${object.name} are gone: expected ${contentPath(object)}. ` +
          `Restore that file, or delete the storage directory to start empty.`,
      );
    }
  }
}
