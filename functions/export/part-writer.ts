import { crc32c } from '@node-rs/crc32';
import { createObject, crc32cText, startUpload, type Upload } from '../cloud/storage.ts';
import { environment } from '../environment.ts';
import { SafeError } from '../mirror/errors.ts';
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
    if (this.#upload) return this.#send(this.#upload, bytes);
    this.#held.push(bytes);
    if (this.bytes < SIMPLE_UPLOAD_BYTES) return;
    this.#upload = startUpload(environment().DATA_BUCKET, this.#object, 'text/csv');
    for (const held of this.#held) await this.#send(this.#upload, held);
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

  async #send({ stream }: Upload, bytes: Buffer): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        if (stream.errored) return reject(stream.errored);
        stream.once('error', reject);
        stream.write(bytes, (error) => {
          stream.removeListener('error', reject);
          if (error) reject(error);
          else resolve();
        });
      });
    } catch (error) {
      throw new SafeError(`Cloud Storage: the upload of ${this.#object} broke off`, { cause: error });
    }
  }

  /** Gives the upload up; the object does not come into being. */
  abandon(): void {
    this.#upload?.stream.destroy();
  }
}
