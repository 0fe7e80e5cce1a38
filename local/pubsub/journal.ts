import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { settleSubscription, subscriptionSchema, topicSchema } from './resources.ts';

/** One change of the state; replayed in order they make the state again. */
const changeSchema = z.discriminatedUnion('change', [
  z.object({ change: z.literal('topic'), topic: topicSchema }),
  z.object({ change: z.literal('topicDeleted'), name: z.string() }),
  z.object({ change: z.literal('subscription'), subscription: subscriptionSchema.transform(settleSubscription) }),
  z.object({ change: z.literal('subscriptionDeleted'), name: z.string() }),
  // A message and the subscriptions that hold it, each with the deliveries it has begun. Its data is kept as base64.
  z.object({
    change: z.literal('message'),
    message: z.object({
      id: z.string(),
      publishTime: z.number(),
      data: z.string().transform((text): Buffer => Buffer.from(text, 'base64')),
      attributes: z.record(z.string(), z.string()),
      orderingKey: z.string(),
    }),
    holders: z.record(z.string(), z.number()),
  }),
  z.object({ change: z.enum(['delivered', 'removed']), subscription: z.string(), ids: z.array(z.string()) }),
]);

export type Change = z.output<typeof changeSchema>;

export type Journal = {
  /** Puts the changes on disk with one write, all or none. Throws what the file system throws. */
  append: (changes: Change[]) => void;
  close: () => void;
};

/**
 * Opens the journal in `directory`: calls `replay` with every change on file, then keeps only what `snapshot` says still
 * counts. A last line that a killed process left half-written is dropped; a damaged line before it is an error.
 *
 * Writes are synchronous and never flushed to the platter: what was answered survives `kill -9`, not a power cut.
 */
export function openJournal(
  directory: string,
  replay: (change: Change) => void,
  snapshot: () => Iterable<Change>,
  compactAt = 64 * 1024 * 1024,
): Journal {
  mkdirSync(directory, { recursive: true });
  const file = path.join(directory, 'journal.jsonl');
  if (existsSync(file)) for (const change of read(file)) replay(change);
  let { descriptor, size } = compact(file, snapshot());
  let limit = Math.max(compactAt, 2 * size);

  return {
    append(changes) {
      const bytes = encode(changes);
      try {
        writeAll(descriptor, bytes, size);
      } catch (error) {
        // A full disk may have taken half a line; the next one must not be glued to it.
        ftruncateSync(descriptor, size);
        throw error;
      }
      size += bytes.length;
      if (size < limit) return;
      // The caller has not applied these changes yet: rewrite what stands without them, then put them behind it.
      const old = descriptor;
      ({ descriptor, size } = compact(file, snapshot()));
      closeSync(old);
      writeAll(descriptor, bytes, size);
      size += bytes.length;
      limit = Math.max(compactAt, 2 * size);
    },
    close() {
      closeSync(descriptor);
    },
  };
}

function* read(file: string): Generator<Change> {
  const bytes = readFileSync(file);
  let start = 0;
  for (let line = 1; ; line += 1) {
    const end = bytes.indexOf(0x0a, start);
    if (end === -1) return;
    try {
      yield changeSchema.parse(JSON.parse(bytes.toString('utf8', start, end)));
    } catch (error) {
      throw new Error(
        `${file}: line ${line} is damaged; a whole JSON change per line is needed. Move the file away to begin empty.`,
        { cause: error },
      );
    }
    start = end + 1;
  }
}

function encode(changes: Iterable<Change>): Buffer {
  let text = '';
  for (const change of changes)
    text += `${JSON.stringify(
      change.change === 'message'
        ? { ...change, message: { ...change.message, data: change.message.data.toString('base64') } }
        : change,
    )}\n`;
  return Buffer.from(text);
}

function compact(file: string, changes: Iterable<Change>): { descriptor: number; size: number } {
  const next = `${file}.next`;
  rmSync(next, { force: true });
  const descriptor = openSync(next, 'w');
  try {
    let size = 0;
    for (const change of changes) {
      const bytes = encode([change]);
      writeAll(descriptor, bytes, size);
      size += bytes.length;
    }
    renameSync(next, file);
    return { descriptor, size };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

function writeAll(descriptor: number, bytes: Buffer, position: number): void {
  let written = 0;
  while (written < bytes.length)
    written += writeSync(descriptor, bytes, written, bytes.length - written, position + written);
}
