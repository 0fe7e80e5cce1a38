import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  parseCompletion,
  parseFailure,
  parseObject,
  type Completion,
  type Failure,
  type PubSubEvent,
} from '../../functions/mirror/messages.ts';

const event = (body: unknown, message: Record<string, unknown> = { messageId: '17' }): PubSubEvent => ({
  data: { message: { ...message, data: Buffer.from(JSON.stringify(body)).toString('base64') }, subscription: 's' },
});

const completion: Completion = { step: 'load', runId: '20261122T030000Z', shard: '20261121', chunk: 'care' };

test('a completion is read with its id and attributes, and what it does not know is dropped', () => {
  const sent = event({ ...completion, later: 'addition' }, { messageId: '17', attributes: { origin: 'x' } });
  assert.deepEqual(parseCompletion(sent), { id: '17', attributes: { origin: 'x' }, body: completion });
});

test('the id is found under either name, and attributes may be missing or null', () => {
  const run = { step: 'views', runId: '20261122T030000Z', shard: '20261121' };
  assert.deepEqual(parseCompletion(event(run, { message_id: '18', attributes: null })), {
    id: '18',
    attributes: {},
    body: run,
  });
  assert.equal(parseCompletion(event(run, {})).id, 'unknown');
});

test('a retry says which step it is meant for', () => {
  assert.equal(parseCompletion(event({ ...completion, retry: 'sli' })).body.retry, 'sli');
  const object = { bucket: 'b', name: 'chunks/20261122T030000Z/1/care.json', retry: 'load', size: '12', md5Hash: 'x' };
  assert.deepEqual(parseObject(event(object)).body, { bucket: 'b', name: object.name, retry: 'load' });
});

const REFUSED: [what: string, parse: () => unknown, message: string][] = [
  [
    'an event without a message',
    () => parseCompletion({ data: { subscription: 's' } }),
    'Received an event that is no Pub/Sub message (wanted: a completion)',
  ],
  ['no event at all', () => parseFailure({}), 'Received an event that is no Pub/Sub message (wanted: a failure)'],
  [
    'a message that is no JSON',
    () => parseObject({ data: { message: { messageId: '17', data: Buffer.from('secret{').toString('base64') } } }),
    'Received a message that is no object: body: Invalid input: expected object, received undefined (message 17)',
  ],
  [
    'a message without data',
    () => parseObject({ data: { message: { messageId: '17' } } }),
    'Received a message that is no object: body: Invalid input: expected object, received undefined (message 17)',
  ],
  [
    'several faults',
    () => parseCompletion(event({ step: 'laod', runId: 'secret', shard: 'today' })),
    'Received a message that is no completion: step: Invalid option: expected one of "export"|"load"|"transform"|"sli"|"views"; ' +
      'runId: a run id such as 20261122T030000Z; shard: a date such as 20261122 (message 17)',
  ],
  [
    'a failure without attempts',
    () => parseFailure(event({ step: 'load', fault: 'f', kind: 'failed', what: 'w', attempts: 0 })),
    'Received a message that is no failure: attempts: Too small: expected number to be >0 (message 17)',
  ],
];

for (const [what, parse, message] of REFUSED) {
  test(`${what} is refused for good, without repeating what was in it`, () => {
    assert.throws(parse, { name: 'PermanentError', message });
  });
}

test('a failure of any length is told, cut where Slack would refuse it', () => {
  const failure: Failure = { step: 'export', fault: 'f', kind: 'failed', what: 'x'.repeat(2500), attempts: 1 };
  assert.deepEqual(parseFailure(event(failure)).body, failure);
  const long = parseFailure(event({ ...failure, what: 'x'.repeat(2501) })).body.what;
  assert.equal(long, `${'x'.repeat(2499)}…`);
});
