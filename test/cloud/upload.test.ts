import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as send, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Storage } from '@google-cloud/storage';
import { PassThroughClient } from 'google-auth-library';
import { Upload } from '../../functions/cloud/upload.ts';
import { crc32cText } from '../../functions/cloud/storage.ts';
import { serve } from '../../local/http.ts';
import { openStorage } from '../../local/storage/index.ts';
import { crc32c } from '@node-rs/crc32';

/** Between the upload and a real Cloud Storage stand-in: what a network does to the PUT of a given number. */
type Fault = 'cut in the middle' | 'answer lost' | '503' | 'session gone' | 'a byte changed';
let fault: { put: number; what: Fault } | undefined;
let puts = 0;
let ranges: string[] = [];

const CHUNK = 8 * 1024 * 1024;
const CONTENT = randomBytes(2 * CHUNK + 1_234_567);

let client: Storage;
const closing: (() => Promise<void>)[] = [];

before(async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'commons-upload-'));
  const storage = await openStorage({ directory, publish: async () => {} });
  const behind = await serve(storage.handle);
  const proxy = createServer((request, response) => forward(behind.url, request, response));
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  Object.assign(process.env, {
    GOOGLE_CLOUD_PROJECT: 'commons-test',
    BIGQUERY_LOCATION: 'US',
    DATA_BUCKET: 'upload-test',
    LEDGER_BUCKET: 'upload-test',
    KMS_KEY: 'google-managed',
    STORAGE_ENDPOINT: url,
  });
  client = new Storage({ projectId: 'commons-test', apiEndpoint: behind.url, authClient: new PassThroughClient() });
  await client.createBucket('upload-test');
  closing.push(
    async () => {
      proxy.closeAllConnections();
      await new Promise((resolve) => proxy.close(resolve));
    },
    behind.close,
    storage.close,
    () => rm(directory, { recursive: true, force: true }),
  );
});

after(async () => {
  for (const close of closing) await close();
});

function forward(target: string, request: IncomingMessage, response: ServerResponse): void {
  const isPut = request.method === 'PUT';
  if (isPut) {
    puts += 1;
    ranges.push(String(request.headers['content-range']));
  }
  const what = isPut && fault?.put === puts ? fault.what : undefined;
  if (what === '503' || what === 'session gone') {
    request.resume().once('end', () => response.writeHead(what === '503' ? 503 : 410).end());
    return;
  }
  const onward = send(
    `${target}${request.url}`,
    { method: request.method ?? 'GET', headers: request.headers },
    (answer) => {
      if (what === 'answer lost') {
        answer.resume().once('end', () => request.socket.destroy());
        return;
      }
      // The session's address is the storage's own; the next chunks are to come through here too.
      const location = answer.headers.location?.replace(target, `http://${request.headers.host}`);
      response.writeHead(answer.statusCode ?? 502, { ...answer.headers, ...(location && { location }) });
      answer.pipe(response);
    },
  );
  onward.on('error', () => response.destroy());
  if (what === 'a byte changed') {
    request.once('data', (chunk: Buffer) => {
      chunk[0] = (chunk[0] ?? 0) ^ 1;
      onward.write(chunk);
      request.pipe(onward);
    });
    return;
  }
  if (what !== 'cut in the middle') {
    request.pipe(onward);
    return;
  }
  let passed = 0;
  request.on('data', (chunk: Buffer) => {
    passed += chunk.length;
    onward.write(chunk);
    if (passed > CHUNK / 2) {
      onward.destroy();
      request.socket.destroy();
    }
  });
}

async function upload(name: string, content: Buffer): Promise<string> {
  [puts, ranges] = [0, []];
  const writing = new Upload('upload-test', name, 'text/csv');
  // One buffer for all, overwritten after every write, as the export does it.
  const block = Buffer.alloc(1_000_003);
  for (let at = 0; at < content.length; at += block.length) {
    const length = content.copy(block, 0, at);
    await writing.write(block.subarray(0, length));
    block.fill(0);
  }
  return writing.finish();
}

const crcOf = (content: Buffer): string => crc32cText(crc32c(content));

async function stored(name: string): Promise<Buffer> {
  const [content] = await client.bucket('upload-test').file(name).download();
  return content;
}

for (const what of [undefined, 'cut in the middle', 'answer lost', '503'] as const) {
  for (const put of what === undefined ? [0] : [1, 2, 3]) {
    test(`an object of three chunks arrives whole; chunk ${put}: ${what ?? 'no fault'}`, async () => {
      fault = what && { put, what };
      const name = `${what ?? 'plain'} ${put}.csv`;
      assert.equal(await upload(name, CONTENT), crcOf(CONTENT));
      assert.ok((await stored(name)).equals(CONTENT));
      if (!what) {
        const total = CONTENT.length;
        assert.deepEqual(ranges, [
          `bytes 0-${CHUNK - 1}/*`,
          `bytes ${CHUNK}-${2 * CHUNK - 1}/*`,
          `bytes ${2 * CHUNK}-${total - 1}/${total}`,
        ]);
      }
    });
  }
}

test('up to one chunk is one simple request, and exactly full chunks end with a full one', async () => {
  fault = undefined;
  for (const [size, requests] of [
    [0, 0],
    [1, 0],
    [CHUNK, 0],
    [CHUNK + 1, 2],
    [2 * CHUNK, 2],
  ] as const) {
    const content = CONTENT.subarray(0, size);
    assert.equal(await upload(`size ${size}.csv`, content), crcOf(content));
    assert.ok((await stored(`size ${size}.csv`)).equals(content));
    assert.equal(puts, requests);
  }
});

test('a session that the service has forgotten ends the upload, by name and without its address', async () => {
  fault = { put: 2, what: 'session gone' };
  await assert.rejects(upload('gone.csv', CONTENT), {
    name: 'SafeError',
    message: 'Cloud Storage: the upload of gs://upload-test/gone.csv broke off (HTTP 410)',
  });
});

test('bytes that change on the way never become an object', async () => {
  for (const put of [1, 3]) {
    fault = { put, what: 'a byte changed' };
    await assert.rejects(upload('changed.csv', CONTENT), {
      name: 'SafeError',
      message: 'Cloud Storage: the upload of gs://upload-test/changed.csv broke off (HTTP 400)',
    });
    assert.deepEqual(await client.bucket('upload-test').file('changed.csv').exists(), [false]);
  }
});

test('an object of that name is not replaced', async () => {
  fault = undefined;
  await upload('once.csv', CONTENT);
  await assert.rejects(upload('once.csv', CONTENT.subarray(1)), {
    name: 'SafeError',
    message: 'Cloud Storage: could not write gs://upload-test/once.csv (HTTP 412)',
  });
  assert.ok((await stored('once.csv')).equals(CONTENT));
});
