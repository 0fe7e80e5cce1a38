import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Message, PubSub } from '@google-cloud/pubsub';
import { DEAD, open, sub, TOPIC, until } from './pubsub-fixture.ts';

const invalidName = (name: string, collection: string) =>
  `Invalid resource name given (name=${name}). Give projects/PROJECT/${collection}/ID, where ID has 3 to 255 characters ` +
  'of A-Z a-z 0-9 - _ . ~ + %, starts with a letter and not with "goog".';

function small(field: string, given: string, least: string): string {
  return `The value for ${field} is too small. You passed ${given} in the request, but the minimum value is ${least}.`;
}

function large(field: string, given: string, most: string): string {
  return `The value for ${field} is too large. You passed ${given} in the request, but the maximum value is ${most}.`;
}

function deadLetterPolicy(maxDeliveryAttempts: number) {
  return { deadLetterTopic: DEAD, maxDeliveryAttempts };
}

test('the ordinary client publishes and receives through PUBSUB_EMULATOR_HOST', async (t) => {
  const { endpoint } = await open(t);
  process.env['PUBSUB_EMULATOR_HOST'] = endpoint;
  const pubsub = new PubSub({ projectId: 'p' });
  t.after(() => pubsub.close());
  delete process.env['PUBSUB_EMULATOR_HOST'];
  const [topic] = await pubsub.createTopic('events');
  const [subscription] = await topic.createSubscription('worker');
  const received: Message[] = [];
  subscription.on('message', (message: Message) => {
    received.push(message);
    message.ack();
  });
  const id = await topic.publishMessage({ data: Buffer.from('Grüße'), attributes: { step: 'load' } });
  await until('the message came', () => received.length === 1);
  const [message] = received;
  assert.deepEqual([message?.id, message?.data.toString(), message?.attributes], [id, 'Grüße', { step: 'load' }]);
  await subscription.close();
  const [topics] = await pubsub.getTopics();
  assert.deepEqual(
    topics.map(({ name }) => name),
    [DEAD, 'projects/p/topics/events', TOPIC],
  );
});

test('streaming pull shares thousands of messages and each comes once', async (t) => {
  const { pubsub } = await open(t);
  const topic = pubsub.topic('orders', { batching: { maxMessages: 500, maxMilliseconds: 5 } });
  await topic.createSubscription('worker');
  const seen = new Map<string, number>();
  const streams = [1, 2].map(() => pubsub.subscription('worker', { flowControl: { maxMessages: 500 } }));
  const shares = streams.map((stream) => {
    const share = { received: 0 };
    stream.on('message', (message: Message) => {
      share.received += 1;
      seen.set(message.data.toString(), (seen.get(message.data.toString()) ?? 0) + 1);
      message.ack();
    });
    return share;
  });
  const texts = Array.from({ length: 3000 }, (_, index) => `message ${index}`);
  await Promise.all(texts.map((text) => topic.publishMessage({ data: Buffer.from(text) })));
  await until('all messages came', () => seen.size === texts.length);
  await Promise.all(streams.map((stream) => stream.close()));
  assert.deepEqual(
    [...seen.values()].filter((times) => times !== 1),
    [],
  );
  for (const { received } of shares) assert.ok(received > 500, `a stream got only ${received} of 3000`);
});

test('a stream ends with its subscription', async (t) => {
  const { pubsub } = await open(t);
  await pubsub.topic('orders').createSubscription('worker');
  const stream = pubsub.subscription('worker');
  const errors: { code?: number; message: string }[] = [];
  stream.on('error', (error) => errors.push(error));
  stream.on('message', () => undefined);
  await pubsub.subscription('worker').delete();
  await until('the stream failed', () => errors.length > 0);
  assert.equal(errors[0]?.code, 5);
  assert.match(errors[0].message, /Resource not found \(resource=worker\)/);
  await stream.close();
});

test('subscriptions keep what they are given, with the defaults of the service', async (t) => {
  const { subscriber, publisher } = await open(t);
  const [plain] = await subscriber.createSubscription({ name: sub('plain'), topic: TOPIC });
  assert.equal(plain.ackDeadlineSeconds, 10);
  assert.deepEqual(plain.messageRetentionDuration, { seconds: '604800', nanos: 0 });
  assert.deepEqual(plain.expirationPolicy, { ttl: { seconds: '2678400', nanos: 0 } });
  assert.deepEqual([plain.retryPolicy, plain.deadLetterPolicy, plain.filter, plain.state], [null, null, '', 'ACTIVE']);

  await subscriber.createSubscription({
    name: sub('full'),
    topic: TOPIC,
    ackDeadlineSeconds: 600,
    messageRetentionDuration: { seconds: 2678400 },
    expirationPolicy: {},
    labels: { team: 'data' },
    filter: 'attributes:step',
    retryPolicy: { minimumBackoff: { seconds: 0, nanos: 250_000_000 } },
    deadLetterPolicy: { deadLetterTopic: DEAD },
    pushConfig: {
      pushEndpoint: 'http://127.0.0.1:9/x',
      attributes: { 'x-goog-version': 'v1' },
      oidcToken: { serviceAccountEmail: 'load@p.iam.gserviceaccount.com', audience: 'load' },
    },
  });
  const [full] = await subscriber.getSubscription({ subscription: sub('full') });
  assert.equal(full.ackDeadlineSeconds, 600);
  assert.deepEqual(full.expirationPolicy, { ttl: null });
  assert.deepEqual([full.labels, full.filter], [{ team: 'data' }, 'attributes:step']);
  assert.deepEqual(full.retryPolicy, {
    minimumBackoff: { seconds: '0', nanos: 250_000_000 },
    maximumBackoff: { seconds: '600', nanos: 0 },
  });
  assert.deepEqual(full.deadLetterPolicy, { deadLetterTopic: DEAD, maxDeliveryAttempts: 5 });
  assert.deepEqual(full.pushConfig?.oidcToken, {
    serviceAccountEmail: 'load@p.iam.gserviceaccount.com',
    audience: 'load',
  });

  // Only the mask's fields change; one named without a value goes back to its default.
  const [updated] = await subscriber.updateSubscription({
    subscription: { name: sub('full'), labels: { team: 'web' }, filter: 'ignored' },
    updateMask: { paths: ['labels', 'ack_deadline_seconds', 'dead_letter_policy'] },
  });
  assert.deepEqual([updated.labels, updated.ackDeadlineSeconds, updated.deadLetterPolicy], [{ team: 'web' }, 10, null]);
  assert.equal(updated.pushConfig?.pushEndpoint, 'http://127.0.0.1:9/x');
  await subscriber.modifyPushConfig({ subscription: sub('full'), pushConfig: {} });
  assert.equal((await subscriber.getSubscription({ subscription: sub('full') }))[0].pushConfig?.pushEndpoint, '');

  assert.deepEqual((await publisher.listTopicSubscriptions({ topic: TOPIC }))[0], [sub('full'), sub('plain')]);
  const page = { project: 'projects/p', pageSize: 1 };
  const [first, next] = await subscriber.listSubscriptions(page, { autoPaginate: false });
  assert.deepEqual([first.map(({ name }) => name), next?.pageToken], [[sub('full')], sub('full')]);
  const [second, last] = await subscriber.listSubscriptions({ ...page, ...next }, { autoPaginate: false });
  assert.deepEqual([second.map(({ name }) => name), last], [[sub('plain')], null]);
  await publisher.deleteTopic({ topic: TOPIC });
  assert.equal((await subscriber.getSubscription({ subscription: sub('plain') }))[0].topic, '_deleted-topic_');
});

test('topics keep labels and retention', async (t) => {
  const { publisher } = await open(t);
  const name = 'projects/p/topics/kept';
  await publisher.createTopic({ name, labels: { a: 'b' }, messageRetentionDuration: { seconds: 600 } });
  await publisher.updateTopic({ topic: { name, labels: { a: 'c' } }, updateMask: { paths: ['labels'] } });
  const [topic] = await publisher.getTopic({ topic: name });
  assert.deepEqual([topic.labels, topic.messageRetentionDuration], [{ a: 'c' }, { seconds: '600', nanos: 0 }]);
});

test('refuses with the status codes of the service', async (t) => {
  const { publisher, subscriber } = await open(t);
  await subscriber.createSubscription({ name: sub('worker'), topic: TOPIC });
  const topic = (name: string) => publisher.createTopic({ name });
  const long = `projects/p/topics/${'a'.repeat(256)}`;
  await assert.rejects(topic(TOPIC), { code: 6, details: 'Resource already exists in the project (resource=orders).' });
  for (const bad of ['projects/p/topics/ab', 'projects/p/topics/1abc', 'projects/p/topics/google', 'orders', long])
    await assert.rejects(topic(bad), { code: 3, details: invalidName(bad, 'topics') });
  await topic(`projects/p/topics/${'a'.repeat(255)}`);
  await assert.rejects(publisher.getTopic({ topic: 'projects/p/topics/none' }), {
    code: 5,
    details: 'Resource not found (resource=none).',
  });

  const create = (settings: Parameters<typeof subscriber.createSubscription>[0]) =>
    subscriber.createSubscription({ name: sub('refused'), topic: TOPIC, ...settings });
  const refusals: [Parameters<typeof create>[0], number, string][] = [
    [{ name: sub('worker') }, 6, 'Resource already exists in the project (resource=worker).'],
    [{ topic: 'projects/p/topics/none' }, 5, 'Resource not found (resource=none).'],
    [{ ackDeadlineSeconds: 9 }, 3, small('ack_deadline_seconds', '9', '10')],
    [{ ackDeadlineSeconds: 601 }, 3, large('ack_deadline_seconds', '601', '600')],
    [{ deadLetterPolicy: deadLetterPolicy(4) }, 3, small('max_delivery_attempts', '4', '5')],
    [{ deadLetterPolicy: deadLetterPolicy(101) }, 3, large('max_delivery_attempts', '101', '100')],
    [{ deadLetterPolicy: { deadLetterTopic: 'projects/p/topics/none' } }, 5, 'Resource not found (resource=none).'],
    [{ retryPolicy: { minimumBackoff: { seconds: 601 } } }, 3, large('minimum_backoff', '601s', '600s')],
    [{ retryPolicy: { maximumBackoff: { seconds: 9 } } }, 3, small('maximum_backoff', '9s', '10s')],
    [{ messageRetentionDuration: { seconds: 599 } }, 3, small('message_retention_duration', '599s', '600s')],
    [
      { pushConfig: { pushEndpoint: 'nonsense' } },
      3,
      'Invalid push endpoint given (endpoint=nonsense). Give an http or https URL.',
    ],
    [{ enableMessageOrdering: true }, 12, 'The local Pub/Sub does not implement: Subscription.enableMessageOrdering'],
    [
      { enableExactlyOnceDelivery: true },
      12,
      'The local Pub/Sub does not implement: Subscription.enableExactlyOnceDelivery',
    ],
    [{ bigqueryConfig: { table: 'p.d.t' } }, 12, 'The local Pub/Sub does not implement: Subscription.bigqueryConfig'],
    [
      { pushConfig: { pushEndpoint: 'http://127.0.0.1:9/', noWrapper: {} } },
      12,
      'The local Pub/Sub does not implement: PushConfig.noWrapper',
    ],
  ];
  for (const [settings, code, details] of refusals) await assert.rejects(create(settings), { code, details });

  await assert.rejects(subscriber.seek({ subscription: sub('worker') }), {
    code: 12,
    details: 'The server does not implement the method Seek',
  });
  await assert.rejects(subscriber.acknowledge({ subscription: sub('worker'), ackIds: ['x'] }), {
    code: 3,
    details: 'You have passed an invalid ack ID to the service (ack_id=x).',
  });
  await assert.rejects(
    subscriber.updateSubscription({ subscription: { name: sub('worker') }, updateMask: { paths: ['topic'] } }),
    {
      code: 3,
      message: /topic is not a Subscription field that can be changed/,
    },
  );
});

test('refuses what the service would not publish, and takes what it would', async (t) => {
  const { publisher } = await open(t);
  const publish = async (...messages: Parameters<typeof publisher.publish>[0]['messages'] & object) =>
    (await publisher.publish({ topic: TOPIC, messages }))[0].messageIds?.length;
  await assert.rejects(publish({}), {
    code: 3,
    details:
      'One or more messages in the publish request is empty. Each message must contain either non-empty data, or at least one attribute.',
  });
  await assert.rejects(publish(), { code: 3, message: /You passed 0 in the request, but the minimum value is 1\./ });
  await assert.rejects(publish(...Array.from({ length: 1001 }, () => ({ attributes: { a: '' } }))), {
    code: 3,
    message: /passed 1001/,
  });
  await assert.rejects(publish({ data: Buffer.alloc(10_000_001) }), {
    code: 3,
    details: 'Request payload size exceeds the limit: 10000000 bytes. You passed 10000001.',
  });
  await assert.rejects(publish({ attributes: { googclient: 'x' } }), {
    code: 3,
    details: 'Attribute keys must not start with "goog" (key=googclient).',
  });
  await assert.rejects(publish({ attributes: { ['k'.repeat(257)]: '' } }), {
    code: 3,
    message: /attribute_key_size is too large/,
  });
  await assert.rejects(publish({ attributes: { k: 'v'.repeat(1025) } }), {
    code: 3,
    message: /attribute_value_size is too large/,
  });
  await assert.rejects(publisher.publish({ topic: 'projects/p/topics/none', messages: [{ attributes: { a: 'b' } }] }), {
    code: 5,
    details: 'Resource not found (resource=none).',
  });
  assert.equal(await publish({ data: Buffer.alloc(10_000_000) }), 1);
  assert.equal(await publish(...Array.from({ length: 1000 }, () => ({ attributes: { a: '' } }))), 1000);
});

test('large messages come one by one, whatever the batch', async (t) => {
  const { publisher, subscriber, pull } = await open(t);
  await subscriber.createSubscription({ name: sub('worker'), topic: TOPIC });
  for (const text of ['a', 'b'])
    await publisher.publish({ topic: TOPIC, messages: [{ data: Buffer.alloc(9_000_000, text) }] });
  const sizes = [await pull(sub('worker')), await pull(sub('worker'))].map((batch) =>
    batch.map(({ text }) => text.length),
  );
  assert.deepEqual(sizes, [[9_000_000], [9_000_000]]);
});
