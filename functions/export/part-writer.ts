import { Upload } from '../cloud/upload.ts';
import { environment } from '../environment.ts';
import type { Part } from '../mirror/plan.ts';

/** One CSV object being written: nothing on disk, and no more in memory than the upload's own chunks. */
export class PartWriter {
  rows = 0;

  readonly #object: string;
  readonly #upload: Upload;

  constructor(object: string) {
    this.#object = object;
    this.#upload = new Upload(environment().DATA_BUCKET, object, 'text/csv');
  }

  get bytes(): number {
    return this.#upload.bytes;
  }

  /** Takes whole rows; `bytes` may be used again at once. */
  async write(bytes: Buffer, rows: number): Promise<void> {
    this.rows += rows;
    await this.#upload.write(bytes);
  }

  /** Completes the object. Throws unless the service's crc32c is that of the bytes written. */
  async finish(): Promise<Part> {
    const crc32c = await this.#upload.finish();
    return { object: this.#object, rows: this.rows, bytes: this.bytes, crc32c };
  }

  /** Gives the upload up; the object does not come into being. */
  abandon(): void {
    this.#upload.abandon();
  }
}
