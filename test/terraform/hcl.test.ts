import assert from 'node:assert/strict';
import { test } from 'node:test';
import { entries, literal, local, nested, parseHcl, resource } from './hcl.ts';

const TEXT = `
# Why it is there.
resource "google_pubsub_topic" "mirror" {
  for_each = local.topics

  name = "a # no comment"
  retry {
    seconds = 10 # ten
  }
}

locals {
  topics = {
    objects = "mirror-objects" # one
    dead    = "mirror-dead"
  }
  list = [for name in ["a", "b"] :
    name
  ]
}
`;

test('blocks with their labels, comments, arguments and inner blocks', () => {
  const blocks = parseHcl(TEXT);
  const topic = resource(blocks, 'google_pubsub_topic', 'mirror');
  assert.equal(topic.comment, 'Why it is there.\n');
  assert.equal(topic.values.get('for_each'), 'local.topics');
  assert.equal(literal(topic, 'name'), 'a # no comment');
  assert.deepEqual(nested(topic, 'retry').labels, ['retry']);
});

test('expressions over several lines', () => {
  const blocks = parseHcl(TEXT);
  assert.equal(local(blocks, 'list'), '[for name in ["a", "b"] : name ]');
  assert.deepEqual(
    [...entries(local(blocks, 'topics'))],
    [
      ['objects', '"mirror-objects"'],
      ['dead', '"mirror-dead"'],
    ],
  );
});

test('maps on one line, with maps and calls in them', () => {
  const found = entries('{ a = { b = 1, c = "x, y = z" }, d = merge({ e = 2 }, f) }');
  assert.deepEqual(
    [...found],
    [
      ['a', '{ b = 1, c = "x, y = z" }'],
      ['d', 'merge({ e = 2 }, f)'],
    ],
  );
});

test('what is not there, or not known, is an error', () => {
  const blocks = parseHcl(TEXT);
  assert.throws(() => resource(blocks, 'google_pubsub_topic', 'other'), {
    message: 'Terraform declares no google_pubsub_topic of the name other',
  });
  assert.throws(() => local(blocks, 'other'), { message: 'Terraform declares no local value other' });
  assert.throws(() => parseHcl('resource google_pubsub_topic mirror {\n}\n'), {
    message: 'line 1 is neither a block nor an argument: resource google_pubsub_topic mirror {',
  });
  assert.throws(() => parseHcl('locals {\n  list = [\n'), { message: 'the expression is not closed: [' });
});
