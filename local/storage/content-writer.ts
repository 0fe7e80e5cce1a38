import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { constants, open, rm, type FileHandle } from 'node:fs/promises';
import { crc32c } from '@node-rs/crc32';
import type { Content } from './store.ts';

/** What the service keeps of an upload that breaks off or pauses is a multiple of 256 KiB. */
export const GRANULE = 256 * 1024;
const WRITE_SIZE = 4 * GRANULE;
/**
 * Beyond this an object gets an md5Hash only if its client sent one to be checked, and is otherwise like a composed object:
 * one core makes 0.7 GB/s of MD5 and 5.8 GB/s of CRC32C, so that MD5 would be what limits an upload.
 */
const MD5_LIMIT = 64 * 1024 * 1024;

export type ContentWriter = {
  /** How many bytes are safely in the file. */
  size: () => number;
  /** Takes all of `chunks`, keeping whole granules only if they break off or `keep` says so; then throws what broke them. */
  append: (chunks: AsyncIterable<Buffer>, keep: 'everything' | 'granules') => Promise<void>;
  finish: (options: { md5: boolean }) => Promise<Content>;
  discard: () => Promise<void>;
};

/** Writes a stream of bytes to the file at `path` and hashes it on the way, in memory of a few MB. */
export function openContentWriter(path: string): ContentWriter {
  let size = 0;
  let crc = 0;
  let md5 = createHash('md5');
  let md5Complete = true;

  function hash(buffers: Buffer[]): void {
    for (const buffer of buffers) {
      crc = crc32c(buffer, crc);
      if (md5Complete) md5.update(buffer);
    }
    if (size > MD5_LIMIT) md5Complete = false;
  }

  async function append(chunks: AsyncIterable<Buffer>, keep: 'everything' | 'granules'): Promise<void> {
    const file = await open(path, constants.O_WRONLY | constants.O_CREAT);
    const gathered: Buffer[] = [];
    let gatheredSize = 0;
    // One write is under way while the next bytes arrive: a client that is faster than the disk waits.
    let writing = Promise.resolve();

    async function flush(length: number): Promise<void> {
      if (length === 0) return writing;
      const buffers = take(gathered, length);
      gatheredSize -= length;
      const position = size;
      size += length;
      hash(buffers);
      await writing;
      writing = writeWhole(file, buffers, length, position);
      // Its failure is thrown where it is awaited; until then it must not count as unhandled.
      writing.catch(() => undefined);
    }

    let whole = false;
    try {
      for await (const chunk of chunks) {
        gathered.push(chunk);
        gatheredSize += chunk.length;
        if (gatheredSize >= WRITE_SIZE) await flush(wholeGranules(size, gatheredSize));
      }
      whole = true;
    } finally {
      try {
        await flush(whole && keep === 'everything' ? gatheredSize : wholeGranules(size, gatheredSize));
        await writing;
      } finally {
        await file.close();
      }
    }
  }

  return {
    size: () => size,
    append,
    finish: async (options) => {
      if (options.md5 && !md5Complete) {
        md5 = createHash('md5');
        const chunks = createReadStream(path, { highWaterMark: WRITE_SIZE }) as AsyncIterable<Buffer>;
        for await (const chunk of chunks) md5.update(chunk);
        md5Complete = true;
      }
      return { path, size, crc32c: base64(crc), md5Hash: md5Complete ? md5.digest('base64') : undefined };
    },
    discard: () => rm(path, { force: true }),
  };
}

function wholeGranules(position: number, available: number): number {
  return Math.max(0, Math.floor((position + available) / GRANULE) * GRANULE - position);
}

/** Removes the first `length` bytes from the front of `buffers`. */
function take(buffers: Buffer[], length: number): Buffer[] {
  const taken: Buffer[] = [];
  let missing = length;
  let count = 0;
  for (const buffer of buffers) {
    if (missing === 0) break;
    taken.push(buffer.length <= missing ? buffer : buffer.subarray(0, missing));
    missing -= taken.at(-1)?.length ?? 0;
    count += 1;
  }
  const last = buffers[count - 1];
  const rest = last?.subarray(taken.at(-1)?.length ?? 0);
  buffers.splice(0, count, ...(rest && rest.length > 0 ? [rest] : []));
  return taken;
}

async function writeWhole(file: FileHandle, buffers: Buffer[], length: number, position: number): Promise<void> {
  const { bytesWritten } = await file.writev(buffers, position);
  if (bytesWritten !== length) throw new Error(`Wrote ${bytesWritten} of ${length} bytes: is the disk full?`);
}

/** As the service gives a CRC32C: base64 of the big-endian number. */
function base64(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc >>> 0);
  return bytes.toString('base64');
}
