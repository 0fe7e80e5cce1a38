import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { mirrored } from './mirrored.ts';

/** Databases as people have them, whole: every value of every table. */
const read = (name: string): Promise<string> =>
  readFile(new URL(`../fixtures/schemas/${name}.sql`, import.meta.url), 'utf8');

test('a film rental shop', async (t) => {
  const { run, comparison, warehouse } = await mirrored(t, await read('film-rental'));
  assert.deepEqual(comparison, { wrong: [], tables: 16, rows: 9470, errors: 1 });
  const [error] = await warehouse.errorRows(`payment_errors_${run.runId}`);
  assert.deepEqual(
    error?.raw.map(({ value }) => value),
    ['100000', '1', '1', '1', '1.00', 'infinity'],
  );
});

test('a music store with an office beside it', async (t) => {
  const { run, comparison } = await mirrored(t, await read('music-store'));
  assert.deepEqual(comparison, { wrong: [], tables: 15, rows: 7706, errors: 0 });
  const ids = run.plan.chunks.flatMap(({ tables }) => tables.map(({ warehouseTable }) => warehouseTable));
  assert.ok(ids.includes('InvoiceLine') && ids.includes('Office-20-Orders__Order-20-Details'), ids.join());
});
