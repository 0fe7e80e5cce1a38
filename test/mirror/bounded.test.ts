import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { bounded } from '../../functions/mirror/bounded.ts';

test('results come in the order of the items, however long each takes', async () => {
  const delays = [30, 1, 20, 1, 10];
  const results = await bounded(delays, 2, async (delay) => {
    await wait(delay);
    return delay * 2;
  });
  assert.deepEqual(results, [60, 2, 40, 2, 20]);
  assert.deepEqual(await bounded([], 4, async () => 1), []);
});

test('at most `limit` are under way, and as many as that', async () => {
  let running = 0;
  let most = 0;
  await bounded(Array.from({ length: 20 }), 3, async () => {
    most = Math.max(most, ++running);
    await wait(1);
    running -= 1;
  });
  assert.equal(most, 3);
});

test('the failure that came first is the one that is told, wherever it stands in the list', async () => {
  const work = bounded([20, 1, 30], 3, async (delay) => {
    await wait(delay);
    throw new Error(`after ${delay}`);
  });
  await assert.rejects(work, { message: 'after 1' });
});

test('after a failure nothing new begins, and what runs has come to rest', async () => {
  const begun: number[] = [];
  const ended: number[] = [];
  const work = bounded([1, 2, 3, 4, 5], 2, async (item) => {
    begun.push(item);
    await wait(item === 1 ? 1 : 20);
    if (item === 1) throw new Error('first');
    ended.push(item);
  });
  await assert.rejects(work, { message: 'first' });
  assert.deepEqual([begun, ended], [[1, 2], [2]]);
});

test('work that throws before it returns a promise is a failure too', async () => {
  const work = bounded([1, 2], 2, (item): Promise<number> => {
    if (item === 2) throw new Error('at once');
    return wait(5, item);
  });
  await assert.rejects(work, { message: 'at once' });
});

test('undefined is a failure like any other', async () => {
  await assert.rejects(
    bounded([1], 1, () => Promise.reject(undefined)),
    (error) => error === undefined,
  );
});
