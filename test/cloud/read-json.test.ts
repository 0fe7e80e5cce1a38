import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Storage } from '@google-cloud/storage';
import { PassThroughClient } from 'google-auth-library';
import { z } from 'zod';
import { createJson, readJson, writeJson } from '../../functions/cloud/storage.ts';
import { ApiError, serve } from '../../local/http.ts';
import { openStorage } from '../../local/storage/index.ts';

/** Small documents, over the real client against the local Cloud Storage, which can be made to refuse. */

const Document = z.object({ n: z.number() });
const BUCKET = 'ledger';
let apiEndpoint: string;
/** How often the next reads are answered 503. */
let refusals = 0;
const closing: (() => Promise<unknown>)[] = [];

before(async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'read-json-'));
  closing.push(() => rm(directory, { recursive: true, force: true }));
  const storage = await openStorage({ directory, publish: async () => {} });
  closing.push(storage.close);
  const server = await serve(async (request, response) => {
    if (request.method === 'GET' && refusals-- > 0) throw new ApiError(503, 'backendError', 'Try again');
    await storage.handle(request, response);
  });
  closing.push(server.close);
  apiEndpoint = server.url;
  Object.assign(process.env, {
    GOOGLE_CLOUD_PROJECT: 'commons-local',
    BIGQUERY_LOCATION: 'US',
    DATA_BUCKET: 'data',
    LEDGER_BUCKET: BUCKET,
    KMS_KEY: 'google-managed',
    STORAGE_ENDPOINT: apiEndpoint,
    METADATA_SERVER_DETECTION: 'none',
  });
  await client().createBucket(BUCKET);
});
after(async () => {
  for (const close of closing.toReversed()) await close();
});

const client = (): Storage =>
  new Storage({ projectId: 'commons-local', apiEndpoint, authClient: new PassThroughClient() });

test('a document is read with the generation that replaces it', async () => {
  assert.equal(await readJson(BUCKET, 'absent.json', Document), undefined);
  assert.equal(await createJson(BUCKET, 'one.json', { n: 1 }), true);
  const first = await readJson(BUCKET, 'one.json', Document);
  assert.deepEqual(first?.value, { n: 1 });
  assert.equal(await writeJson(BUCKET, 'one.json', { n: 2 }, first.generation), true);
  assert.equal(await writeJson(BUCKET, 'one.json', { n: 3 }, first.generation), false);
  assert.deepEqual((await readJson(BUCKET, 'one.json', Document))?.value, { n: 2 });
  // As after a lost answer: what is there is what was to be created.
  assert.equal(await createJson(BUCKET, 'one.json', { n: 2 }), true);
  assert.equal(await createJson(BUCKET, 'one.json', { n: 3 }), false);
});

// The runner fails a test in which a rejection is handled by nobody.
test('an answer that is tried again leaves nothing behind', async () => {
  await createJson(BUCKET, 'busy.json', { n: 1 });
  refusals = 1;
  assert.deepEqual((await readJson(BUCKET, 'busy.json', Document))?.value, { n: 1 });
  assert.ok(refusals < 0);
});

test('what is not of this form is told with its place', async () => {
  await client().bucket(BUCKET).file('text.json').save('not JSON', { resumable: false, contentType: 'text/plain' });
  await assert.rejects(readJson(BUCKET, 'text.json', Document), {
    name: 'PermanentError',
    message: 'gs://ledger/text.json is not JSON',
  });
  await createJson(BUCKET, 'other.json', { n: 'one' });
  await assert.rejects(readJson(BUCKET, 'other.json', Document), {
    name: 'PermanentError',
    message:
      'gs://ledger/other.json has another form than this version writes: n: Invalid input: expected number, received string',
  });
});
