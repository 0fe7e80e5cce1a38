import { request as plainRequest, Agent as PlainAgent, type IncomingMessage } from 'node:http';
import { request as tlsRequest, Agent as TlsAgent } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32c } from '@node-rs/crc32';
import { z } from 'zod';
import { SafeError } from '../mirror/errors.ts';
import { checkedCrc32c, crc32cText, createObject, openUpload } from './storage.ts';

/**
 * One object, written as its bytes come. The storage client's own stream makes garbage of every buffer, which at this rate
 * costs as much as all the rest; so the client opens the resumable upload, and the chunks are sent here, from buffers that
 * are used again. While one chunk is on its way the next is filled: memory is two chunks an object, whatever its size.
 */

/** Cloud Storage: "chunks must be multiples of 256 KiB". What a broken connection makes us send again, at the most. */
const CHUNK_BYTES = 8 * 1024 * 1024;

/** Buffers that nobody uses at the moment; as many as were ever needed at once. */
const idle: Buffer[] = [];

export class Upload {
  bytes = 0;

  readonly #bucket: string;
  readonly #name: string;
  readonly #contentType: string;
  #crc = 0;
  #chunk: Buffer | undefined;
  #filled = 0;
  #session: string | undefined;
  /** Bytes of the chunks before the one that is being filled. */
  #offset = 0;
  #sending: Promise<void> = Promise.resolve();

  constructor(bucket: string, name: string, contentType: string) {
    this.#bucket = bucket;
    this.#name = name;
    this.#contentType = contentType;
  }

  /** Takes `bytes`, which the caller may use again at once. Waits while two chunks are full. */
  async write(bytes: Buffer): Promise<void> {
    this.#crc = crc32c(bytes, this.#crc);
    this.bytes += bytes.length;
    for (let at = 0; at < bytes.length;) {
      // A full chunk is sent only now that more comes: the last one must not be empty.
      if (this.#filled === CHUNK_BYTES) await this.#send();
      this.#chunk ??= idle.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
      const copied = bytes.copy(this.#chunk, this.#filled, at);
      this.#filled += copied;
      at += copied;
    }
  }

  /** Completes the object and gives its crc32c. Throws unless the service's is that of the bytes written. */
  async finish(): Promise<string> {
    const expected = crc32cText(this.#crc);
    try {
      const last = (this.#chunk ?? Buffer.alloc(0)).subarray(0, this.#filled);
      if (this.#session === undefined) return await createObject(this.#bucket, this.#name, last, this.#contentType);
      await this.#sending;
      const answer = await this.#put(last, { bytes: this.bytes, crc32c: expected });
      return checkedCrc32c(this.#bucket, this.#name, answer?.crc32c, expected);
    } finally {
      this.#giveBack(this.#chunk);
      this.#chunk = undefined;
    }
  }

  /** Gives the upload up: the object does not come into being, and the service forgets the rest in a week. */
  abandon(): void {
    // A chunk on its way still reads its buffer: that one is left to the garbage collector.
    this.#sending.catch(() => {});
    this.#chunk = undefined;
  }

  async #send(): Promise<void> {
    await this.#sending;
    this.#session ??= await openUpload(this.#bucket, this.#name, this.#contentType);
    const chunk = this.#chunk;
    if (!chunk) return;
    this.#sending = this.#put(chunk, undefined).then(() => this.#giveBack(chunk));
    // Its failure is told by the next `write` or by `finish`.
    this.#sending.catch(() => {});
    this.#offset += this.#filled;
    this.#chunk = undefined;
    this.#filled = 0;
  }

  #giveBack(chunk: Buffer | undefined): void {
    if (chunk) idle.push(chunk);
  }

  /** Sends one chunk, from where the service has it where a connection breaks. `whole` with the last one. */
  async #put(chunk: Buffer, whole: Whole | undefined): Promise<Completed | undefined> {
    const start = this.#offset;
    const end = start + chunk.length;
    let sent = start;
    for (let attempt = 1; ; attempt++) {
      const rest = chunk.subarray(sent - start);
      const answer = await put(this.#session ?? '', rest, headersOf(sent, end, whole)).catch(() => undefined);
      if (answer?.status === 200 || answer?.status === 201) return Completed.parse(JSON.parse(answer.body));
      if (answer?.status === 308 && answer.received === end) return undefined;
      if ((answer && !isTransient(answer.status)) || attempt === ATTEMPTS) {
        const how = answer ? `HTTP ${answer.status}` : 'no answer';
        throw new SafeError(`Cloud Storage: the upload of gs://${this.#bucket}/${this.#name} broke off (${how})`);
      }
      await sleep(Math.min(2 ** attempt * 100, LONGEST_WAIT_MS) * (0.5 + Math.random() / 2));
      // "To check the status, send an empty PUT with Content-Range: bytes */*": where to go on, or that it is complete.
      const known = await put(this.#session ?? '', Buffer.alloc(0), headersOf(end, end, whole)).catch(() => undefined);
      if (known?.status === 200 || known?.status === 201) return Completed.parse(JSON.parse(known.body));
      if (known?.status === 308 && known.received >= start && known.received <= end) sent = known.received;
      if (sent === end && !whole) return undefined;
    }
  }
}

const ATTEMPTS = 10;
const LONGEST_WAIT_MS = 30_000;
/** A connection that moves nothing for so long is dead. */
const SILENCE_MS = 60_000;

/** What the object is to be in the end. */
type Whole = { bytes: number; crc32c: string };

/** With the hash, the service refuses bytes that are not those, before they become an object whose event somebody acts on. */
const headersOf = (from: number, to: number, whole: Whole | undefined): Record<string, string> => ({
  'content-range': `bytes ${from === to ? '*' : `${from}-${to - 1}`}/${whole?.bytes ?? '*'}`,
  ...(whole && { 'x-goog-hash': `crc32c=${whole.crc32c}` }),
});

const Completed = z.object({ crc32c: z.string().optional() });
type Completed = z.infer<typeof Completed>;

/** 308 is "go on"; the service asks to repeat after 408, 429 and 5xx. */
const isTransient = (status: number): boolean => status === 308 || status === 408 || status === 429 || status >= 500;

type Answer = {
  status: number;
  body: string;
  /** Bytes that the service has, by its Range header. */ received: number;
};

const agents = { plain: new PlainAgent({ keepAlive: true }), tls: new TlsAgent({ keepAlive: true }) };

function put(session: string, body: Buffer, range: Record<string, string>): Promise<Answer> {
  const url = new URL(session);
  const isPlain = url.protocol === 'http:';
  return new Promise((resolve, reject) => {
    const headers = { 'content-length': body.length, ...range };
    const options = { method: 'PUT', headers, timeout: SILENCE_MS };
    const request = isPlain
      ? plainRequest(url, { ...options, agent: agents.plain })
      : tlsRequest(url, { ...options, agent: agents.tls });
    request.once('timeout', () => request.destroy(new Error('no answer')));
    request.once('error', reject);
    request.once('response', (response) => void answerOf(response).then(resolve, reject));
    request.end(body);
  });
}

async function answerOf(response: IncomingMessage): Promise<Answer> {
  let body = '';
  for await (const chunk of response) body += String(chunk);
  const last = /^bytes=0-(\d+)$/u.exec(response.headers.range ?? '')?.[1];
  return { status: response.statusCode ?? 0, body, received: last === undefined ? 0 : Number(last) + 1 };
}
