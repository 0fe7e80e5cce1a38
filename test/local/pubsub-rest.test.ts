import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { serve } from '../../local/http.ts';
import { open, sub, TOPIC } from './pubsub-fixture.ts';

function error(code: number, status: string, message: string): [number, object] {
  return [code, { error: { code, message, status } }];
}

/** The stand-in with its REST form served: `call` answers status and body. */
async function rest(t: TestContext) {
  const opened = await open(t);
  const server = await serve(opened.handle);
  t.after(server.close);
  const call = async (method: string, path: string, body?: object): Promise<[number, unknown]> => {
    const response = await fetch(`${server.url}/v1/${path}?alt=json`, {
      method,
      ...(body && { body: JSON.stringify(body) }),
    });
    return [response.status, await response.json()];
  };
  return { ...opened, call, url: server.url };
}

test('serves what gcloud pubsub calls, over the same state as gRPC', async (t) => {
  const { call, publish, subscriber } = await rest(t);
  assert.deepEqual(await call('PUT', 'projects/p/topics/new', { labels: { a: 'b' } }), [
    200,
    { name: 'projects/p/topics/new', labels: { a: 'b' }, state: 'ACTIVE' },
  ]);
  assert.deepEqual(await call('GET', 'projects/p/topics'), [
    200,
    {
      topics: [
        { name: 'projects/p/topics/dead', state: 'ACTIVE' },
        { name: 'projects/p/topics/new', labels: { a: 'b' }, state: 'ACTIVE' },
        { name: TOPIC, state: 'ACTIVE' },
      ],
    },
  ]);
  const settings = {
    topic: TOPIC,
    ackDeadlineSeconds: 20,
    messageRetentionDuration: '86400s',
    expirationPolicy: {},
    deadLetterPolicy: { deadLetterTopic: 'projects/p/topics/dead', maxDeliveryAttempts: 5 },
    retryPolicy: { minimumBackoff: '1.5s', maximumBackoff: '5s' },
  };
  const created = { ...settings, name: sub('worker'), pushConfig: {}, state: 'ACTIVE' };
  assert.deepEqual(await call('PUT', sub('worker'), { ...settings, pushConfig: { pushEndpoint: null } }), [
    200,
    created,
  ]);
  assert.deepEqual(await call('GET', sub('worker')), [200, created]);
  assert.deepEqual(await call('GET', 'projects/p/subscriptions'), [200, { subscriptions: [created] }]);
  assert.deepEqual(await call('GET', `${TOPIC}/subscriptions`), [200, { subscriptions: [sub('worker')] }]);
  const [grpc] = await subscriber.getSubscription({ subscription: sub('worker') });
  assert.deepEqual(grpc.retryPolicy?.minimumBackoff, { seconds: '1', nanos: 500_000_000 });

  const messages = [{ data: Buffer.from('hello').toString('base64'), attributes: { a: 'b' } }];
  const [status, published] = await call('POST', `${TOPIC}:publish`, { messages });
  const id = await publish('by gRPC');
  assert.equal(status, 200);
  const [, pulled] = await call('POST', `${sub('worker')}:pull`, { maxMessages: 5, returnImmediately: true });
  assert.deepEqual(published, { messageIds: [String(Number(id) - 1)] });
  const text = JSON.stringify(pulled).replaceAll(/"publishTime":"[0-9T:.-]+Z"/g, '"publishTime":"T"');
  assert.deepEqual(JSON.parse(text), {
    receivedMessages: [
      {
        ackId: `${sub('worker')}:${Number(id) - 1}:1`,
        message: { data: 'aGVsbG8=', attributes: { a: 'b' }, messageId: String(Number(id) - 1), publishTime: 'T' },
        deliveryAttempt: 1,
      },
      {
        ackId: `${sub('worker')}:${id}:1`,
        message: { data: 'YnkgZ1JQQw==', messageId: id, publishTime: 'T' },
        deliveryAttempt: 1,
      },
    ],
  });
  const ackIds = [`${sub('worker')}:${Number(id) - 1}:1`];
  assert.deepEqual(await call('POST', `${sub('worker')}:acknowledge`, { ackIds }), [200, {}]);
  const nack = { ackIds: [`${sub('worker')}:${id}:1`], ackDeadlineSeconds: 0 };
  assert.deepEqual(await call('POST', `${sub('worker')}:modifyAckDeadline`, nack), [200, {}]);

  const update = { subscription: { ackDeadlineSeconds: 30 }, updateMask: 'ackDeadlineSeconds' };
  assert.deepEqual(await call('PATCH', sub('worker'), update), [200, { ...created, ackDeadlineSeconds: 30 }]);
  assert.deepEqual(await call('DELETE', sub('worker')), [200, {}]);
  assert.deepEqual(await call('DELETE', TOPIC), [200, {}]);
});

test('a waiting pull ends when its caller leaves, and takes no message then', async (t) => {
  const { call, publish, url } = await rest(t);
  await call('PUT', sub('worker'), { topic: TOPIC });
  const signal = AbortSignal.timeout(100);
  const body = JSON.stringify({ maxMessages: 1 });
  await assert.rejects(fetch(`${url}/v1/${sub('worker')}:pull`, { method: 'POST', body, signal }), {
    name: 'TimeoutError',
  });
  await publish('later');
  const [, pulled] = await call('POST', `${sub('worker')}:pull`, { maxMessages: 1, returnImmediately: true });
  assert.match(JSON.stringify(pulled), /"ackId":".*:1"/);
});

test('errors are those of the service', async (t) => {
  const { call } = await rest(t);
  assert.deepEqual(await call('GET', sub('none')), error(404, 'NOT_FOUND', 'Resource not found (resource=none).'));
  assert.deepEqual(
    await call('PUT', TOPIC),
    error(409, 'ALREADY_EXISTS', 'Resource already exists in the project (resource=orders).'),
  );
  assert.deepEqual(
    await call('POST', `${sub('none')}:seek`, {}),
    error(501, 'UNIMPLEMENTED', `The local Pub/Sub does not implement: POST /v1/${sub('none')}:seek`),
  );
  assert.deepEqual(
    await call('POST', `${TOPIC}:publish`, { messages: [{ data: 'not base64!' }] }),
    error(400, 'INVALID_ARGUMENT', "Invalid value at 'messages.0.data': data must be base64"),
  );
  assert.deepEqual(
    await call('PUT', sub('worker'), { topic: TOPIC, nonsense: 1 }),
    error(400, 'INVALID_ARGUMENT', `Invalid value at '': Unrecognized key: "nonsense"`),
  );
});
