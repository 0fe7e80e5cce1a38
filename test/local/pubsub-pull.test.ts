import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { clients, DEAD, open, sub, TOPIC } from './pubsub-fixture.ts';

test('two clients: what one holds the other does not get, until the deadline; the late acknowledgement is passed over', async (t) => {
  const { endpoint, subscriber, publish, pull } = await open(t);
  const other = clients(t, endpoint);
  await subscriber.createSubscription({ name: sub('worker'), topic: TOPIC });
  await publish('one');
  const [first] = await pull(sub('worker'));
  assert.deepEqual(await other.pull(sub('worker')), []);
  await subscriber.modifyAckDeadline({
    subscription: sub('worker'),
    ackIds: [first?.ackId ?? ''],
    ackDeadlineSeconds: 1,
  });
  await sleep(900);
  assert.deepEqual(await other.pull(sub('worker')), []);
  await sleep(200);
  const [second] = await other.pull(sub('worker'));
  assert.equal(second?.text, 'one');
  assert.notEqual(second.ackId, first?.ackId);

  await subscriber.acknowledge({ subscription: sub('worker'), ackIds: [first?.ackId ?? ''] });
  await other.subscriber.modifyAckDeadline({
    subscription: sub('worker'),
    ackIds: [second.ackId],
    ackDeadlineSeconds: 0,
  });
  const [third] = await pull(sub('worker'));
  assert.equal(third?.text, 'one', 'the late acknowledgement took the message away');
  await subscriber.acknowledge({ subscription: sub('worker'), ackIds: [third.ackId] });
  assert.deepEqual(await pull(sub('worker')), []);
});

test('a longer deadline keeps the message', async (t) => {
  const { subscriber, publish, pull } = await open(t);
  const subscription = sub('worker');
  await subscriber.createSubscription({ name: subscription, topic: TOPIC });
  await publish('one');
  const ackIds = (await pull(subscription)).map(({ ackId }) => ackId);
  await subscriber.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds: 1 });
  await sleep(500);
  await subscriber.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds: 2 });
  await sleep(1000);
  assert.deepEqual(await pull(subscription), []);
  await subscriber.acknowledge({ subscription, ackIds });
});

test('attempts are counted and shown where a dead-letter policy is; the last one forwards', async (t) => {
  const { subscriber, publish, pull } = await open(t);
  const [counted, uncounted, dead] = [sub('counted'), sub('uncounted'), sub('dead')];
  await subscriber.createSubscription({
    name: counted,
    topic: TOPIC,
    deadLetterPolicy: { deadLetterTopic: DEAD, maxDeliveryAttempts: 5 },
  });
  await subscriber.createSubscription({ name: uncounted, topic: TOPIC });
  await subscriber.createSubscription({ name: dead, topic: DEAD });
  await publish('poison');
  for (const [subscription, attempts] of [
    [counted, [1, 2, 3, 4, 5]],
    [uncounted, [0, 0, 0, 0, 0, 0, 0]],
  ] as const) {
    const seen: number[] = [];
    for (const _ of attempts) {
      const [message] = await pull(subscription);
      seen.push(message?.attempt ?? -1);
      await subscriber.modifyAckDeadline({ subscription, ackIds: [message?.ackId ?? ''], ackDeadlineSeconds: 0 });
    }
    assert.deepEqual(seen, attempts);
  }
  assert.deepEqual(await pull(counted), []);
  assert.deepEqual(
    (await pull(dead)).map(({ text }) => text),
    ['poison'],
  );
  assert.deepEqual(
    (await pull(uncounted)).map(({ text }) => text),
    ['poison'],
  );
});

test('a negative acknowledgement waits out the retry policy', async (t) => {
  const { subscriber, publish, pull } = await open(t);
  const subscription = sub('worker');
  const retryPolicy = { minimumBackoff: { nanos: 200_000_000 }, maximumBackoff: { nanos: 200_000_000 } };
  await subscriber.createSubscription({ name: subscription, topic: TOPIC, retryPolicy });
  await publish('one');
  const ackIds = (await pull(subscription)).map(({ ackId }) => ackId);
  await subscriber.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds: 0 });
  assert.deepEqual(await pull(subscription), []);
  await sleep(250);
  assert.equal((await pull(subscription)).length, 1);
});

test('a waiting pull answers with the first message, and one that was given up takes none', async (t) => {
  const { subscriber, publish, pull } = await open(t);
  const subscription = sub('worker');
  await subscriber.createSubscription({ name: subscription, topic: TOPIC });
  const givenUp = subscriber.pull({ subscription, maxMessages: 1 }, { timeout: 100, retry: null });
  await assert.rejects(givenUp, { code: 4 });
  await sleep(50);
  const waiting = subscriber.pull({ subscription, maxMessages: 5 });
  await sleep(50);
  await publish('one');
  const [{ receivedMessages }] = await waiting;
  assert.deepEqual(
    receivedMessages?.map(({ message }) => Buffer.from(message?.data ?? '').toString()),
    ['one'],
  );
  assert.deepEqual(await pull(subscription), []);
});

test('every subscription of a topic gets its own copy, and a new one only what comes after it', async (t) => {
  const { subscriber, publish, pull } = await open(t);
  await subscriber.createSubscription({ name: sub('first'), topic: TOPIC });
  await publish('before');
  await subscriber.createSubscription({ name: sub('second'), topic: TOPIC });
  await publish('after');
  const texts = async (name: string) => (await pull(sub(name))).map(({ text }) => text);
  assert.deepEqual([await texts('first'), await texts('second')], [['before', 'after'], ['after']]);
  await subscriber.deleteSubscription({ subscription: sub('first') });
  await subscriber.createSubscription({ name: sub('first'), topic: TOPIC });
  assert.deepEqual(await texts('first'), []);
});

test('closing ends the pulls that wait', async (t) => {
  const { subscriber, close } = await open(t);
  await subscriber.createSubscription({ name: sub('worker'), topic: TOPIC });
  const waiting = subscriber.pull({ subscription: sub('worker'), maxMessages: 1 }, { retry: null });
  const failed = assert.rejects(waiting, { code: 14 });
  await sleep(50);
  await close();
  await failed;
});
