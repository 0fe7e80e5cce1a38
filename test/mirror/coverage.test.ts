import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coverage, shortfalls, totalOf } from '../../functions/mirror/coverage.ts';

const COVERAGES: [loaded: number, errors: number, coverage: number][] = [
  [0, 0, 1],
  [10, 0, 1],
  [0, 3, 0],
  [999, 1, 0.999],
  [3, 1, 0.75],
];

for (const [loaded, errors, expected] of COVERAGES) {
  test(`${loaded} rows loaded and ${errors} error rows are a coverage of ${expected}`, () => {
    assert.equal(coverage({ loaded, errors }), expected);
  });
}

test('the total counts rows, not tables', () => {
  assert.deepEqual(totalOf([]), { loaded: 0, errors: 0 });
  const counts = [
    { loaded: 1, errors: 1 },
    { loaded: 98, errors: 0 },
  ];
  assert.deepEqual(totalOf(counts), { loaded: 99, errors: 1 });
  assert.equal(coverage(totalOf(counts)), 0.99);
});

const table = (name: string, loaded: number, errors: number) => ({ schema: 'care', table: name, loaded, errors });

test('a coverage at its threshold is enough, below it is not', () => {
  const thresholds = { total: 0, perTable: 0.9, tables: {} };
  assert.deepEqual(shortfalls([table('at', 9, 1), table('below', 8999, 1001), table('empty', 0, 0)], thresholds), [
    { what: 'table care.below', coverage: 0.8999, threshold: 0.9, errors: 1001 },
  ]);
});

test('a table’s own threshold counts before the general one, in either direction', () => {
  const thresholds = { total: 0, perTable: 0.9, tables: { '"care"."lax"': 0, 'care.strict': 1 } };
  assert.deepEqual(shortfalls([table('lax', 0, 7), table('strict', 999, 1)], thresholds), [
    { what: 'table care.strict', coverage: 0.999, threshold: 1, errors: 1 },
  ]);
});

test('many good tables do not hide a bad one, nor a large one the total', () => {
  const thresholds = { total: 0.9, perTable: 0.5, tables: {} };
  assert.deepEqual(shortfalls([table('a', 6, 4), table('b', 5, 5)], thresholds), [
    { what: 'total', coverage: 0.55, threshold: 0.9, errors: 9 },
  ]);
  assert.deepEqual(shortfalls([], thresholds), []);
});
