import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Relation } from '../../functions/export/catalogue.ts';
import { rangesOf } from '../../functions/export/ranges.ts';

const MIB = 1024 * 1024;
const PAGE_BYTES = 8192;

const relation = (bytes: number, { heap = true } = {}): Relation => ({
  oid: 1,
  schema: 'public',
  table: 't',
  kind: 'table',
  unlogged: false,
  onPrimaryOnly: false,
  readable: true,
  filtered: false,
  description: null,
  leaves: [
    {
      oid: 1,
      schema: 'public',
      table: 't',
      relkind: 'r',
      heap,
      readable: true,
      bytes,
      pages: bytes / PAGE_BYTES,
      rows: 1,
    },
  ],
});

const rangeSizes = (bytes: number, connections: number): number[] =>
  rangesOf(relation(bytes), 180000, connections).map(
    ({ from, to }) => (((to ?? bytes / PAGE_BYTES) - (from ?? 0)) * PAGE_BYTES) / MIB,
  );

test('a small table is one range', () => {
  assert.deepEqual(rangesOf(relation(64 * MIB), 180000, 4), [{ relation: 'ONLY "public"."t"', from: null, to: null }]);
});

test('a table larger than a range is shared by the connections', () => {
  assert.deepEqual(rangesOf(relation(100 * MIB), 180000, 2), [
    { relation: 'ONLY "public"."t"', from: null, to: 6400 },
    { relation: 'ONLY "public"."t"', from: 6400, to: null },
  ]);
});

test('each connection gets several ranges, so that the last ones end at about the same time', () => {
  assert.deepEqual(
    rangeSizes(2048 * MIB, 2),
    Array.from({ length: 16 }, () => 128),
  );
});

test('a range of a very large table is no larger than what may be lost', () => {
  assert.deepEqual(
    rangeSizes(20 * 1024 * MIB, 2),
    Array.from({ length: 40 }, () => 512),
  );
});

test('what cannot be read by its pages is one range: another access method, and a server before 14', () => {
  const whole = [{ relation: 'ONLY "public"."t"', from: null, to: null }];
  assert.deepEqual(rangesOf(relation(4096 * MIB, { heap: false }), 180000, 2), whole);
  assert.deepEqual(rangesOf(relation(4096 * MIB), 130022, 2), whole);
});
