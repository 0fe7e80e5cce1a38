import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataPrefix, manifestObject, parseManifestObject } from '../../functions/mirror/plan.ts';

test('a manifest’s name says run, attempt and chunk, and is read back', () => {
  const name = manifestObject('20261122T030000Z', 12, 'care-1');
  assert.equal(name, 'chunks/20261122T030000Z/12/care-1.json');
  assert.deepEqual(parseManifestObject(name), { runId: '20261122T030000Z', attempt: 12, chunk: 'care-1' });
});

test('rows lie beside the manifests, where no notification looks', () => {
  assert.equal(dataPrefix('20261122T030000Z', 12), 'data/20261122T030000Z/12/');
});

for (const name of [
  'data/20261122T030000Z/1/members/0-1-0.csv',
  'chunks/20261122T030000Z/1/care',
  'chunks/20261122T030000Z/1/care.json.tmp',
  'chunks/20261122T030000Z/care.json',
  'chunks/20261122T030000/1/care.json',
  'chunks/20261122T030000Z/1/sub/care.json',
  'chunks/20261122T030000Z/1/.json',
  'chunks/20261122T030000Z/one/care.json',
  'other/chunks/20261122T030000Z/1/care.json',
]) {
  test(`${name} is no manifest`, () => assert.equal(parseManifestObject(name), undefined));
}
