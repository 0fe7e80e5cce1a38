import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBroker } from '../../local/pubsub/broker.ts';
import { DEAD, directoryFor, endpoint, freePort, open, sub, TOPIC, until } from './pubsub-fixture.ts';

test('the envelope is the one that functions know', async (t) => {
  const { publisher, subscriber } = await open(t);
  const { pushes, pushEndpoint } = await endpoint(t);
  await subscriber.createSubscription({ name: sub('load'), topic: TOPIC, pushConfig: { pushEndpoint } });
  const [{ messageIds }] = await publisher.publish({
    topic: TOPIC,
    messages: [
      { data: Buffer.from('hello'), attributes: { step: 'load' } },
      { attributes: { only: 'attributes' } },
      { data: Buffer.from('keyed'), orderingKey: 'k' },
    ],
  });
  await until('three pushes came', () => pushes.length === 3);
  const ids = (index: number) => ({ messageId: messageIds?.[index], message_id: messageIds?.[index] });
  const bodies = messageIds?.map((id) => pushes.find(({ message }) => message.messageId === id));
  const times = bodies?.map((push) => {
    const publishTime = push?.message['publishTime'];
    const publish_time = push?.message['publish_time'];
    assert.equal(publishTime, publish_time);
    assert.match(String(publishTime), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    return { publishTime, publish_time };
  });
  const subscription = sub('load');
  assert.deepEqual(
    bodies?.map((push) => push?.body),
    [
      { message: { attributes: { step: 'load' }, data: 'aGVsbG8=', ...ids(0), ...times?.[0] }, subscription },
      { message: { attributes: { only: 'attributes' }, ...ids(1), ...times?.[1] }, subscription },
      { message: { data: 'a2V5ZWQ=', ...ids(2), orderingKey: 'k', ordering_key: 'k', ...times?.[2] }, subscription },
    ],
  );
  assert.equal(pushes[0]?.url, '/projects/p/topics/orders');
});

test('102, 200, 201, 202 and 204 acknowledge; every other answer, and none, brings the message again', async (t) => {
  const { subscriber, publish, idle } = await open(t);
  const good = ['102', '200', '201', '202', '204'];
  const bad = ['203', '206', '301', '304', '400', '404', '409', '429', '500', '503', 'cut'];
  const { pushes, pushEndpoint } = await endpoint(t, async ({ text }, response) => {
    const again = pushes.filter((push) => push.text === text).length > 1;
    if (again) response.writeHead(204).end();
    else if (text === 'cut') response.destroy();
    else if (text === '102') {
      response.writeProcessing();
      await sleep(50);
      response.writeHead(500).end();
    } else response.writeHead(Number(text), { location: '/elsewhere' }).end();
  });
  await subscriber.createSubscription({
    name: sub('load'),
    topic: TOPIC,
    pushConfig: { pushEndpoint },
    retryPolicy: { minimumBackoff: { seconds: 0 }, maximumBackoff: { seconds: 0 } },
  });
  await Promise.all([...good, ...bad].map((text) => publish(text)));
  await until('all were acknowledged', idle);
  const times = Object.fromEntries(
    [...good, ...bad].map((text) => [text, pushes.filter((push) => push.text === text).length]),
  );
  const expected = [...good.map((text) => [text, 1]), ...bad.map((text) => [text, 2])];
  assert.deepEqual(times, Object.fromEntries(expected));
});

test('a push leaves as soon as its message is published', async (t) => {
  const { subscriber, publish } = await open(t);
  const { pushes, pushEndpoint } = await endpoint(t);
  await subscriber.createSubscription({ name: sub('load'), topic: TOPIC, pushConfig: { pushEndpoint } });
  const delays: number[] = [];
  for (let count = 1; count <= 31; count += 1) {
    const published = performance.now();
    await publish(`${count}`);
    await until('the push came', () => pushes.length === count);
    delays.push((pushes.at(-1)?.at ?? Infinity) - published);
  }
  const median = delays.sort((a, b) => a - b)[15] ?? Infinity;
  // A few milliseconds, the client's call included; what is fenced off is any polling.
  assert.ok(median < 20, `median ${median} ms`);
});

test('a failing message holds up no other, and at most eight are under way', async (t) => {
  const { publisher, subscriber } = await open(t);
  let now = 0;
  let most = 0;
  const { pushes, pushEndpoint } = await endpoint(t, async ({ text }, response) => {
    now += 1;
    most = Math.max(most, now);
    await sleep(10);
    now -= 1;
    response.writeHead(text === 'bad' ? 500 : 204).end();
  });
  await subscriber.createSubscription({
    name: sub('load'),
    topic: TOPIC,
    pushConfig: { pushEndpoint },
    retryPolicy: { minimumBackoff: { nanos: 20_000_000 }, maximumBackoff: { nanos: 20_000_000 } },
  });
  const texts = ['bad', ...Array.from({ length: 40 }, (_, index) => `good ${index}`)];
  await publisher.publish({ topic: TOPIC, messages: texts.map((text) => ({ data: Buffer.from(text) })) });
  await until('all good ones came', () => pushes.filter(({ text }) => text !== 'bad').length === 40);
  assert.equal(most, 8);
  await until('the bad one came again', () => pushes.filter(({ text }) => text === 'bad').length > 1);
});

test('backs off as the retry policy says: doubling from the minimum up to the maximum', async (t) => {
  const { subscriber, publish } = await open(t);
  const { pushes, pushEndpoint } = await endpoint(t, (_, response) => {
    response.writeHead(pushes.length < 5 ? 500 : 204).end();
  });
  await subscriber.createSubscription({
    name: sub('load'),
    topic: TOPIC,
    pushConfig: { pushEndpoint },
    retryPolicy: { minimumBackoff: { nanos: 100_000_000 }, maximumBackoff: { nanos: 300_000_000 } },
  });
  await publish('stubborn');
  await until('the fifth attempt came', () => pushes.length === 5);
  const gaps = pushes.slice(1).map(({ at }, index) => at - (pushes[index]?.at ?? 0));
  for (const [index, least] of [100, 200, 300, 300].entries()) {
    const gap = gaps[index] ?? 0;
    assert.ok(gap >= least - 5 && gap < least + 95, `gap ${index + 1} is ${gap} ms, expected about ${least}`);
  }
});

test('a message goes to the dead-letter topic after exactly its attempts', async (t) => {
  const { subscriber, publish, pull, idle } = await open(t);
  const { pushes, pushEndpoint } = await endpoint(t, (_, response) => {
    response.writeHead(500).end();
  });
  await subscriber.createSubscription({ name: sub('dead'), topic: DEAD });
  await subscriber.createSubscription({
    name: sub('load'),
    topic: TOPIC,
    pushConfig: { pushEndpoint },
    deadLetterPolicy: { deadLetterTopic: DEAD, maxDeliveryAttempts: 6 },
    retryPolicy: { minimumBackoff: { seconds: 0 }, maximumBackoff: { seconds: 0 } },
  });
  await publish('poison');
  await until('the subscription was empty', idle);
  await sleep(100);
  assert.deepEqual(
    pushes.map(({ deliveryAttempt }) => deliveryAttempt),
    [1, 2, 3, 4, 5, 6],
  );
  const [dead] = await pull(sub('dead'));
  assert.equal(dead?.text, 'poison');
  assert.deepEqual(dead.attributes, {
    CloudPubSubDeadLetterSourceDeliveryCount: '6',
    CloudPubSubDeadLetterSourceSubscription: 'load',
    CloudPubSubDeadLetterSourceSubscriptionProject: 'p',
    CloudPubSubDeadLetterSourceTopicPublishTime: String(pushes[0]?.message['publishTime']),
  });
});

test('without its dead-letter topic a message is delivered on, until the topic is back', async (t) => {
  const { publisher, subscriber, publish, idle } = await open(t);
  const { pushes, pushEndpoint } = await endpoint(t, (_, response) => {
    response.writeHead(500).end();
  });
  await subscriber.createSubscription({
    name: sub('load'),
    topic: TOPIC,
    pushConfig: { pushEndpoint },
    deadLetterPolicy: { deadLetterTopic: DEAD, maxDeliveryAttempts: 5 },
    retryPolicy: { minimumBackoff: { nanos: 10_000_000 }, maximumBackoff: { nanos: 10_000_000 } },
  });
  await publisher.deleteTopic({ topic: DEAD });
  await publish('poison');
  await until('it was delivered beyond its attempts', () => pushes.length > 6);
  assert.equal(idle(), false);
  await publisher.createTopic({ name: DEAD });
  await until('it was forwarded', idle);
});

test('an answer after the deadline counts for nothing: the message comes twice', async (t) => {
  const ended: boolean[] = [];
  const { pushes, pushEndpoint } = await endpoint(t, async (_, response) => {
    if (pushes.length === 1) {
      response.on('close', () => ended.push(response.writableFinished));
      await sleep(400);
    }
    response.writeHead(204).end();
  });
  // The service's shortest deadline is 10 s; beneath the API's checks it may be shorter.
  const broker = openBroker(await directoryFor(t));
  t.after(() => broker.close());
  broker.createTopic({ name: TOPIC });
  broker.createSubscription({
    name: sub('load'),
    topic: TOPIC,
    pushConfig: { pushEndpoint },
    ackDeadlineSeconds: 0.2,
    messageRetentionDuration: '600s',
    expirationPolicy: {},
    retryPolicy: { minimumBackoff: '0s', maximumBackoff: '0s' },
  });
  const [id] = broker.publish(TOPIC, [{ data: Buffer.from('slow'), attributes: {}, orderingKey: '' }]);
  await until('the second push was acknowledged', () => pushes.length === 2 && broker.idle());
  await sleep(300);
  assert.deepEqual(
    pushes.map(({ message }) => message.messageId),
    [id, id],
  );
  const gap = (pushes[1]?.at ?? 0) - (pushes[0]?.at ?? 0);
  assert.ok(gap >= 195 && gap < 380, `the second push came after ${gap} ms, the deadline is 200`);
  assert.deepEqual(ended, [false], 'the request was not ended at its deadline');
});

test('an endpoint that is not up yet gets its messages when it is', async (t) => {
  const { subscriber, publish, idle } = await open(t);
  await subscriber.createSubscription({
    name: sub('load'),
    topic: TOPIC,
    pushConfig: { pushEndpoint: `http://127.0.0.1:${await freePort()}/` },
    retryPolicy: { minimumBackoff: { nanos: 10_000_000 }, maximumBackoff: { nanos: 10_000_000 } },
  });
  await publish('early');
  await sleep(50);
  assert.equal(idle(), false);
  const { pushes, pushEndpoint } = await endpoint(t);
  await subscriber.modifyPushConfig({ subscription: sub('load'), pushConfig: { pushEndpoint } });
  await until('it came', idle);
  assert.deepEqual(
    pushes.map(({ text }) => text),
    ['early'],
  );
});

test('a push subscription is not pulled; made a pull one, it is', async (t) => {
  const { subscriber, publish, pull, pubsub } = await open(t);
  const { pushEndpoint } = await endpoint(t, (_, response) => {
    response.writeHead(500).end();
  });
  const retryPolicy = { minimumBackoff: { nanos: 10_000_000 }, maximumBackoff: { nanos: 10_000_000 } };
  await subscriber.createSubscription({ name: sub('load'), topic: TOPIC, pushConfig: { pushEndpoint }, retryPolicy });
  const refusal = { code: 9, details: 'This method is not supported for this subscription type.' };
  await assert.rejects(pull(sub('load')), refusal);
  await publish('one');
  await subscriber.modifyPushConfig({ subscription: sub('load'), pushConfig: {} });
  const [{ receivedMessages }] = await subscriber.pull({ subscription: sub('load'), maxMessages: 1 });
  assert.equal(Buffer.from(receivedMessages?.[0]?.message?.data ?? '').toString(), 'one');
  // An open stream ends when its subscription begins to push.
  const stream = pubsub.subscription('load');
  const codes: unknown[] = [];
  stream.on('error', ({ code }) => codes.push(code));
  stream.on('message', () => undefined);
  await sleep(50);
  await subscriber.modifyPushConfig({ subscription: sub('load'), pushConfig: { pushEndpoint } });
  await until('the stream ended', () => codes.length > 0);
  assert.deepEqual(codes, [9]);
  await stream.close();
});

test('closing ends the pushes under way and waits for them', async (t) => {
  const { subscriber, publish, close } = await open(t);
  const sockets: Socket[] = [];
  const { pushes, pushEndpoint } = await endpoint(t, (_, response) => {
    if (response.socket) sockets.push(response.socket);
  });
  await subscriber.createSubscription({ name: sub('load'), topic: TOPIC, pushConfig: { pushEndpoint } });
  await publish('unanswered');
  await until('the push came', () => pushes.length === 1);
  await close();
  await until('its connection ended', () => sockets.every(({ destroyed }) => destroyed));
  assert.equal(pushes.length, 1);
});
