import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { crc32c } from '@node-rs/crc32';
import { open, parse } from './storage-fixture.ts';

const GRANULE = 256 * 1024;

async function send(method: string, url: string, headers: Record<string, string> = {}, body?: string | Uint8Array) {
  const response = await fetch(url, { method, headers, redirect: 'manual', ...(body !== undefined && { body }) });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text };
}

function errorOf(text: string): unknown {
  return parse(text)['error'];
}

function crcOf(bytes: Uint8Array): string {
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32c(bytes));
  return crc.toString('base64');
}

async function startSession(url: string, query: string, headers: Record<string, string> = {}): Promise<string> {
  const started = await send('POST', `${url}/upload/storage/v1/b/data/o?uploadType=resumable&${query}`, headers);
  assert.equal(started.status, 200);
  return started.headers.get('location') ?? '';
}

/** Sends the beginning of a body and breaks the connection. */
async function sendAndBreak(url: string, headers: Record<string, string>, bytes: Uint8Array): Promise<void> {
  const sending = request(url, { method: 'PUT', headers });
  sending.on('error', () => undefined);
  await new Promise<void>((resolve, reject) => sending.write(bytes, (error) => (error ? reject(error) : resolve())));
  await wait(50);
  sending.destroy();
}

test('a broken single-request upload is resumed where its last whole granule ends', async (t) => {
  const { server, bucket } = await open(t);
  const bytes = randomBytes(5 * GRANULE + 100);
  const session = await startSession(server.url, 'name=o');
  assert.deepEqual((await send('PUT', session, { 'content-range': 'bytes */*' })).headers.get('range'), null);
  await sendAndBreak(session, { 'content-range': 'bytes 0-*/*' }, bytes.subarray(0, 3 * GRANULE + 50));
  // Asked at once, before the server may have noticed that the first connection is dead.
  const asked = await send('PUT', session, { 'content-range': 'bytes */*' });
  assert.deepEqual([asked.status, asked.headers.get('range')], [308, `bytes=0-${3 * GRANULE - 1}`]);
  const rest = await send('PUT', session, { 'content-range': `bytes ${3 * GRANULE}-*/*` }, bytes.subarray(3 * GRANULE));
  assert.deepEqual([rest.status, parse(rest.text)['crc32c']], [200, crcOf(bytes)]);
  assert.equal(parse(rest.text)['md5Hash'], createHash('md5').update(bytes).digest('base64'));
  assert.ok((await bucket.file('o').download())[0].equals(bytes));
  // A client that missed the answer asks again.
  const again = await send('PUT', session, { 'content-range': `bytes */${bytes.length}` });
  assert.deepEqual([again.status, parse(again.text)['size']], [200, String(bytes.length)]);
});

test('chunks: partial granules are sent again, overlaps ignored, holes refused', async (t) => {
  const { server, bucket } = await open(t);
  const bytes = randomBytes(3 * GRANULE);
  const session = await startSession(server.url, 'name=o');
  const chunk = (first: number, end: number, total: string) =>
    send('PUT', session, { 'content-range': `bytes ${first}-${end - 1}/${total}` }, bytes.subarray(first, end));
  const first = await chunk(0, GRANULE + 10, '*');
  assert.deepEqual([first.status, first.headers.get('range')], [308, `bytes=0-${GRANULE - 1}`]);
  const hole = await chunk(2 * GRANULE, 3 * GRANULE, '*');
  assert.deepEqual([hole.status, hole.headers.get('range')], [308, `bytes=0-${GRANULE - 1}`]);
  const overlap = await chunk(GRANULE / 2, 2 * GRANULE, '*');
  assert.deepEqual([overlap.status, overlap.headers.get('range')], [308, `bytes=0-${2 * GRANULE - 1}`]);
  assert.deepEqual(await bucket.file('o').exists(), [false]);
  const last = await chunk(2 * GRANULE, bytes.length, String(bytes.length));
  assert.deepEqual([last.status, parse(last.text)['crc32c']], [200, crcOf(bytes)]);
});

test('a session whose bytes are all there is ended by asking with the total', async (t) => {
  const { server } = await open(t);
  const session = await startSession(server.url, 'name=o');
  await send('PUT', session, { 'content-range': `bytes 0-${GRANULE - 1}/*` }, Buffer.alloc(GRANULE));
  const ended = await send('PUT', session, { 'content-range': `bytes */${GRANULE}` });
  assert.deepEqual([ended.status, parse(ended.text)['size']], [200, String(GRANULE)]);
});

test('the precondition of a session is checked at its end as well as at its start', async (t) => {
  const { server, bucket } = await open(t);
  const session = await startSession(server.url, 'name=o&ifGenerationMatch=0');
  await bucket.file('o').save('the other was faster');
  const late = await send('PUT', session, {}, 'too late');
  const message = 'At least one of the pre-conditions you specified did not hold.';
  assert.deepEqual(
    [late.status, errorOf(late.text)],
    [412, { code: 412, message, errors: [{ message, domain: 'global', reason: 'conditionNotMet' }] }],
  );
  assert.equal((await bucket.file('o').download())[0].toString(), 'the other was faster');
  const refused = await send(
    'POST',
    `${server.url}/upload/storage/v1/b/data/o?uploadType=resumable&name=o&ifGenerationMatch=0`,
  );
  assert.equal(refused.status, 412);
});

test('a cancelled, an unknown and a contradictory session', async (t) => {
  const { server } = await open(t);
  const session = await startSession(server.url, 'name=o', { 'x-upload-content-length': '10' });
  const contradiction = await send('PUT', session, { 'content-range': 'bytes 0-4/5' }, '01234');
  assert.deepEqual(
    [contradiction.status, parse(contradiction.text)['error']],
    [
      400,
      {
        code: 400,
        message: 'Content-Range says 5 bytes in all, X-Upload-Content-Length 10',
        errors: [
          {
            message: 'Content-Range says 5 bytes in all, X-Upload-Content-Length 10',
            domain: 'global',
            reason: 'invalid',
          },
        ],
      },
    ],
  );
  assert.equal((await send('DELETE', session)).status, 499);
  assert.equal((await send('PUT', session, {}, '0123456789')).status, 499);
  assert.equal((await send('PUT', `${session}x`, {}, 'x')).status, 404);
});

test('bytes that are not those that the client hashed are refused', async (t) => {
  const { server, bucket } = await open(t);
  const url = `${server.url}/upload/storage/v1/b/data/o?name=o`;
  const wrongCrc = await send('POST', `${url}&uploadType=media`, { 'x-goog-hash': `crc32c=AAAAAA==` }, 'abc');
  assert.match(wrongCrc.text, /Provided CRC32C \\"AAAAAA==\\" doesn't match calculated CRC32C \\"Nks\/tw==\\"\./);
  const md5 = createHash('md5').update('abc').digest('base64');
  const right = await send(
    'POST',
    `${url}&uploadType=media`,
    { 'x-goog-hash': `crc32c=${crcOf(Buffer.from('abc'))},md5=${md5}`, 'content-type': 'text/plain' },
    'abc',
  );
  assert.deepEqual([wrongCrc.status, right.status, parse(right.text)['contentType']], [400, 200, 'text/plain']);
  const session = await startSession(server.url, 'name=p');
  const wrongMd5 = await send('PUT', session, { 'x-goog-hash': `md5=${md5}` }, 'abd');
  assert.equal(wrongMd5.status, 400);
  assert.deepEqual(await bucket.file('p').exists(), [false]);
});

test('an object whose client had its CRC32C checked has an MD5 as well, wherever it is asked for', async (t) => {
  const { server, bucket } = await open(t);
  const bytes = randomBytes(20 * GRANULE + 1);
  const md5 = createHash('md5').update(bytes).digest('base64');
  const upload = (headers: Record<string, string>, name: string) =>
    send('POST', `${server.url}/upload/storage/v1/b/data/o?uploadType=media&name=${name}`, headers, bytes);
  const hash = `crc32c=${crcOf(bytes)}`;
  const answer = parse((await upload({}, 'plain')).text);
  assert.deepEqual([answer['crc32c'], answer['md5Hash']], [crcOf(bytes), md5]);

  for (const name of ['got', 'listed', 'read', 'copied'])
    assert.equal((await upload({ 'x-goog-hash': hash }, name)).status, 200);
  assert.equal((await bucket.file('got').getMetadata())[0].md5Hash, md5);
  const [listed] = await bucket.getFiles({ prefix: 'listed' });
  assert.deepEqual(
    listed.map(({ metadata }) => metadata.md5Hash),
    [md5],
  );
  const read = await fetch(`${server.url}/download/storage/v1/b/data/o/read?alt=media`);
  assert.equal(read.headers.get('x-goog-hash'), `${hash},md5=${md5}`);
  assert.ok(Buffer.from(await read.arrayBuffer()).equals(bytes));
  const [, copied] = await bucket.file('copied').copy(bucket.file('copy'));
  assert.equal((copied as { resource: { md5Hash: string } }).resource.md5Hash, md5);
});

for (const [name, newline] of Object.entries({ CRLF: '\r\n', LF: '\n' })) {
  test(`a multipart body with ${name} line ends, cut anywhere`, async (t) => {
    const { server, bucket } = await open(t);
    // Holds what looks like the beginning of the delimiter.
    const media = `a,b${newline}--bound${newline}1,2${newline}`;
    const body = [
      '--boundary-1',
      'Content-Type: application/json',
      '',
      '{"name":"dir/o","metadata":{"k":"v"}}',
      '--boundary-1',
      'Content-Type: text/csv',
      'MIME-Version: 1.0',
      '',
      `${media}${newline}--boundary-1--`,
    ].join(newline);
    for (const cut of [1, 7, 64, 10_000]) {
      const pieces = new ReadableStream<Uint8Array>({
        async start(controller) {
          for (let at = 0; at < body.length; at += cut) {
            controller.enqueue(Buffer.from(body.slice(at, at + cut)));
            if (cut > 1) await wait(1);
          }
          controller.close();
        },
      });
      const response = await fetch(`${server.url}/upload/storage/v1/b/data/o?uploadType=multipart`, {
        method: 'POST',
        headers: { 'content-type': 'multipart/related; boundary="boundary-1"' },
        body: pieces,
        duplex: 'half',
      });
      assert.deepEqual([response.status, parse(await response.text())['contentType']], [200, 'text/csv']);
      assert.equal((await bucket.file('dir/o').download())[0].toString(), media);
    }
  });
}

test('an upload that stops before the closing delimiter leaves no object', async (t) => {
  const { server, bucket } = await open(t);
  const body = '--b\r\n\r\n{"name":"o"}\r\n--b\r\n\r\nhalf';
  const cut = await send(
    'POST',
    `${server.url}/upload/storage/v1/b/data/o?uploadType=multipart`,
    { 'content-type': 'multipart/related; boundary=b' },
    body,
  );
  assert.match(cut.text, /Missing end boundary in multipart body\./);
  assert.deepEqual([cut.status, await bucket.file('o').exists()], [400, [false]]);
});

test('a download tells hashes, generation and encoding; ranges and their limits', async (t) => {
  const { server, bucket } = await open(t);
  await bucket.file('a/b').save('0123456789', { contentType: 'text/plain', resumable: false });
  const [{ generation }] = await bucket.file('a/b').getMetadata();
  const url = `${server.url}/download/storage/v1/b/data/o/a%2Fb?alt=media`;
  const whole = await send('GET', url);
  const md5 = createHash('md5').update('0123456789').digest('base64');
  assert.deepEqual(
    ['x-goog-hash', 'x-goog-generation', 'x-goog-stored-content-encoding', 'content-type', 'content-length'].map(
      (name) => whole.headers.get(name),
    ),
    [`crc32c=${crcOf(Buffer.from('0123456789'))},md5=${md5}`, generation, 'identity', 'text/plain', '10'],
  );
  const part = await send('GET', url, { range: 'bytes=-4' });
  assert.deepEqual([part.status, part.text, part.headers.get('content-range')], [206, '6789', 'bytes 6-9/10']);
  const beyond = await send('GET', url, { range: 'bytes=10-' });
  assert.deepEqual([beyond.status, beyond.headers.get('content-range')], [416, 'bytes */10']);
  assert.deepEqual((await send('GET', url, { range: 'bytes=0-1,4-5' })).status, 200);
});

test('a read is 304 when the generation is still the one the client has, a write 412', async (t) => {
  const { server, bucket } = await open(t);
  await bucket.file('o').save('x');
  const [{ generation }] = await bucket.file('o').getMetadata();
  const url = `${server.url}/storage/v1/b/data/o/o`;
  const same = `ifGenerationNotMatch=${generation}`;
  for (const query of [same, `${same}&alt=media`, 'ifMetagenerationNotMatch=1']) {
    const response = await send('GET', `${url}?${query}`);
    assert.deepEqual([response.status, response.text], [304, '']);
  }
  assert.equal((await send('DELETE', `${url}?${same}`)).status, 412);
  assert.equal((await send('GET', `${url}?ifGenerationMatch=1`)).status, 412);
  assert.equal((await send('GET', `${url}?ifGenerationMatch=x`)).status, 400);
  assert.equal((await send('GET', `${url}?generation=1`)).status, 404);
  const upload = `${server.url}/upload/storage/v1/b/data/o?uploadType=media`;
  assert.equal((await send('POST', `${upload}&name=new&ifGenerationMatch=5`, {}, 'x')).status, 412);
  assert.equal((await send('POST', `${upload}&name=new&ifGenerationNotMatch=0`, {}, 'x')).status, 412);
  const copy = `${url}/copyTo/b/data/o/copy`;
  assert.equal((await send('POST', `${copy}?ifSourceGenerationMatch=1`)).status, 412);
  assert.equal((await send('POST', `${copy}?ifGenerationMatch=0`)).status, 200);
  assert.equal((await send('POST', `${copy}?ifGenerationMatch=0`)).status, 412);
  const deleted = await send('DELETE', url);
  assert.deepEqual([deleted.status, deleted.text, deleted.headers.get('content-length')], [204, '', null]);
});

test('fields cut answers down', async (t) => {
  const { server, bucket } = await open(t);
  await bucket.file('a').save('1', { metadata: { metadata: { k: 'v', l: 'w' } } });
  const get = async (path: string) => parse((await send('GET', `${server.url}/storage/v1/b/data/o${path}`)).text);
  assert.deepEqual(await get('?fields=items(name,metadata/k),nextPageToken&projection=full'), {
    items: [{ name: 'a', metadata: { k: 'v' } }],
  });
  assert.deepEqual(await get('?fields=kind,items/name,items/size'), {
    kind: 'storage#objects',
    items: [{ name: 'a', size: '1' }],
  });
  assert.deepEqual(await get('/a?fields=metadata/*'), { metadata: { k: 'v', l: 'w' } });
  const invalid = await send('GET', `${server.url}/storage/v1/b/data/o?fields=items(name`);
  assert.match(invalid.text, /Invalid field selection items\(name/);
});

test('a batch answers its calls in order, each for itself', async (t) => {
  const { server, bucket } = await open(t);
  await bucket.file('a').save('1');
  const part = (id: number, request: string, json = '') =>
    `--batch\r\nContent-Type: application/http\r\nContent-ID: <c+${id}>\r\n\r\n${request} HTTP/1.1\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${json.length}\r\n\r\n${json}\r\n`;
  const answered = await send(
    'POST',
    `${server.url}/batch/storage/v1`,
    { 'content-type': 'multipart/mixed; boundary="batch"' },
    part(1, 'PATCH /storage/v1/b/data/o/a?fields=metadata', '{"metadata":{"k":"v"}}') +
      part(2, 'DELETE /storage/v1/b/data/o/none') +
      part(3, 'DELETE /storage/v1/b/data/o/a') +
      '--batch--\r\n',
  );
  assert.deepEqual(
    [...answered.text.matchAll(/Content-ID: (.*)\r\n\r\nHTTP\/1\.1 (\d+) /g)].map(([, id, status]) => [id, status]),
    [
      ['<response-c+1>', '200'],
      ['<response-c+2>', '404'],
      ['<response-c+3>', '204'],
    ],
  );
  assert.match(answered.text, /\r\n\r\n\{"metadata":\{"k":"v"\}\}\r\n/);
  assert.deepEqual(await bucket.file('a').exists(), [false]);
});

test('names that are no names, and paths that are no operations', async (t) => {
  const { server } = await open(t);
  const upload = `${server.url}/upload/storage/v1/b/data/o?uploadType=media`;
  for (const name of ['', '..', 'a%0Ab', 'x'.repeat(1025)]) {
    assert.equal((await send('POST', `${upload}&name=${name}`, {}, 'x')).status, 400);
  }
  assert.equal((await send('POST', `${upload}&name=${'x'.repeat(1024)}`, {}, 'x')).status, 200);
  assert.equal((await send('POST', `${server.url}/storage/v1/b?project=p`, {}, '{"name":"../up"}')).status, 400);
  const unknown = await send('GET', `${server.url}/storage/v1/b/data/unheard`);
  assert.deepEqual(
    [unknown.status, (errorOf(unknown.text) as { message: string }).message],
    [501, 'The local GCS does not implement: GET /b/data/unheard'],
  );
});

test('an upload that is refused early still gets its answer, and the connection stays usable', async (t) => {
  const { server, bucket } = await open(t);
  await bucket.file('o').save('x');
  const large = Buffer.alloc(20 * 1024 * 1024);
  const url = `${server.url}/upload/storage/v1/b/data/o?uploadType=media&name=o&ifGenerationMatch=0`;
  for (let time = 0; time < 3; time++) assert.equal((await send('POST', url, {}, large)).status, 412);
});
