import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openJournal } from '../../local/pubsub/journal.ts';
import { openPubSub } from '../../local/pubsub/index.ts';
import { clients, DEAD, directoryFor, endpoint, open, sub, TOPIC, until } from './pubsub-fixture.ts';

/** A stand-in in its own process; `kill` ends it at once, as `kill -9` does. */
async function spawned(t: TestContext, directory: string) {
  const script = fileURLToPath(new URL('pubsub-server.ts', import.meta.url));
  const child = spawn(process.execPath, [script, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  t.after(kill);
  const [line] = await once(child.stdout, 'data');
  return { ...clients(t, String(line).trim()), kill };
}

test('waiting messages, settings and attempt counts outlive a restart', async (t) => {
  const directory = await directoryFor(t);
  const before = await open(t, directory);
  for (const name of [TOPIC, DEAD]) await before.publisher.createTopic({ name });
  const deadLetterPolicy = { deadLetterTopic: DEAD, maxDeliveryAttempts: 5 };
  await before.subscriber.createSubscription({ name: sub('worker'), topic: TOPIC, deadLetterPolicy });
  await before.subscriber.createSubscription({ name: sub('dead'), topic: DEAD });
  const ids = [await before.publish('acknowledged'), await before.publish('held'), await before.publish('waiting')];
  const [acknowledged, held] = await before.pull(sub('worker'), 2);
  await before.subscriber.acknowledge({ subscription: sub('worker'), ackIds: [acknowledged?.ackId ?? ''] });
  assert.equal(held?.attempt, 1);
  await before.close();

  const after = await open(t, directory);
  const received = await after.pull(sub('worker'));
  assert.deepEqual(
    received.map(({ text, attempt }) => [text, attempt]),
    [
      ['held', 2],
      ['waiting', 1],
    ],
  );
  const [subscription] = await after.subscriber.getSubscription({ subscription: sub('worker') });
  assert.deepEqual(subscription.deadLetterPolicy, deadLetterPolicy);
  assert.ok(Number(await after.publish('new')) > Number(ids.at(-1)), 'a message id came twice');
});

test('restarts do not add attempts: the fifth is the last, and is forwarded even if it never ended', async (t) => {
  const directory = await directoryFor(t);
  const seen: number[] = [];
  for (let start = 1; start <= 5; start += 1) {
    const opened = await open(t, directory);
    if (start === 1) {
      for (const name of [TOPIC, DEAD]) await opened.publisher.createTopic({ name });
      const deadLetterPolicy = { deadLetterTopic: DEAD, maxDeliveryAttempts: 5 };
      await opened.subscriber.createSubscription({ name: sub('worker'), topic: TOPIC, deadLetterPolicy });
      await opened.subscriber.createSubscription({ name: sub('dead'), topic: DEAD });
      await opened.publish('poison');
    }
    seen.push(...(await opened.pull(sub('worker'))).map(({ attempt }) => attempt));
    await opened.close();
  }
  const last = await open(t, directory);
  assert.deepEqual(seen, [1, 2, 3, 4, 5]);
  assert.deepEqual(await last.pull(sub('worker')), []);
  assert.deepEqual(
    (await last.pull(sub('dead'))).map(({ text, attributes }) => [
      text,
      attributes['CloudPubSubDeadLetterSourceDeliveryCount'],
    ]),
    [['poison', '5']],
  );
});

test('killed in the middle of its pushes it loses none, and repeats only what was not answered', async (t) => {
  const directory = await directoryFor(t);
  let answering = true;
  const answered = new Set<string>();
  const { pushes, pushEndpoint } = await endpoint(t, ({ text }, response) => {
    // Every third message hangs, as in a function that is still at work when the stand-in dies.
    if (answering && Number(text) % 3 === 0) return;
    answered.add(text);
    response.writeHead(204).end();
  });
  const first = await spawned(t, directory);
  await first.publisher.createTopic({ name: TOPIC });
  await first.subscriber.createSubscription({ name: sub('load'), topic: TOPIC, pushConfig: { pushEndpoint } });
  const texts = Array.from({ length: 20 }, (_, index) => `${index}`);
  await Promise.all(texts.map((text) => first.publish(text)));
  await until('eight pushes hang or all others are answered', () => answered.size === 13);
  await sleep(100);
  await first.kill();
  const before = pushes.length;
  answering = false;

  const second = await spawned(t, directory);
  await until('all were answered', () => answered.size === 20);
  await sleep(100);
  const again = pushes.slice(before).map(({ text }) => Number(text));
  assert.deepEqual(
    again.sort((a, b) => a - b),
    [0, 3, 6, 9, 12, 15, 18],
  );
  await second.kill();

  const third = await openPubSub({ directory });
  t.after(third.close);
  assert.equal(third.idle(), true);
});

test('what a publisher was told is published survives a kill', async (t) => {
  const directory = await directoryFor(t);
  const first = await spawned(t, directory);
  await first.publisher.createTopic({ name: TOPIC });
  await first.subscriber.createSubscription({ name: sub('worker'), topic: TOPIC });
  const promised: string[] = [];
  const publishing = Array.from({ length: 400 }, async (_, index) => {
    await first.publish(`${index}`);
    promised.push(`${index}`);
  });
  await until('some were published', () => promised.length >= 50);
  await first.kill();
  const told = [...promised];
  await Promise.race([Promise.allSettled(publishing), sleep(100)]);

  const second = await open(t, directory);
  const received = new Set((await second.pull(sub('worker'), 1000)).map(({ text }) => text));
  assert.deepEqual(
    told.filter((text) => !received.has(text)),
    [],
  );
});

test('a line that a kill cut short is dropped; a damaged one before it is an error', async (t) => {
  const directory = await directoryFor(t);
  const file = path.join(directory, 'journal.jsonl');
  const first = await open(t, directory);
  await first.publisher.createTopic({ name: TOPIC });
  await first.close();
  await appendFile(file, '{"change":"topic","topic":{"na');
  const second = await open(t, directory);
  assert.equal((await second.publisher.listTopics({ project: 'projects/p' }))[0].length, 1);
  await second.close();
  await writeFile(file, `${await readFile(file, 'utf8')}nonsense\n{"change":"topicDeleted","name":"${TOPIC}"}\n`);
  await assert.rejects(openPubSub({ directory }), {
    message: `${file}: line 2 is damaged; a whole JSON change per line is needed. Move the file away to begin empty.`,
  });
});

test('acknowledged messages vanish from disk at the next open', async (t) => {
  const directory = await directoryFor(t);
  const first = await open(t, directory);
  await first.publisher.createTopic({ name: TOPIC });
  await first.subscriber.createSubscription({ name: sub('worker'), topic: TOPIC });
  await first.publish('secret'.repeat(10_000));
  const ackIds = (await first.pull(sub('worker'))).map(({ ackId }) => ackId);
  await first.subscriber.acknowledge({ subscription: sub('worker'), ackIds });
  await first.close();
  await (await open(t, directory)).close();
  assert.ok((await stat(path.join(directory, 'journal.jsonl'))).size < 1000);
});

test('a journal that grows is rewritten while it is open, and loses nothing', async (t) => {
  const directory = await directoryFor(t);
  const topics = new Map<string, { name: string }>();
  const snapshot = () => [...topics.values()].map((topic) => ({ change: 'topic' as const, topic }));
  const journal = openJournal(directory, () => undefined, snapshot, 1000);
  for (let round = 0; round < 500; round += 1) {
    const topic = { name: `projects/p/topics/t-${round % 7}` };
    journal.append([{ change: 'topic', topic }]);
    topics.set(topic.name, topic);
  }
  journal.close();
  assert.ok((await stat(path.join(directory, 'journal.jsonl'))).size < 2000);
  const replayed = new Set<string>();
  openJournal(
    directory,
    (change) => change.change === 'topic' && replayed.add(change.topic.name),
    () => [],
  ).close();
  assert.deepEqual([...replayed].sort(), [...topics.keys()].sort());
});

test('a taken port is an error, and leaves nothing open', async (t) => {
  const { endpoint } = await open(t);
  const port = Number(endpoint.split(':')[1]);
  await assert.rejects(openPubSub({ directory: await directoryFor(t), port }), {
    message: `Pub/Sub cannot listen on 127.0.0.1:${port}: is the port taken? Give a free one, or 0 for any.`,
  });
});
