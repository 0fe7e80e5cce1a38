import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExportProgress, type Report } from '../../functions/export/progress.ts';

const estimated = (table: string, estimatedRows: number, estimatedBytes: number) => ({
  schema: 'public',
  table,
  estimatedRows,
  estimatedBytes,
});

test('the log hears of rows, bytes and the time left, ever less often, and of what is under way alone', () => {
  const [large, small] = [estimated('large', 1000, 900), estimated('small', -1, 100)];
  const told: Report[] = [];
  let now = 0;
  const progress = new ExportProgress(
    [large, small],
    (report) => told.push(report),
    () => now,
  );
  const first = progress.range(large, 0);
  const second = progress.range(large, 1);
  first(100, 5000);
  now = 400;
  second(100, 5000);
  assert.deepEqual(told, [], 'nothing within the first half second');

  now = 1000;
  second(50, 2500);
  const active = { table: 'public.large', rows: 250, estimatedRows: 1000, bytes: 12_500, seconds: 1, secondsLeft: 3 };
  const totals = { rows: 250, bytes: 12_500, tables: 2, tablesEnded: 0, seconds: 1, secondsLeft: 3 };
  assert.deepEqual(told, [{ ...totals, active: [active] }]);

  // A range that starts again counts from nothing.
  const again = progress.range(large, 0);
  again(900, 45_000);
  progress.ended(large);
  now = 100_000;
  progress.range(small, 0)(7, 40);
  const left = { table: 'public.small', rows: 7, estimatedRows: -1, bytes: 40, seconds: 0, secondsLeft: 0 };
  const later = { rows: 1057, bytes: 52_540, tables: 2, tablesEnded: 1, seconds: 100, secondsLeft: 6 };
  assert.deepEqual(told.slice(1), [{ ...later, active: [left] }]);

  // A tenth of the time so far, ten seconds here, goes by before the next line.
  now = 109_999;
  again(1, 1);
  assert.equal(told.length, 2);
  now = 110_000;
  again(1, 1);
  assert.equal(told.length, 3);
});
