import { crc32c } from '@node-rs/crc32';
import { createObject, crc32cText, startUpload, type Upload } from '../cloud/storage.ts';
import { environment } from '../environment.ts';
import type { Part } from '../mirror/plan.ts';

/** Below this, a part is one simple request; from there on it streams. */
const SIMPLE_UPLOAD_BYTES = 4 * 1024 * 1024;

/** One CSV object being written: nothing on disk, and no more in memory than the upload's own chunk. */
export class PartWriter {
  rows = 0;
  bytes = 0;

  readonly #object: string;
  #crc = 0;
  #held: Buffer[] = [];
  #upload: Upload | undefined;

  constructor(object: string) {
    this.#object = object;
  }

  async write(bytes: Buffer, rows: number): Promise<void> {
    this.rows += rows;
    this.bytes += bytes.length;
    this.#crc = crc32c(bytes, this.#crc);
    if (this.#upload) return send(this.#upload, bytes);
    this.#held.push(bytes);
    if (this.bytes < SIMPLE_UPLOAD_BYTES) return;
    this.#upload = startUpload(environment().DATA_BUCKET, this.#object, 'text/csv');
    for (const held of this.#held) await send(this.#upload, held);
    this.#held = [];
  }

  /** Completes the object. Throws unless the service's crc32c is that of the bytes written. */
  async finish(): Promise<Part> {
    const expected = crc32cText(this.#crc);
    const confirmed = this.#upload
      ? await this.#upload.finish(expected)
      : await createObject(environment().DATA_BUCKET, this.#object, Buffer.concat(this.#held), 'text/csv');
    return { object: this.#object, rows: this.rows, bytes: this.bytes, crc32c: confirmed };
  }

  /** Gives the upload up; the object does not come into being. */
  abandon(): void {
    this.#upload?.stream.destroy();
  }
}

async function send({ stream }: Upload, bytes: Buffer): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const fail = (error: Error): void => reject(error);
    stream.once('error', fail);
    if (stream.errored) reject(stream.errored);
    stream.write(bytes, (error) => {
      stream.removeListener('error', fail);
      if (error) reject(error);
      else resolve();
    });
  });
}
