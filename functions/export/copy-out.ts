import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { Client, Connection, Submittable } from 'pg';
import { SafeError } from '../mirror/errors.ts';
import { takeReads } from './large-reads.ts';

/**
 * COPY … TO STDOUT as blocks of whole rows. pg does everything but the rows: authentication, TLS, errors, notices. While
 * the COPY runs, the bytes pass through here first; CopyData's payload goes straight into blocks, everything else (a
 * notice in the middle, a parameter's change, the error) goes on to pg's own parser, byte for byte.
 *
 * PostgreSQL: "In CopyOut, each CopyData message is one row", which gives the row boundaries without parsing CSV.
 */

/**
 * Whole rows. `rows` counts CopyData messages, of which the very first of a COPY is the header line. `bytes` are the
 * receiver's until it asks for the next block; then their memory is used again.
 */
export type Block = { bytes: Buffer; rows: number };

/** A row of `bytes` bytes exceeds the limit; the rows before it have been given out. */
export class OversizeRow extends SafeError {
  constructor(bytes: number) {
    super(`A row of ${bytes} bytes exceeds BigQuery's limit of ${ROW_LIMIT_BYTES} bytes`);
    this.name = 'OversizeRow';
  }
}

/** BigQuery: "CSV cell and row size: 100 MB". */
export const ROW_LIMIT_BYTES = 100_000_000;

/** Large writes are what the upload is fast with; a block is also the unit of backpressure. */
const BLOCK_BYTES = 1024 * 1024;
const BLOCKS_AHEAD = 2;

/** Blocks that nobody uses at the moment: making a new one for every megabyte costs more than filling it. */
const idle: Buffer[] = [];

/** Runs a COPY on a connection of its own. Returns the count of COPY's tag, after the last block has been taken. */
export async function* copyOut(client: Client, sql: string): AsyncGenerator<Block, number> {
  const copy = new CopyOut(sql);
  client.query(copy);
  let finished = false;
  try {
    for (;;) {
      const block = await copy.next();
      if (!block) break;
      yield block;
      giveBack(block);
    }
    finished = true;
    return copy.count;
  } finally {
    // Rows nobody wants any more: PostgreSQL has no gentler way to end a COPY TO than to end its connection.
    if (!finished) copy.abandon();
  }
}

const newBlock = (): Buffer => idle.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);

function giveBack({ bytes }: Block): void {
  if (bytes.buffer.byteLength === BLOCK_BYTES) idle.push(Buffer.from(bytes.buffer));
}

const HEADER_BYTES = 5;
const COPY_DATA = 0x64; // 'd'

type PgConnection = Connection & { stream: Socket };

class CopyOut implements Submittable {
  /** Rows by COPY's own tag, once it has ended. */
  count = 0;

  readonly #sql: string;
  readonly #ready: Block[] = [];
  #stream: Socket | undefined;
  #toPg: ((chunk: Buffer) => void)[] = [];
  /** Who reads the connection: this COPY; then pg again; or nobody any more. */
  #reader: 'copy' | 'pg' | 'nobody' = 'copy';
  #wake: () => void = () => {};
  #ended = false;
  #error: Error | undefined;

  #block = newBlock();
  #filled = 0;
  #rows = 0;

  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** What is left of the message under way, and whether it is a row. */
  #left = 0;
  #isRow = false;

  constructor(sql: string) {
    this.#sql = sql;
  }

  submit(connection: Connection): void {
    const { stream } = connection as PgConnection;
    this.#stream = stream;
    this.#toPg = stream.listeners('data') as ((chunk: Buffer) => void)[];
    stream.removeAllListeners('data');
    stream.on('data', this.#take);
    takeReads(stream, this.#take);
    connection.query(this.#sql);
  }

  /** The next block, or undefined at the end. Throws what ended the COPY. */
  async next(): Promise<Block | undefined> {
    for (;;) {
      const block = this.#ready.shift();
      if (this.#ready.length < BLOCKS_AHEAD) this.#stream?.resume();
      if (block) return block;
      if (this.#error) throw this.#error;
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  abandon(): void {
    this.#reader = 'nobody';
    this.#stream?.destroy();
  }

  readonly #take = (chunk: Buffer): void => {
    let at = 0;
    while (at < chunk.length) {
      if (this.#reader === 'nobody') return;
      // What follows the COPY in the same chunk, whole messages or a part of one, is pg's as it is.
      if (this.#reader === 'pg') return this.#forward(chunk.subarray(at));
      if (this.#left === 0) {
        at += this.#readHeader(chunk, at);
        continue;
      }
      const end = Math.min(at + this.#left, chunk.length);
      if (this.#isRow) {
        chunk.copy(this.#block, this.#filled, at, end);
        this.#filled += end - at;
      } else this.#forward(chunk.subarray(at, end));
      this.#left -= end - at;
      at = end;
    }
    if (this.#ready.length >= BLOCKS_AHEAD) this.#stream?.pause();
  };

  /** Reads a message's type and length, which may be split over chunks. Gives the bytes that it took. */
  #readHeader(chunk: Buffer, at: number): number {
    // Copying five bytes costs as much as copying a row: a header that lies in one piece is read where it is.
    if (this.#headerBytes === 0 && at + HEADER_BYTES <= chunk.length) {
      this.#beginMessage(chunk, at);
      return HEADER_BYTES;
    }
    const taken = chunk.copy(this.#header, this.#headerBytes, at, at + HEADER_BYTES - this.#headerBytes);
    this.#headerBytes += taken;
    if (this.#headerBytes < HEADER_BYTES) return taken;
    this.#headerBytes = 0;
    this.#beginMessage(this.#header, 0);
    return taken;
  }

  #beginMessage(source: Buffer, at: number): void {
    // The length counts itself, but not the type.
    this.#left = source.readUInt32BE(at + 1) - 4;
    this.#isRow = source[at] === COPY_DATA;
    if (this.#isRow) this.#beginRow(this.#left);
    else this.#forward(source.subarray(at, at + HEADER_BYTES));
  }

  #beginRow(bytes: number): void {
    if (bytes > ROW_LIMIT_BYTES) {
      this.#emit();
      this.#fail(new OversizeRow(bytes));
      return this.abandon();
    }
    if (this.#filled + bytes > this.#block.length) {
      this.#emit();
      if (bytes > BLOCK_BYTES) this.#block = Buffer.allocUnsafeSlow(bytes);
    }
    this.#rows += 1;
  }

  #emit(): void {
    if (this.#rows > 0) this.#ready.push({ bytes: this.#block.subarray(0, this.#filled), rows: this.#rows });
    this.#block = newBlock();
    this.#filled = 0;
    this.#rows = 0;
    this.#wake();
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#wake();
  }

  /** pg's parser keeps what is not a whole message yet, while the bytes here may be overwritten by the next read. */
  #forward(bytes: Buffer): void {
    for (const listener of this.#toPg) listener.call(this.#stream, Buffer.from(bytes));
  }

  /** pg reads by itself from the next chunk on. */
  #handBack(): void {
    if (this.#reader !== 'copy') return;
    this.#reader = 'pg';
    this.#stream?.removeListener('data', this.#take);
    if (this.#stream) takeReads(this.#stream, undefined);
    for (const listener of this.#toPg) this.#stream?.on('data', listener);
  }

  // What pg calls as its parser meets the messages.
  handleCommandComplete(message: { text: string }): void {
    this.count = Number(/^COPY (\d+)$/u.exec(message.text)?.[1] ?? Number.NaN);
    this.#emit();
  }
  handleError(error: Error): void {
    this.#fail(error);
    this.#handBack();
  }
  handleReadyForQuery(): void {
    this.#ended = true;
    this.#handBack();
    this.#stream?.resume();
    this.#wake();
  }
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleCopyInResponse(): void {}
  handleCopyData(): void {}
}
