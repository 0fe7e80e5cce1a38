import { createHash, type Hash } from 'node:crypto';
import { constants, open, rm, type FileHandle } from 'node:fs/promises';
import { isMarkedAsUntransferable } from 'node:worker_threads';
import { crc32c } from '@node-rs/crc32';
import { md5OfFile } from './md5.ts';
import type { Content } from './store.ts';

/** What the service keeps of an upload that breaks off or pauses is a multiple of 256 KiB. */
export const GRANULE = 256 * 1024;
/** What is written at once, and what an upload takes of memory, twice. */
const BLOCK_BYTES = 4 * GRANULE;
/** Beyond this the MD5 is not made on the way: whether it is needed is known at the end of an upload. */
const MD5_LIMIT = BLOCK_BYTES;

export type ContentWriter = {
  /** How many bytes are safely in the file. */
  size: () => number;
  /**
   * Takes all of `chunks`, keeping whole granules only if they break off or `keep` says so; then throws what broke them. The
   * chunks' memory is given back, and nobody may use them any more.
   */
  append: (chunks: AsyncIterable<Buffer>, keep: 'everything' | 'granules') => Promise<void>;
  /** `md5`: whether it is needed, and else only given where it costs nothing. */
  finish: (options: { md5: boolean }) => Promise<Content>;
  discard: () => Promise<void>;
};

/** Writes a stream of bytes to the file at `path` and hashes it on the way, in memory of 2 MB. */
export function openContentWriter(path: string): ContentWriter {
  let size = 0;
  let crc = 0;
  let md5: Hash | undefined = createHash('md5');

  async function append(chunks: AsyncIterable<Buffer>, keep: 'everything' | 'granules'): Promise<void> {
    const file = await open(path, WRITE);
    let direct: FileHandle | undefined;
    let block = takeBlock();
    let filled = 0;
    // One write is under way while the next bytes arrive: a client that is faster than the disk waits.
    let writing = Promise.resolve();

    async function flush(length: number): Promise<void> {
      await writing;
      if (length === 0) return;
      const [full, position] = [block, size];
      const bytes = full.subarray(0, length);
      crc = crc32c(bytes, crc);
      size += length;
      if (size > MD5_LIMIT) md5 = undefined;
      md5?.update(bytes);
      if (length === BLOCK_BYTES) direct ??= await openDirect(path);
      const write =
        length === BLOCK_BYTES && direct
          ? writeDirect(direct, file, bytes, position)
          : writeWhole(file, bytes, position);
      writing = write.then(() => void idle.push(full));
      // Its failure is thrown where it is awaited; until then it must not count as unhandled.
      writing.catch(() => undefined);
      block = takeBlock();
      filled = 0;
    }

    let whole = false;
    try {
      for await (const chunk of chunks) {
        for (let at = 0; at < chunk.length;) {
          if (filled === BLOCK_BYTES) await flush(filled);
          const copied = chunk.copy(block, filled, at);
          filled += copied;
          at += copied;
        }
        free(chunk);
      }
      whole = true;
    } finally {
      try {
        await flush(whole && keep === 'everything' ? filled : wholeGranules(size, filled));
        await writing;
      } finally {
        idle.push(block);
        await file.close();
        await direct?.close();
      }
    }
  }

  return {
    size: () => size,
    append,
    finish: async (options) => {
      const md5Hash = md5?.digest('base64') ?? (options.md5 ? await md5OfFile(path) : undefined);
      return { path, size, crc32c: base64(crc), md5Hash };
    },
    discard: () => rm(path, { force: true }),
  };
}

const WRITE = constants.O_WRONLY | constants.O_CREAT;

/** Blocks that nobody uses at the moment. */
const idle: Buffer[] = [];

/** Memory of WebAssembly begins at a page, as a write past the page cache asks for and Node's buffers do not. */
const takeBlock = (): Buffer =>
  idle.pop() ?? Buffer.from(new WebAssembly.Memory({ initial: BLOCK_BYTES / WASM_PAGE }).buffer);
const WASM_PAGE = 64 * 1024;
// TypeScript has it among a browser's types only.
declare const WebAssembly: { Memory: new (size: { initial: number }) => { buffer: ArrayBuffer } };

/**
 * The file for whole blocks, at whole granules, past the page cache: filling that with a gigabyte which nobody may read for
 * hours takes as long as receiving it. Not every file system, nor every system, has that: some refuse to open a file so,
 * others to write it.
 */
async function openDirect(path: string): Promise<FileHandle> {
  try {
    return await open(path, WRITE | (constants.O_DIRECT ?? 0));
  } catch (error) {
    if (isInvalid(error)) return open(path, WRITE);
    throw error;
  }
}

async function writeDirect(direct: FileHandle, file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  try {
    await writeWhole(direct, bytes, position);
  } catch (error) {
    if (!isInvalid(error)) throw error;
    await writeWhole(file, bytes, position);
  }
}

const isInvalid = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EINVAL';

/**
 * Gives a chunk's memory back at once. Left to the garbage collector, which looks through everything for every 64 MB of
 * them, the chunks cost more than all that is done with their bytes. Small ones share their memory with others.
 */
function free(chunk: Buffer): void {
  const { buffer } = chunk;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === chunk.length && !isMarkedAsUntransferable(buffer)) {
    buffer.transfer(0);
  }
}

function wholeGranules(position: number, available: number): number {
  return Math.max(0, Math.floor((position + available) / GRANULE) * GRANULE - position);
}

async function writeWhole(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  const { bytesWritten } = await file.write(bytes, 0, bytes.length, position);
  if (bytesWritten !== bytes.length) {
    throw new Error(`Wrote ${bytesWritten} of ${bytes.length} bytes: is the disk full?`);
  }
}

/** As the service gives a CRC32C: base64 of the big-endian number. */
function base64(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc >>> 0);
  return bytes.toString('base64');
}
