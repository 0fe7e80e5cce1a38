import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Storage } from '@google-cloud/storage';
import { serve } from '../../local/http.ts';
import { openStorage, type Publish } from '../../local/storage/index.ts';
import { until } from './storage-fixture.ts';

async function newDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'storage-'));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

/** Runs `work` against a storage over `directory` and closes it. */
async function using<Result>(
  directory: string,
  publish: Publish,
  work: (client: Storage, local: Awaited<ReturnType<typeof openStorage>>) => Promise<Result>,
): Promise<Result> {
  const local = await openStorage({ directory, publish });
  try {
    const server = await serve(local.handle);
    try {
      return await work(new Storage({ apiEndpoint: server.url, projectId: 'p' }), local);
    } finally {
      await server.close();
    }
  } finally {
    await local.close();
  }
}

const accept: Publish = async () => undefined;

test('everything is there again after a restart', async (t) => {
  const directory = await newDirectory(t);
  const before = await using(directory, accept, async (client) => {
    const [bucket] = await client.createBucket('data', { labels: { team: 'x' } });
    await bucket.createNotification('t');
    for (const name of ['b', 'a/ü😀', 'c']) await bucket.file(name).save(`bytes of ${name}`);
    await bucket.file('c').setMetadata({ metadata: { k: 'v' } });
    await bucket.file('b').delete();
    const [metadata] = await bucket.getMetadata();
    const [files] = await bucket.getFiles();
    return {
      metadata: metadata.labels,
      files: files.map((file) => ({ ...file.metadata, selfLink: '', mediaLink: '' })),
    };
  });
  await using(directory, accept, async (client) => {
    const bucket = client.bucket('data');
    const [files] = await bucket.getFiles();
    assert.deepEqual(
      {
        metadata: (await bucket.getMetadata())[0].labels,
        files: files.map((file) => ({ ...file.metadata, selfLink: '', mediaLink: '' })),
      },
      before,
    );
    assert.equal((await bucket.file('a/ü😀').download())[0].toString(), 'bytes of a/ü😀');
    assert.equal((await bucket.getNotifications())[0].length, 1);
    await bucket.file('b').save('again');
    assert.deepEqual(
      (await bucket.getFiles())[0].map(({ name }) => name),
      ['a/ü😀', 'b', 'c'],
    );
  });
});

test('what an interrupted process left is swept: half uploads, bytes of no object, half a journal line', async (t) => {
  const directory = await newDirectory(t);
  await using(directory, accept, async (client) => {
    await client.createBucket('data');
    await client.bucket('data').file('o').save('kept');
  });
  await writeFile(join(directory, 'uploads', 'half'), 'x');
  await writeFile(join(directory, 'objects', 'data', '123'), 'x');
  await appendFile(join(directory, 'journal.jsonl'), '[{"type":"objectDeleted","bucket":"data","na');
  await using(directory, accept, async (client) => {
    assert.equal((await client.bucket('data').file('o').download())[0].toString(), 'kept');
    assert.deepEqual(await readdir(join(directory, 'uploads')), []);
    assert.equal((await readdir(join(directory, 'objects', 'data'))).length, 1);
    await client.bucket('data').file('p').save('after the half line');
  });
  await using(directory, accept, async (client) => {
    assert.equal((await client.bucket('data').file('p').download())[0].toString(), 'after the half line');
  });
});

test('damage is not passed over in silence', async (t) => {
  const directory = await newDirectory(t);
  const path = await using(directory, accept, async (client, local) => {
    await client.createBucket('data');
    await client.bucket('data').file('o').save('x');
    return local.locate('data', 'o');
  });
  await unlink(path);
  await assert.rejects(openStorage({ directory, publish: accept }), {
    message:
      `The bytes of gs://data/o are gone: expected ${path}. ` +
      'Restore that file, or delete the storage directory to start empty.',
  });
  const journal = join(directory, 'journal.jsonl');
  await writeFile(journal, `nonsense\n${await readFile(journal, 'utf8')}`);
  await assert.rejects(openStorage({ directory, publish: accept }), {
    message: `${journal}, line 1: not an entry of this journal. Restore the file, or delete its directory to start empty.`,
  });
});

test('a refused notification is tried again until its topic takes it, also by the next process', async (t) => {
  const directory = await newDirectory(t);
  let attempts = 0;
  const refuse: Publish = async () => {
    attempts += 1;
    throw new Error('no such topic');
  };
  await using(directory, refuse, async (client, local) => {
    await client.createBucket('data');
    await client.bucket('data').createNotification('t');
    await client.bucket('data').file('o').save('x');
    await until(() => attempts >= 3);
    const [undelivered, ...others] = local.undelivered();
    assert.deepEqual(others, []);
    assert.deepEqual([undelivered?.topic, undelivered?.objectId], ['projects/p/topics/t', 'o']);
    assert.ok(undelivered?.error instanceof Error && undelivered.error.message === 'no such topic');
  });
  assert.ok(attempts >= 3, `${attempts} attempts`);
  const taken: string[] = [];
  const take: Publish = async (topic, { attributes }) => void taken.push(`${topic} ${attributes['eventType']}`);
  await using(directory, take, async (_, local) => {
    await until(() => taken.length > 0);
    assert.deepEqual(taken, ['projects/p/topics/t OBJECT_FINALIZE']);
    assert.deepEqual(local.undelivered(), []);
  });
  await using(directory, take, () => wait(50));
  assert.equal(taken.length, 1);
});

test('the journal forgets history, not state and not the generations that were given', async (t) => {
  const directory = await newDirectory(t);
  const generation = await using(directory, accept, async (client) => {
    await client.createBucket('data');
    const file = client.bucket('data').file('heartbeat');
    await file.save('0');
    for (let beat = 0; beat < 1_100; beat += 10) {
      await Promise.all(Array.from({ length: 10 }, () => file.setMetadata({ metadata: { beat: String(beat) } })));
    }
    const lines = (await readFile(join(directory, 'journal.jsonl'), 'utf8')).split('\n').length - 1;
    assert.ok(lines < 1_100, `${lines} lines`);
    const [metadata] = await file.getMetadata();
    assert.deepEqual([metadata.metadata, metadata.metageneration], [{ beat: '1090' }, '1101']);
    return Number(metadata.generation);
  });
  await using(directory, accept, async (client) => {
    const file = client.bucket('data').file('heartbeat');
    assert.equal((await file.getMetadata())[0].metageneration, '1101');
    await file.save('1');
    assert.ok(Number((await file.getMetadata())[0].generation) > generation);
  });
});

test('killed at any moment: what was answered is whole, what was not is whole or absent, every creation is told', async (t) => {
  const directory = await newDirectory(t);
  const answered = new Map<string, string>();
  const told = new Set<string>();
  let saved = 0;
  for (let round = 0; round < 3; round++) {
    const { child, url } = await startProcess(t, directory, told);
    const bucket = new Storage({ apiEndpoint: url, projectId: 'p', retryOptions: { autoRetry: false } }).bucket('data');
    if (round === 0) {
      await bucket.create();
      await bucket.createNotification('t', { eventTypes: ['OBJECT_FINALIZE'] });
    }
    const writers = Array.from({ length: 6 }, async (_, writer) => {
      for (let index = 0; ; index++) {
        const name = `${round}/${writer}/${index % 3}`;
        const content = `${round} ${writer} ${index} `.repeat(2_000);
        answered.delete(name);
        await bucket.file(name).save(content, { resumable: index % 2 === 0 });
        answered.set(name, content);
        saved += 1;
      }
    });
    const ended = Promise.allSettled(writers);
    // Every writer is in the midst of something then.
    await until(() => saved >= 30 * (round + 1));
    child.kill('SIGKILL');
    await once(child, 'exit');
    await ended;
  }
  assert.ok(saved >= 90 && answered.size > 10, `${saved} uploads, ${answered.size} objects`);
  const note: Publish = async (_, { attributes }) => void told.add(attributes['objectGeneration'] ?? '');
  await using(directory, note, async (client) => {
    const [files] = await client.bucket('data').getFiles();
    const names = new Set(files.map(({ name }) => name));
    for (const name of answered.keys()) assert.ok(names.has(name), `${name} is missing`);
    // The client checks the hash of each.
    const contents = await Promise.all(
      files.map(async (file) => [file.name, String((await file.download())[0])] as const),
    );
    for (const [name, content] of contents) {
      if (answered.has(name)) assert.equal(content, answered.get(name));
    }
    await until(() => files.every(({ metadata }) => told.has(String(metadata.generation))));
    for (const { name, metadata } of files) assert.ok(told.has(String(metadata.generation)), `${name} was not told`);
  });
});

/** A storage in a process of its own, which prints its address and the generation of every published object. */
async function startProcess(
  t: TestContext,
  directory: string,
  told: Set<string>,
): Promise<{ child: ChildProcess; url: string }> {
  const program = `
    import { serve } from ${JSON.stringify(new URL('../../local/http.ts', import.meta.url).href)};
    import { openStorage } from ${JSON.stringify(new URL('../../local/storage/index.ts', import.meta.url).href)};
    const publish = async (topic, { attributes }) => console.log(attributes.objectGeneration);
    const { handle } = await openStorage({ directory: ${JSON.stringify(directory)}, publish });
    console.log((await serve(handle)).url);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  let url: string | undefined;
  let rest = '';
  child.stdout.on('data', (data: Buffer) => {
    const lines = (rest + data.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('http')) url = line;
      else told.add(line);
    }
  });
  await until(() => url !== undefined);
  if (url === undefined) throw new Error('The storage process did not print its address within 5 s');
  return { child, url };
}
