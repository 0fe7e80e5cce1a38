import assert from 'node:assert/strict';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { Report as Exporting } from '../../functions/export/progress.ts';
import type { RunStatus } from '../../functions/ledger/status.ts';
import { closingText, nextCommands } from '../../local/closing.ts';
import { followExport } from '../../local/export-log.ts';
import { plain } from '../../local/progress.ts';
import type { Report } from '../../local/report.ts';
import { frameOf } from '../../local/run-view.ts';

const status: RunStatus = {
  runId: '20261122T030000Z',
  shard: '20261122',
  trigger: 'manual',
  state: 'running',
  reason: '',
  coverage: undefined,
  steps: [
    { step: 'export', state: 'waiting' },
    { step: 'load', chunk: 'members', state: 'done', seconds: 1.25 },
    { step: 'load', chunk: 'care', state: 'failed', what: 'care.notes: 3 rows are missing' },
    { step: 'transform', chunk: 'members', state: 'waiting' },
    { step: 'sli', state: 'waiting' },
    { step: 'views', state: 'waiting' },
  ],
};

const exporting: Exporting = {
  rows: 1_205_877,
  bytes: 369_800_000,
  tables: 36,
  tablesEnded: 12,
  seconds: 4,
  secondsLeft: 130,
  active: [
    { table: 'care.notes', rows: 12_000, estimatedRows: 30_000, bytes: 8_200_000, seconds: 2, secondsLeft: 3 },
    { table: 'care.plans', rows: 7, estimatedRows: -1, bytes: 910, seconds: 0, secondsLeft: null },
  ],
};

test('a terminal shows the tables under way, what has ended, what is at work and what waits', () => {
  assert.deepEqual(frameOf({ status, exporting }, 61.2, 11), [
    'Run 20261122T030000Z  61 s',
    '⠙ export  12 of 36 tables, 1,205,877 rows, 369.8 MB, 92.5 MB/s, 2 min left',
    '    care.notes  12,000 of about 30,000 rows  8.2 MB  4.1 MB/s  3 s left',
    '    care.plans  7 rows  0.9 kB',
    '✔ load members  1.3 s',
    '✖ load care  care.notes: 3 rows are missing',
    '⠙ transform members',
    '· sli',
    '· views',
  ]);
});

test('elsewhere each step is a line once, and the export one every ten seconds', () => {
  const lines: string[] = [];
  let now = 0;
  const progress = plain(
    (line) => lines.push(line),
    () => now,
  );
  progress.show({ status: { ...status, restore: 'backup 7, taken 2026-11-22T01:00:00Z; restoring, 5 s' }, exporting });
  now = 10_000;
  progress.show({ status: { ...status, restore: 'backup 7, taken 2026-11-22T01:00:00Z; restoring, 15 s' }, exporting });
  progress.show({ status: { ...status, steps: [{ step: 'export', state: 'done', seconds: 12 }] }, exporting });
  assert.deepEqual(lines, [
    'backup 7, taken 2026-11-22T01:00:00Z; restoring',
    'load members: done in 1.3 s',
    'load care: failed',
    'export: 12 of 36 tables, 1,205,877 rows, 369.8 MB, 92.5 MB/s, 2 min left',
    'export: done in 12.0 s',
  ]);
});

const table = (name: string, chunk: string, exported: number, errors: number): Report['tables'][number] => ({
  schema: 'public',
  table: name,
  warehouseTable: name,
  chunk,
  exported,
  loaded: exported - errors,
  errors,
  bytes: exported * 100,
  parts: 1,
});

const report: Report = {
  runId: '20261122T030000Z',
  shard: '20261122',
  state: 'blocked',
  reason: 'total: coverage 0.99, wanted 0.999, 20 error rows',
  configuration: false,
  tables: [table('orders', 'shop', 1000, 0), table('items', 'shop', 1000, 20), table('empty', 'rest', 0, 0)],
  coverage: 0.99,
  transforms: [],
  warnings: [1, 2, 3, 4, 5, 6, 7].map((n) => `public.t${n} is unlogged`),
  changes: [],
  standing: [],
  views: [{ view: 'orders', table: 'orders_20261122' }],
  seconds: { export: 1, load: 2.04, transform: null, sli: 0.3, views: null, total: 4 },
};

test('the end is told with its reason, the rows by chunk, the bad ones by table, the time and the places', () => {
  const places = { page: 'P/', warehouse: 'W', logs: 'L', bigquery: 'S', storage: 'S', pubsub: 'Q' };
  assert.equal(
    closingText(report, places),
    `Run 20261122T030000Z: blocked
total: coverage 0.99, wanted 0.999, 20 error rows

chunk  tables  exported  loaded  errors  coverage       CSV
-----  ------  --------  ------  ------  --------  --------
shop        2     2,000   1,980      20  0.990000  200.0 kB
rest        1         0       0       0  1.000000    0.0 kB
total       3     2,000   1,980      20  0.990000  200.0 kB

In commons_mirror_errors_20261122: public.items 20
Warning: public.t1 is unlogged
Warning: public.t2 is unlogged
Warning: public.t3 is unlogged
Warning: public.t4 is unlogged
Warning: public.t5 is unlogged
and 2 more warnings: commons-mirror plan lists them
Time  export 1.0 s, load 2.0 s, transform –, sli 0.3 s, views –, total 4.0 s
Page P/   Warehouse W   Logs L
BigQuery, Cloud Storage S   Pub/Sub Q`,
  );
  // Services that are not the stack's own have their own addresses, and another BigQuery no file.
  const foreign = { ...places, warehouse: undefined, bigquery: 'B', storage: 'T' };
  assert.deepEqual(closingText(report, foreign).split('\n').slice(-2), [
    'Page P/   Logs L',
    'BigQuery B   Cloud Storage T   Pub/Sub Q',
  ]);
  assert.deepEqual(nextCommands(report, '.mirror'), [
    'npx commons-mirror status',
    "npx commons-mirror query 'SELECT * FROM `orders` LIMIT 5'",
    "npx commons-mirror query 'SELECT source_table, COUNT(*) AS errors FROM commons_mirror_errors_20261122 GROUP BY source_table'",
    'npx commons-mirror publish 20261122T030000Z --accept-coverage',
  ]);
});

test("the export's own lines are found in a growing log, whoever else writes to it", async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'export-log-'));
  try {
    const file = path.join(directory, 'mirror.log');
    const line = (runId: string, rows: number): string =>
      `${JSON.stringify({ severity: 'INFO', message: 'Exporting', runId, ...exporting, rows })}\n`;
    await writeFile(file, `plain text\n${line('a', 1)}${line('b', 2)}`);
    const follow = followExport(file);
    assert.equal((await follow('a'))?.rows, 1);
    assert.equal(await follow('a'), undefined);
    const next = line('a', 3);
    await appendFile(file, next.slice(0, 40));
    assert.equal(await follow('a'), undefined);
    await appendFile(file, `${next.slice(40)}{"message":"Exporting" cut\n`);
    assert.equal((await follow('a'))?.rows, 3);
  } finally {
    await rm(directory, { recursive: true });
  }
});
