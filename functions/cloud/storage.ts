import { crc32c } from '@node-rs/crc32';
import { IdempotencyStrategy, Storage, type Bucket } from '@google-cloud/storage';
import type { z } from 'zod';
import { environment } from '../environment.ts';
import { PermanentError, SafeError } from '../mirror/errors.ts';
import { credentialsFor } from './credentials.ts';

/** Google Cloud Storage: small JSON documents with preconditions, and streams. */

let client: Storage | undefined;

function bucketNamed(name: string): Bucket {
  const { GOOGLE_CLOUD_PROJECT: projectId, STORAGE_ENDPOINT: apiEndpoint } = environment();
  client ??= new Storage({
    projectId,
    ...(apiEndpoint && { apiEndpoint }),
    ...credentialsFor(apiEndpoint),
    // Every write below carries a precondition or is a whole upload under a name of its own: repeating it is safe.
    retryOptions: { idempotencyStrategy: IdempotencyStrategy.RetryAlways },
  });
  return client.bucket(name);
}

/** The HTTP status of a refusal; the client has more than one class for it. */
function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = 'code' in error ? Number(error.code) : Number.NaN;
  const status = 'status' in error ? Number(error.status) : Number.NaN;
  return [code, status].find((value) => value >= 400 && value < 600);
}

/** A stored document; `generation` names this very version, for a compare-and-set. */
export type Stored<T> = { value: T; generation: string };

/** Reads and checks a JSON document, in one request; undefined where there is none. */
export async function readJson<T>(bucket: string, name: string, schema: z.ZodType<T>): Promise<Stored<T> | undefined> {
  try {
    let found = await download(bucket, name);
    // Content and generation belong together: where the answer does not say, both are asked for again by generation.
    if (found.generation === undefined) {
      const [metadata] = await bucketNamed(bucket).file(name).getMetadata();
      found = await download(bucket, name, String(metadata.generation));
    }
    return { value: parseStored(bucket, name, found.value, schema), generation: found.generation ?? '' };
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw storageError(error, 'read', bucket, name);
  }
}

/**
 * A JSON document, parsed, and its generation where the answer says so. No stream: after an answer that it tries again (429,
 * 5xx), the client pipes into a stream that it has just destroyed, and nobody handles that rejection.
 */
async function download(
  bucket: string,
  name: string,
  wanted?: string,
): Promise<{ value: unknown; generation: string | undefined }> {
  const qs = { alt: 'media', ...(wanted !== undefined && { generation: wanted }) };
  const [value, response] = await bucketNamed(bucket).file(name).request({ uri: '', qs });
  const told = response.headers['x-goog-generation'];
  return { value, generation: wanted ?? (typeof told === 'string' ? told : undefined) };
}

const MOST_FAULTS = 5;

function parseStored<T>(bucket: string, name: string, value: unknown, schema: z.ZodType<T>): T {
  // What is no JSON, the client hands over as text.
  if (typeof value === 'string') throw new PermanentError(`gs://${bucket}/${name} is not JSON`);
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  // A plan of another version has a fault per column: thousands, all of one kind.
  const named =
    faults.length > MOST_FAULTS ? [...faults.slice(0, MOST_FAULTS), `and ${faults.length - MOST_FAULTS} more`] : faults;
  throw new PermanentError(`gs://${bucket}/${name} has another form than this version writes: ${named.join('; ')}`);
}

/**
 * Writes a JSON document if the live version is `generation` ('0': if there is none). False where it is not: somebody
 * else was first.
 */
export async function writeJson(bucket: string, name: string, value: unknown, generation: string): Promise<boolean> {
  const content = JSON.stringify(value);
  try {
    await bucketNamed(bucket)
      .file(name)
      .save(content, {
        resumable: false,
        contentType: 'application/json',
        validation: false,
        preconditionOpts: { ifGenerationMatch: generation },
      });
    return true;
  } catch (error) {
    if (statusOf(error) !== 412) throw storageError(error, 'write', bucket, name);
    // A repeated request whose first answer was lost meets its own object.
    return generation === '0' && (await holds(bucket, name, content));
  }
}

async function holds(bucket: string, name: string, content: string): Promise<boolean> {
  try {
    return JSON.stringify((await download(bucket, name)).value) === content;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw storageError(error, 'read', bucket, name);
  }
}

/** Creates a JSON document, once. False where one of that name exists. */
export const createJson = (bucket: string, name: string, value: unknown): Promise<boolean> =>
  writeJson(bucket, name, value, '0');

/** Names under a prefix, in order, each with its live generation. */
export async function listObjects(bucket: string, prefix: string): Promise<Map<string, string>> {
  try {
    const [files] = await bucketNamed(bucket).getFiles({ prefix });
    return new Map(files.map(({ name, metadata }) => [name, String(metadata.generation)]));
  } catch (error) {
    throw storageError(error, 'list', bucket, prefix);
  }
}

/** The folders directly under a prefix, such as the runs under `runs/`. */
export async function listFolders(bucket: string, prefix: string): Promise<string[]> {
  const folders: string[] = [];
  let pageToken: string | undefined;
  do {
    const [, next, response] = await bucketNamed(bucket).getFiles({
      prefix,
      delimiter: '/',
      autoPaginate: false,
      ...(pageToken && { pageToken }),
    });
    const page = response as { prefixes?: string[] } | undefined;
    folders.push(...(page?.prefixes ?? []));
    pageToken = (next as { pageToken?: string } | null)?.pageToken;
  } while (pageToken);
  return folders;
}

/** Deletes an object; that it is not there is as well. */
export async function deleteObject(bucket: string, name: string): Promise<void> {
  await bucketNamed(bucket).file(name).delete({ ignoreNotFound: true });
}

/** Creates an object from memory. Throws where one of that name exists. */
export async function createObject(
  bucket: string,
  name: string,
  content: Buffer,
  contentType: string,
): Promise<string> {
  const file = bucketNamed(bucket).file(name);
  const expected = crc32cOf(content);
  try {
    await file.save(content, {
      resumable: false,
      contentType,
      // The service refuses bytes of another hash, before they become an object.
      metadata: { crc32c: expected },
      validation: false,
      preconditionOpts: { ifGenerationMatch: 0 },
    });
  } catch (error) {
    throw storageError(error, 'write', bucket, name);
  }
  return checkedCrc32c(bucket, name, file.metadata.crc32c, expected);
}

/**
 * Opens a resumable upload: a URL that takes the object's bytes in chunks, without further credentials, and from which the
 * object comes into being with the last one, or never. Refused at the end where an object of that name exists.
 */
export async function openUpload(bucket: string, name: string, contentType: string): Promise<string> {
  try {
    const [session] = await bucketNamed(bucket)
      .file(name)
      .createResumableUpload({ metadata: { contentType }, preconditionOpts: { ifGenerationMatch: 0 } });
    return session;
  } catch (error) {
    throw storageError(error, 'write', bucket, name);
  }
}

/** Base64 of the big-endian CRC32C, the form that the service uses. */
export function crc32cOf(content: Buffer, previous = 0): string {
  return crc32cText(crc32c(content, previous));
}

export function crc32cText(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes.toString('base64');
}

export function checkedCrc32c(bucket: string, name: string, received: string | undefined, expected: string): string {
  if (received === expected) return expected;
  throw new SafeError(
    `gs://${bucket}/${name}: the service's crc32c is ${received ?? 'missing'}, sent were ${expected}`,
  );
}

function storageError(error: unknown, verb: string, bucket: string, name: string): Error {
  if (error instanceof SafeError || error instanceof PermanentError) return error;
  const status = statusOf(error);
  const text = `Cloud Storage: could not ${verb} gs://${bucket}/${name}${status ? ` (HTTP ${status})` : ''}`;
  return new SafeError(text, { cause: error });
}
