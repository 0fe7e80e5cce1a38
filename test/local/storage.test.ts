import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { ApiError as ClientError, Storage, type BucketMetadata, type FileMetadata } from '@google-cloud/storage';
import { crc32c } from '@node-rs/crc32';
import { ApiError } from '../../local/http.ts';
import { open, publishedSoon } from './storage-fixture.ts';

test('a bucket keeps what was set and gives it back', async (t) => {
  const { client } = await open(t);
  const lifecycle: BucketMetadata['lifecycle'] = { rule: [{ action: { type: 'Delete' }, condition: { age: 2 } }] };
  await client.createBucket('kept', { location: 'eu', lifecycle, versioning: { enabled: true } });
  const [set] = await client.bucket('kept').setMetadata({ labels: { team: 'data' } });
  assert.deepEqual(
    [set.name, set.location, set.locationType, set.lifecycle, set.versioning, set.labels, set.metageneration],
    ['kept', 'EU', 'multi-region', lifecycle, { enabled: true }, { team: 'data' }, '2'],
  );
  assert.deepEqual(
    (await client.getBuckets({ prefix: 'ke' }))[0].map(({ name }) => name),
    ['kept'],
  );
  await assert.rejects(client.createBucket('kept'), { code: 409 });
  await client.bucket('kept').delete();
  assert.deepEqual(await client.bucket('kept').exists(), [false]);
  await assert.rejects(client.bucket('kept').getFiles(), {
    code: 404,
    message: 'The specified bucket does not exist: kept',
  });
});

test('a bucket that holds an object is not deleted', async (t) => {
  const { bucket } = await open(t);
  await bucket.file('o').save('x');
  await assert.rejects(bucket.delete(), { code: 409, message: 'The bucket you tried to delete is not empty.' });
});

for (const [kind, options] of Object.entries({
  'a multipart upload': { resumable: false },
  'a resumable upload in one request': { resumable: true },
  'a resumable upload in chunks': { resumable: true, chunkSize: 256 * 1024 },
})) {
  test(`${kind} arrives whole, with the hashes that the client has`, async (t) => {
    const { bucket, local } = await open(t);
    const bytes = randomBytes(1_000_003);
    const file = bucket.file('dir/ünïcode 😀/a+b?.csv');
    await file.save(bytes, { ...options, contentType: 'text/csv', metadata: { metadata: { rows: '7' } } });
    const [metadata] = await file.getMetadata();
    const crc = Buffer.alloc(4);
    crc.writeUInt32BE(crc32c(bytes));
    assert.deepEqual(
      [metadata.size, metadata.crc32c, metadata.contentType, metadata.metadata, metadata.metageneration],
      ['1000003', crc.toString('base64'), 'text/csv', { rows: '7' }, '1'],
    );
    // The client checks these against what it hashed, and throws if one is missing.
    assert.ok((await file.download({ validation: 'md5' }))[0].equals(bytes));
    assert.ok((await file.download({ validation: 'crc32c' }))[0].equals(bytes));
    assert.ok((await readFile(await local.locate(bucket.name, file.name))).equals(bytes));
  });
}

test('an empty object and one of exactly a chunk arrive whole', async (t) => {
  const { bucket } = await open(t);
  for (const size of [0, 256 * 1024, 512 * 1024]) {
    for (const options of [{ resumable: false }, {}, { chunkSize: 256 * 1024 }]) {
      await bucket.file('o').save(Buffer.alloc(size, 1), options);
      assert.equal((await bucket.file('o').download())[0].length, size);
    }
  }
});

test('locate says 404 for what is not there', async (t) => {
  const { bucket, local } = await open(t);
  await assert.rejects(
    local.locate(bucket.name, 'none'),
    new ApiError(404, 'notFound', `No such object: ${bucket.name}/none`),
  );
});

test('of many creators with ifGenerationMatch=0 one wins, however they upload', async (t) => {
  const { bucket } = await open(t);
  const attempts = await Promise.allSettled(
    Array.from({ length: 12 }, (_, index) =>
      bucket.file('claim').save(String(index), {
        resumable: index % 2 === 0,
        preconditionOpts: { ifGenerationMatch: 0 },
      }),
    ),
  );
  const winners = attempts.flatMap(({ status }, index) => (status === 'fulfilled' ? [String(index)] : []));
  assert.equal(winners.length, 1);
  // The client rejects with its own error, or with the plain error of an answer that came after the bytes.
  const codes = attempts.flatMap((attempt) =>
    attempt.status === 'rejected' ? [(attempt.reason as { code: unknown }).code] : [],
  );
  assert.deepEqual(
    codes,
    Array.from({ length: 11 }, () => 412),
  );
  assert.equal((await bucket.file('claim').download())[0].toString(), winners[0]);
});

test('compare-and-set by generation', async (t) => {
  const { bucket } = await open(t);
  await bucket.file('pointer').save('1');
  const [{ generation }] = await bucket.file('pointer').getMetadata();
  assert.ok(generation);
  await bucket.file('pointer').save('2', { preconditionOpts: { ifGenerationMatch: generation } });
  await assert.rejects(
    bucket.file('pointer').save('3', { resumable: false, preconditionOpts: { ifGenerationMatch: generation } }),
    (error) => error instanceof ClientError && error.code === 412,
  );
  await assert.rejects(bucket.file('pointer', { generation }).download(), { code: 404 });
  assert.equal((await bucket.file('pointer').download())[0].toString(), '2');
  await assert.rejects(bucket.file('pointer').delete({ ifGenerationMatch: generation }), { code: 412 });
  await bucket.file('pointer').delete();
  await assert.rejects(bucket.file('pointer').delete(), {
    code: 404,
    message: `No such object: ${bucket.name}/pointer`,
  });
});

test('ranges', async (t) => {
  const { bucket } = await open(t);
  const file = bucket.file('digits');
  await file.save('0123456789');
  assert.equal((await file.download({ start: 2, end: 4 }))[0].toString(), '234');
  assert.equal((await file.download({ start: 7 }))[0].toString(), '789');
  assert.equal((await file.download({ end: -3 }))[0].toString(), '789');
  assert.equal((await file.download({ start: 5, end: 100 }))[0].toString(), '56789');
  await assert.rejects(file.download({ start: 10 }), { code: 416 });
});

test('metadata is patched, members removed by null, metageneration counted', async (t) => {
  const { bucket } = await open(t);
  const file = bucket.file('o');
  await file.save('x', { metadata: { cacheControl: 'no-store', metadata: { a: '1', b: '2' } } });
  const patch: FileMetadata = { contentLanguage: 'en', metadata: { a: null, c: '3' } };
  const [patched] = await file.setMetadata(patch, { ifMetagenerationMatch: 1 });
  assert.deepEqual(
    [patched.metadata, patched.cacheControl, patched.contentLanguage, patched.metageneration],
    [{ b: '2', c: '3' }, 'no-store', 'en', '2'],
  );
  await assert.rejects(file.setMetadata({ contentType: 'a/b' }, { ifMetagenerationMatch: 1 }), { code: 412 });
});

test('copies keep bytes and metadata, and outlive their source', async (t) => {
  const { bucket } = await open(t);
  await bucket.file('a').save('bytes', { contentType: 'text/plain', metadata: { metadata: { k: 'v' } } });
  await bucket.file('a').copy(bucket.file('sub/b'));
  await bucket.file('a').delete();
  const [metadata] = await bucket.file('sub/b').getMetadata();
  assert.deepEqual([metadata.contentType, metadata.metadata], ['text/plain', { k: 'v' }]);
  assert.equal((await bucket.file('sub/b').download())[0].toString(), 'bytes');
  await assert.rejects(bucket.file('a').copy(bucket.file('c')), { code: 404 });
});

test('a composed object is the parts in order, with a component count and without MD5', async (t) => {
  const { bucket } = await open(t);
  for (const name of ['1', '2', '3']) await bucket.file(name).save(`part ${name}\n`);
  const [composed] = await bucket.combine(['2', '1', '3', '1'], 'all.csv');
  assert.equal((await composed.download())[0].toString(), 'part 2\npart 1\npart 3\npart 1\n');
  const [metadata] = await composed.getMetadata();
  assert.deepEqual([metadata.componentCount, metadata.md5Hash, metadata.size], [4, undefined, '28']);
  await assert.rejects(
    bucket.combine(
      Array.from({ length: 33 }, () => '1'),
      'x.csv',
    ),
    {
      message: 'The number of source components provided (33) is not between 1 and 32.',
    },
  );
});

test('lists in byte order, by prefix, delimiter, offsets and pages', async (t) => {
  const { bucket } = await open(t);
  const names = ['a', 'a/1', 'a/2', 'b/x/1', 'b/y', 'é', '\uff5e', '😀'];
  await Promise.all(names.toReversed().map((name) => bucket.file(name).save('', { resumable: false })));
  const list = async (query: object) => {
    const [files, , response] = await bucket.getFiles({ autoPaginate: false, ...query });
    const { prefixes, nextPageToken } = response as { prefixes?: string[]; nextPageToken?: string };
    return { names: files.map(({ name }) => name), prefixes, nextPageToken };
  };
  assert.deepEqual((await list({})).names, names);
  assert.deepEqual((await list({ prefix: 'b/' })).names, ['b/x/1', 'b/y']);
  assert.deepEqual((await list({ startOffset: 'a/2', endOffset: 'é' })).names, ['a/2', 'b/x/1', 'b/y']);
  assert.deepEqual(await list({ delimiter: '/' }), {
    names: ['a', 'é', '\uff5e', '😀'],
    prefixes: ['a/', 'b/'],
    nextPageToken: undefined,
  });
  assert.deepEqual((await list({ prefix: 'b/', delimiter: '/' })).prefixes, ['b/x/']);
  const seen: string[] = [];
  let pageToken: string | undefined;
  do {
    const page = await list({ delimiter: '/', maxResults: 1, ...(pageToken && { pageToken }) });
    seen.push(...(page.prefixes ?? []), ...page.names);
    pageToken = page.nextPageToken;
  } while (pageToken);
  assert.deepEqual(seen, ['a', 'a/', 'b/', 'é', '\uff5e', '😀']);
  assert.equal((await bucket.getFiles({ maxResults: 3 }))[0].length, 3);
});

test('notifications: creation, prefix and event filters, overwrite, update, deletion', async (t) => {
  const { bucket, published } = await open(t);
  const [notification] = await bucket.createNotification('objects', {
    objectNamePrefix: 'chunks/',
    customAttributes: { env: 'test' },
  });
  assert.deepEqual(
    [notification.id, notification.metadata.topic, notification.metadata['payload_format']],
    ['1', '//pubsub.googleapis.com/projects/p/topics/objects', 'JSON_API_V1'],
  );
  await bucket.createNotification('projects/q/topics/gone', { eventTypes: ['OBJECT_DELETE'], payloadFormat: 'NONE' });
  assert.equal((await bucket.getNotifications())[0].length, 2);

  const file = bucket.file('chunks/r/1.json');
  await bucket.file('elsewhere').save('x');
  await file.save('{}', { contentType: 'application/json' });
  const [first] = await file.getMetadata();
  const [created] = await publishedSoon(published, 1);
  assert.ok(created);
  const { eventTime, ...attributes } = created.attributes;
  assert.match(eventTime ?? '', /^\d{4}-\d\d-\d\dT/);
  assert.equal(created.topic, 'projects/p/topics/objects');
  assert.deepEqual(attributes, {
    env: 'test',
    notificationConfig: `projects/_/buckets/${bucket.name}/notificationConfigs/1`,
    eventType: 'OBJECT_FINALIZE',
    payloadFormat: 'JSON_API_V1',
    bucketId: bucket.name,
    objectId: 'chunks/r/1.json',
    objectGeneration: first.generation,
  });
  assert.deepEqual(created.data, first);

  published.length = 0;
  await file.save('{"again":1}');
  const [second] = await file.getMetadata();
  await file.setMetadata({ metadata: { k: 'v' } });
  await file.delete();
  const events = (await publishedSoon(published, 6)).map(({ topic, attributes: of, data }) => [
    topic,
    of['eventType'],
    of['objectGeneration'],
    of['overwroteGeneration'] ?? of['overwrittenByGeneration'],
    data['name'],
  ]);
  const name = 'chunks/r/1.json';
  const [one, two] = [first.generation, second.generation];
  assert.deepEqual(
    new Set(events),
    new Set([
      ['projects/p/topics/objects', 'OBJECT_DELETE', one, two, name],
      ['projects/p/topics/objects', 'OBJECT_DELETE', two, undefined, name],
      ['projects/p/topics/objects', 'OBJECT_FINALIZE', two, one, name],
      ['projects/p/topics/objects', 'OBJECT_METADATA_UPDATE', two, undefined, name],
      ['projects/q/topics/gone', 'OBJECT_DELETE', one, two, undefined],
      ['projects/q/topics/gone', 'OBJECT_DELETE', two, undefined, undefined],
    ]),
  );

  published.length = 0;
  await notification.delete();
  await file.save('{}');
  await wait(50);
  assert.deepEqual(published, []);
});

test('a versioned bucket tells of archiving instead of deletion', async (t) => {
  const { bucket, published } = await open(t);
  await bucket.setMetadata({ versioning: { enabled: true } });
  await bucket.createNotification('objects', { eventTypes: ['OBJECT_DELETE', 'OBJECT_ARCHIVE'] });
  await bucket.file('o').save('1');
  await bucket.file('o').save('2');
  assert.deepEqual(
    (await publishedSoon(published, 1)).map(({ attributes }) => attributes['eventType']),
    ['OBJECT_ARCHIVE'],
  );
  await assert.rejects(bucket.getFiles({ versions: true }), {
    code: 501,
    message: 'The local GCS does not implement: objects.list: noncurrent versions',
  });
});

test('lifecycle rules are applied when asked to, and only then', async (t) => {
  const { bucket, local } = await open(t);
  await bucket.setMetadata({
    lifecycle: { rule: [{ action: { type: 'Delete' }, condition: { age: 2, matchesPrefix: ['data/'] } }] },
  });
  for (const name of ['data/1', 'kept']) await bucket.file(name).save('x');
  const day = 24 * 3600 * 1000;
  assert.deepEqual(local.sweep(new Date(Date.now() + 1.9 * day)), []);
  assert.deepEqual(local.sweep(new Date(Date.now() + 2.1 * day)), [{ bucket: bucket.name, name: 'data/1' }]);
  assert.deepEqual(
    (await bucket.getFiles())[0].map(({ name }) => name),
    ['kept'],
  );
});

test('a gzip object is unpacked for who does not take gzip', async (t) => {
  const { bucket, server } = await open(t);
  const text = 'row\n'.repeat(1000);
  await bucket.file('o.csv').save(text, { gzip: true, resumable: false });
  assert.equal((await bucket.file('o.csv').download())[0].toString(), text);
  const url = `${server.url}/storage/v1/b/${bucket.name}/o/o.csv?alt=media`;
  const response = await fetch(url, { headers: { 'accept-encoding': 'identity' } });
  assert.deepEqual([response.headers.get('content-encoding'), await response.text()], [null, text]);
});

test('many megabytes stream through, more than memory of one chunk', async (t) => {
  const { bucket } = await open(t);
  const block = randomBytes(1024 * 1024);
  const size = 70;
  await pipeline(
    (function* () {
      for (let index = 0; index < size; index++) yield block;
    })(),
    bucket.file('large').createWriteStream({ chunkSize: 8 * 1024 * 1024 }),
  );
  const [metadata] = await bucket.file('large').getMetadata();
  let crc = 0;
  const md5 = createHash('md5');
  for (let index = 0; index < size; index++) {
    crc = crc32c(block, crc);
    md5.update(block);
  }
  const expected = Buffer.alloc(4);
  expected.writeUInt32BE(crc);
  assert.deepEqual(
    [metadata.size, metadata.crc32c, metadata.md5Hash],
    ['73400320', expected.toString('base64'), md5.digest('base64')],
  );
});

test('chunks that end within what is written at once follow one another without a gap', async (t) => {
  const { bucket, local } = await open(t);
  const bytes = randomBytes(9_000_001);
  await bucket.file('uneven').save(bytes, { resumable: true, chunkSize: 5 * 256 * 1024 });
  assert.ok((await readFile(await local.locate(bucket.name, 'uneven'))).equals(bytes));
  assert.ok((await bucket.file('uneven').download({ validation: 'crc32c' }))[0].equals(bytes));
});

test('the prefix-less paths that STORAGE_EMULATOR_HOST causes', async (t) => {
  const { bucket, server } = await open(t);
  process.env['STORAGE_EMULATOR_HOST'] = server.url;
  try {
    const other = new Storage({ projectId: 'p' });
    await other.bucket(bucket.name).file('o').save('through the emulator path');
    assert.equal((await other.bucket(bucket.name).file('o').download())[0].toString(), 'through the emulator path');
    assert.equal((await other.bucket(bucket.name).getFiles())[0].length, 1);
  } finally {
    delete process.env['STORAGE_EMULATOR_HOST'];
  }
});

test('what is not built says so by its name', async (t) => {
  const { bucket, client } = await open(t);
  const refused = (operation: string) => ({
    code: 501,
    message: `The local GCS does not implement: ${operation}`,
  });
  await bucket.file('o').save('x');
  await assert.rejects(bucket.acl.get(), refused('bucketAccessControls (ACLs)'));
  await assert.rejects(bucket.file('o').acl.get(), refused('objectAccessControls (ACLs)'));
  await assert.rejects(bucket.iam.getPolicy(), refused('buckets.getIamPolicy'));
  await assert.rejects(bucket.file('o').setMetadata({ temporaryHold: true }), refused('objects: temporaryHold'));
  await assert.rejects(
    bucket.setMetadata({ retentionPolicy: { retentionPeriod: 1 } }),
    refused('buckets: retentionPolicy'),
  );
  await assert.rejects(client.getHmacKeys(), refused('projects.hmacKeys'));
  await assert.rejects(bucket.getFiles({ softDeleted: true }), refused('soft delete (softDeleted)'));
  await assert.rejects(bucket.file('o').save('x', { predefinedAcl: 'publicRead' }), (error) =>
    String(error).includes('ACLs (predefinedAcl)'),
  );
});
