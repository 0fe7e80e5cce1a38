import { after, type TestContext } from 'node:test';
import { testDatabase } from '../postgres.ts';
import { compareRun, type Comparison } from './compare.ts';
import { LOADING, openValuesHarness, type MirroredRun, type ValuesHarness } from './harness.ts';
import { openSource } from './source.ts';
import { openWarehouse, type Warehouse } from './warehouse.ts';

let opened: Promise<ValuesHarness> | undefined;
after(async () => (await opened)?.close());

/** The test file's harness, which ends with it. */
export const valuesHarness = (): Promise<ValuesHarness> => (opened ??= openValuesHarness());

/** A database of the test's own, made by `sql`, mirrored and compared with what was loaded. */
export async function mirrored(
  t: TestContext,
  sql: string,
  yaml?: string,
): Promise<{ url: string; run: MirroredRun; warehouse: Warehouse; comparison: Comparison }> {
  const { url } = await testDatabase(t, sql);
  const harness = await valuesHarness();
  const run = await harness.mirror(url, yaml);
  const warehouse = openWarehouse(harness.bigquery, LOADING);
  const source = await openSource(url);
  try {
    return { url, run, warehouse, comparison: await compareRun(source, warehouse, run) };
  } finally {
    await source.end();
  }
}
