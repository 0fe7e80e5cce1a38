import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openCatalog } from '../../local/bigquery/catalog.ts';

test('large work has all cores while it lasts, and its failure is the one that is told', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'bigquery-threads-'));
  const catalog = await openCatalog(join(directory, 'warehouse.duckdb'), Date.now);
  const threads = (): Promise<number> =>
    catalog.withConnection(async (connection) => {
      const reader = await connection.runAndReadAll("SELECT current_setting('threads')");
      return Number(reader.getRowsJS()[0]?.[0]);
    });
  try {
    assert.equal(await catalog.withThreads(1e9, threads), availableParallelism());
    assert.equal(await catalog.withThreads(1, threads), 1);
    const failing = catalog.transaction(({ connection }) =>
      catalog.withThreads(1e9, () => connection.run("SELECT error('a bad row')")),
    );
    await assert.rejects(failing, /a bad row/);
    assert.equal(await threads(), 1);
  } finally {
    await catalog.close();
    await rm(directory, { recursive: true });
  }
});
