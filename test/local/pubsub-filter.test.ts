import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileFilter } from '../../local/pubsub/filter.ts';
import { open, sub, TOPIC } from './pubsub-fixture.ts';

const accepted: [string, Record<string, string>, boolean][] = [
  ['', {}, true],
  ['attributes:step', { step: '' }, true],
  ['attributes:step', {}, false],
  ['attributes:"ce-type"', { 'ce-type': 'x' }, true],
  ['attributes.ce-type = "x"', { 'ce-type': 'x' }, true],
  ['attributes.step="load"', { step: 'load' }, true],
  ['attributes.step = "load"', { step: 'Load' }, false],
  ['attributes.step = "load"', {}, false],
  ['attributes.step != "load"', { step: 'sli' }, true],
  ['attributes.step != "load"', {}, true],
  ['attributes.toString = "x"', {}, false],
  ['hasPrefix(attributes.path, "chunks/")', { path: 'chunks/1' }, true],
  ['hasPrefix(attributes.path, "chunks/")', { path: 'data/1' }, false],
  ['hasPrefix(attributes.path, "chunks/")', {}, false],
  ['attributes:a AND attributes:b', { a: '' }, false],
  ['attributes:a AND attributes:b AND attributes:c', { a: '', b: '', c: '' }, true],
  ['attributes:a OR attributes:b', { b: '' }, true],
  ['NOT attributes:a', { a: '' }, false],
  ['-attributes:a', {}, true],
  ['attributes:a AND (attributes:b OR NOT attributes:c)', { a: '' }, true],
  ['attributes:a AND (attributes:b OR NOT attributes:c)', { a: '', c: '' }, false],
  ['attributes.q = "say \\"hi\\" \\\\"', { q: 'say "hi" \\' }, true],
];

for (const [filter, attributes, expected] of accepted)
  test(`${filter || 'no filter'} ${expected ? 'takes' : 'leaves'} ${JSON.stringify(attributes)}`, () => {
    assert.equal(compileFilter(filter)(attributes), expected);
  });

const refused: [string, string][] = [
  ['attributes.step =', 'expected a "string", found the end'],
  ['attributes.step = load', 'expected a "string", found load'],
  ['attributes.step > "a"', 'cannot read from character 17'],
  ['data:x', 'expected attributes, found data'],
  ['attributes:a attributes:b', 'expected the end, AND or OR, found attributes'],
  ['attributes:a AND attributes:b OR attributes:c', 'AND and OR together need parentheses'],
  ['(attributes:a', 'expected ), found the end'],
];

for (const [filter, problem] of refused)
  test(`refuses ${filter}`, () => {
    assert.throws(() => compileFilter(filter), {
      status: 'INVALID_ARGUMENT',
      message: `The value for filter is invalid: ${problem} (filter=${filter}).`,
    });
  });

test('refuses an escape that is not built, and more than 256 bytes', () => {
  assert.throws(() => compileFilter(String.raw`attributes.a = "\x41"`), {
    status: 'UNIMPLEMENTED',
    message: String.raw`The local Pub/Sub does not implement: the filter escape \x`,
  });
  assert.throws(() => compileFilter(`attributes:${'a'.repeat(246)}`), {
    status: 'INVALID_ARGUMENT',
    message: 'The value for filter is too large. You passed 257 in the request, but the maximum value is 256.',
  });
});

test('a filtered subscription receives only what matches', async (t) => {
  const { publisher, subscriber, pull } = await open(t);
  await subscriber.createSubscription({ name: sub('loads'), topic: TOPIC, filter: 'attributes.step = "load"' });
  await assert.rejects(subscriber.createSubscription({ name: sub('refused'), topic: TOPIC, filter: 'step' }), {
    code: 3,
  });
  const messages = ['load', 'sli', 'load'].map((step, index) => ({
    data: Buffer.from(`${index}`),
    attributes: { step },
  }));
  await publisher.publish({ topic: TOPIC, messages });
  assert.deepEqual(
    (await pull(sub('loads'))).map(({ text }) => text),
    ['0', '2'],
  );
});
