import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { listObjects, readJson } from '../../functions/cloud/storage.ts';
import { sweepAptible } from '../../functions/export/aptible/index.ts';
import { handleOf } from '../../functions/export/aptible/handle.ts';
import { ExportResultSchema } from '../../functions/export/result.ts';
import { changeLease, liveLease } from '../../functions/ledger/lease.ts';
import { markerOf } from '../../functions/ledger/markers.ts';
import { ManifestSchema } from '../../functions/mirror/plan.ts';
import { DATABASE, ENVIRONMENT, type LocalAptible } from '../../local/aptible/index.ts';
import { clientOf, configOf, makeVolumes, openAptible, openLedger, PROJECT } from './fixture.ts';

/** The export as Cloud Run runs it, in a process of its own that is ended in the middle: nothing of it stays on Aptible. */

let volumes: Awaited<ReturnType<typeof makeVolumes>>;
let storage: Awaited<ReturnType<typeof openLedger>>;
let directory: string;
before(async () => {
  storage = await openLedger();
  volumes = await makeVolumes(`
    CREATE TABLE a AS SELECT g AS id FROM generate_series(1, 1000) g;
    CREATE FUNCTION slow(n int) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT n FROM pg_sleep(0.02)';
    CREATE VIEW v AS SELECT public.slow(n) AS id FROM generate_series(1, 60) AS n;`);
  directory = await mkdtemp(path.join(tmpdir(), 'aptible-killed-'));
  await writeFile(
    path.join(directory, 'mirror.yaml'),
    `project: ${PROJECT}
region: us-central1
location: US
dataset: commons
source: { type: aptible, environment: ${ENVIRONMENT}, database: ${DATABASE}, connections: 2 }
chunks: [{ name: one, tables: [public.a] }, { name: two, tables: [public.v] }]
`,
  );
});
after(async () => {
  await rm(directory, { recursive: true, force: true });
  await volumes.remove();
  await storage.close();
});

let executions = 0;
const newExecution = (): string => `mirror-export-${process.pid}-${++executions}`;

/** One task of an execution. */
function task(t: { after: (end: () => void) => void }, aptible: LocalAptible, execution: string): ChildProcess {
  const main = new URL('../../functions/export/main.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main], {
    env: {
      ...process.env,
      ...aptible.environment,
      CONFIG_FILE: path.join(directory, 'mirror.yaml'),
      CLOUD_RUN_EXECUTION: execution,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

async function exitOf(child: ChildProcess): Promise<number | string | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode ?? child.signalCode;
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const limit = Date.now() + 30_000; !(await condition());) {
    assert(Date.now() < limit, `${what}: not within 30 s`);
    await sleep(5);
  }
}

/** The run that is live; each execution has one of its own. */
async function runOf(execution: string): Promise<string> {
  let runId = '';
  await until('a lease', async () => {
    const lease = await liveLease();
    if (lease?.execution === execution) ({ runId } = lease);
    return runId !== '';
  });
  return runId;
}

const temporary = (aptible: LocalAptible): string[] =>
  [...aptible.world.databases.values()].map(({ handle }) => handle).filter((handle) => handle !== DATABASE);
const finals = (aptible: LocalAptible): number =>
  [...aptible.world.backups.values()].filter(({ database }) => database.handle !== DATABASE).length;
const has = (aptible: LocalAptible, type: string): boolean =>
  [...aptible.world.operations.values()].some((operation) => operation.type === type);
const chunks = async (runId: string): Promise<string[]> => [
  ...(await listObjects('test-data', `chunks/${runId}/`)).keys(),
];
const isDone = async (runId: string): Promise<boolean> =>
  (await markerOf(runId, 'export', undefined, ExportResultSchema)) !== undefined;

/** As a minute and a half after the death of its holder. */
const leaseExpires = (): Promise<unknown> => changeLease((lease) => lease && { ...lease, until: 0 });

type Point = { what: string; reached: (aptible: LocalAptible, runId: string) => Promise<void> };
const POINTS = {
  requested: {
    what: 'after it has requested the restore',
    reached: (aptible) => until('a restore', () => has(aptible, 'restore')),
  },
  exporting: {
    what: 'in the middle of the export',
    reached: (_aptible, runId) => until('a chunk', async () => (await chunks(runId)).length === 1),
  },
  exported: {
    what: 'before it has requested the removal',
    reached: async (aptible, runId) => {
      await until('a chunk', async () => (await chunks(runId)).length === 1);
      // What is left to be asked of Aptible is the removal.
      aptible.faults.serverErrors = 1_000_000;
      await until('the end of the export', () => isDone(runId));
    },
  },
  removing: {
    what: 'after it has requested the removal',
    reached: (aptible) => until('a removal', () => has(aptible, 'deprovision')),
  },
} as const satisfies Record<string, Point>;

/** Starts a task and kills it there; gives its run. */
async function killedAt(
  t: { after: (end: () => void) => void },
  aptible: LocalAptible,
  execution: string,
  { reached }: Point,
): Promise<string> {
  const child = task(t, aptible, execution);
  const runId = await runOf(execution);
  await reached(aptible, runId);
  child.kill('SIGKILL');
  assert.equal(await exitOf(child), 'SIGKILL');
  aptible.faults.serverErrors = 0;
  return runId;
}

for (const point of Object.values(POINTS)) {
  test(`killed ${point.what}: the retried task finishes the run, and nothing is left`, async (t) => {
    const aptible = await openAptible(t, volumes.volumes);
    const execution = newExecution();
    const runId = await killedAt(t, aptible, execution, point);
    const before = await chunks(runId);
    assert.equal(await exitOf(task(t, aptible, execution)), 0);
    assert.deepEqual([temporary(aptible), finals(aptible)], [[], 0]);
    assert(await isDone(runId));
    const manifests = await chunks(runId);
    assert.equal(manifests.length, 2);
    assert.deepEqual(manifests.slice(0, before.length), before);
    const marker = await markerOf(runId, 'export', undefined, ExportResultSchema);
    assert.deepEqual([marker?.result.tables, marker?.result.rows], [2, 1060]);
    if (point !== POINTS.exporting) return;
    // The first chunk is the first attempt's, the second one comes from another restore of the same backup.
    const parts = await Promise.all(
      manifests.map(
        async (name) => (await readJson('test-data', name, ManifestSchema))?.value.tables[0]?.parts[0]?.object,
      ),
    );
    assert.deepEqual(parts, [`data/${runId}/1/a/0-1-0.csv`, `data/${runId}/2/v/0-1-0.csv`]);
  });
}

for (const point of [POINTS.requested, POINTS.exporting, POINTS.exported]) {
  test(`killed ${point.what} for good: a sweep leaves it while its lease may live, and removes it then`, async (t) => {
    const aptible = await openAptible(t, volumes.volumes);
    const runId = await killedAt(t, aptible, newExecution(), point);
    await until('the database', () => temporary(aptible).length === 1);
    const sweep = (): Promise<unknown> =>
      sweepAptible(clientOf(aptible), configOf(), PROJECT, undefined, new AbortController().signal);
    await sweep();
    assert.deepEqual(temporary(aptible), [handleOf(PROJECT, runId, 1)]);
    await leaseExpires();
    await sweep();
    assert.deepEqual([temporary(aptible), finals(aptible)], [[], 0]);
  });
}

test('the next execution removes what a killed one has left, before it restores for itself', async (t) => {
  const aptible = await openAptible(t, volumes.volumes);
  const killed = await killedAt(t, aptible, newExecution(), POINTS.exporting);
  await leaseExpires();
  const next = newExecution();
  const child = task(t, aptible, next);
  const runId = await runOf(next);
  await until('the next restore', () => temporary(aptible).includes(handleOf(PROJECT, runId, 1)));
  assert(!temporary(aptible).includes(handleOf(PROJECT, killed, 1)));
  assert.equal(await exitOf(child), 0);
  assert.deepEqual([temporary(aptible), finals(aptible)], [[], 0]);
});

for (const point of [POINTS.requested, POINTS.exporting]) {
  test(`SIGTERM ${point.what}: the removal is requested within the ten seconds that Cloud Run gives`, async (t) => {
    const aptible = await openAptible(t, volumes.volumes);
    const execution = newExecution();
    const child = task(t, aptible, execution);
    await point.reached(aptible, await runOf(execution));
    const begun = Date.now();
    child.kill('SIGTERM');
    assert.equal(await exitOf(child), 1);
    assert(Date.now() - begun < 9000, `${Date.now() - begun} ms`);
    assert(has(aptible, 'deprovision'));
    // The lease is given back: the sweep has nothing to wait for.
    await sweepAptible(clientOf(aptible), configOf(), PROJECT, undefined, new AbortController().signal);
    assert.deepEqual([temporary(aptible), finals(aptible)], [[], 0]);
  });
}
