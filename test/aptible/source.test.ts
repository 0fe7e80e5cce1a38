import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { aptibleSource, sweepAptible } from '../../functions/export/aptible/index.ts';
import { handleOf, parseHandle } from '../../functions/export/aptible/handle.ts';
import { ledger, runPath } from '../../functions/ledger/index.ts';
import { changeLease } from '../../functions/ledger/lease.ts';
import { madeBackups, restoreOf } from '../../functions/ledger/restores.ts';
import type { Source } from '../../functions/export/source.ts';
import { DATABASE, type LocalAptible } from '../../local/aptible/index.ts';
import { clientOf, configOf, makeVolumes, openAptible, openLedger, PROJECT } from './fixture.ts';

/** A run's database, from the restore to its removal, and what is left of runs that were killed. */

let volumes: Awaited<ReturnType<typeof makeVolumes>>;
let storage: Awaited<ReturnType<typeof openLedger>>;
before(async () => {
  storage = await openLedger();
  volumes = await makeVolumes(`CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 1000) g`);
});
after(async () => {
  await volumes.remove();
  await storage.close();
});

let minute = 0;
/** A run of its own for each test. */
const newRun = (): string => `20261122T03${String(minute++).padStart(2, '0')}00Z`;

const running = new AbortController().signal;
function sourceOf(aptible: LocalAptible, runId: string, attempt = 1, signal = running, more = ''): Source {
  return aptibleSource(clientOf(aptible), configOf(more), PROJECT, { runId, attempt }, signal);
}

async function count(source: Source): Promise<unknown> {
  const client = await source.connect();
  try {
    const { rows } = await client.query<{ rows: string; ssl: boolean }>(
      'SELECT (SELECT count(*) FROM public.t) AS rows, (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS ssl',
    );
    return rows[0];
  } finally {
    await client.end();
  }
}

const operations = (aptible: LocalAptible, type: string): number =>
  [...aptible.world.operations.values()].filter((operation) => operation.type === type).length;
const temporary = (aptible: LocalAptible): string[] =>
  [...aptible.world.databases.values()].map(({ handle }) => handle).filter((handle) => handle !== DATABASE);
const finals = (aptible: LocalAptible): number =>
  [...aptible.world.backups.values()].filter(({ database }) => database.handle !== DATABASE).length;

async function hasClaim(runId: string): Promise<void> {
  await ledger.create(`${runPath(runId)}claim.json`, { execution: runId, attempt: 1, trigger: 'manual', at: '' });
}

test('a backup is restored, read through the tunnel over TLS, and nothing is left', async (t) => {
  const aptible = await openAptible(t, volumes.volumes);
  const runId = newRun();
  const source = sourceOf(aptible, runId);
  assert.equal(source.name, `mirror-commons-test-${runId.toLowerCase()}-1, restored from commons-production/commons`);
  assert.deepEqual(await count(source), { rows: '1000', ssl: true });
  assert.deepEqual(temporary(aptible), [handleOf(PROJECT, runId, 1)]);
  const [backup] = [...aptible.world.backups.values()];
  assert.deepEqual(source.backup?.(), { id: backup?.id, createdAt: backup?.createdAt.toISOString() });
  await source.close();
  assert.deepEqual([temporary(aptible), finals(aptible)], [[], 0]);
  const record = await restoreOf(runId);
  assert.deepEqual(
    record.phases.map(({ phase, attempt }) => [phase, attempt]),
    [
      ['backup', 1],
      ['restore', 1],
      ['tunnel', 1],
      ['deprovision', 1],
    ],
  );
  assert.equal(record.backup?.id, backup?.id);
});

test('closing what was never used does nothing', async (t) => {
  const aptible = await openAptible(t);
  await sourceOf(aptible, newRun()).close();
  assert.equal(aptible.world.operations.size, 0);
});

for (const fault of ['loseReply', 'loseRequest'] as const) {
  test(`a restore whose answer is unclear makes one database: ${fault}`, async (t) => {
    const aptible = await openAptible(t, volumes.volumes);
    aptible.faults[fault] = 'restore';
    const source = sourceOf(aptible, newRun());
    assert.deepEqual(await count(source), { rows: '1000', ssl: true });
    assert.equal(temporary(aptible).length, 1);
    assert.equal(operations(aptible, 'restore'), 1);
    await source.close();
  });

  test(`a removal whose answer is unclear happens: ${fault}`, async (t) => {
    const aptible = await openAptible(t, volumes.volumes);
    const source = sourceOf(aptible, newRun());
    await (await source.connect()).end();
    aptible.faults[fault] = 'deprovision';
    await source.close();
    assert.deepEqual([temporary(aptible), finals(aptible)], [[], 0]);
  });
}

test('a restore that fails is told, and what it has left is removed', async (t) => {
  const aptible = await openAptible(t, volumes.volumes);
  aptible.faults.failOperation = 'restore';
  const source = sourceOf(aptible, newRun());
  await assert.rejects(source.connect(), {
    name: 'SafeError',
    message:
      /^Aptible: restoring backup \d+ into mirror-\S+ failed \(operation (\d+)\)\. Next: read its log, \S+\/\1$/u,
  });
  assert.equal(temporary(aptible).length, 1);
  await source.close();
  assert.deepEqual(temporary(aptible), []);
});

test('an environment without final backups works as well', async (t) => {
  const aptible = await openAptible(t, volumes.volumes);
  aptible.faults.keepFinalBackup = false;
  const source = sourceOf(aptible, newRun());
  await (await source.connect()).end();
  await source.close();
  assert.equal(operations(aptible, 'purge'), 0);
});

test('a retried task restores the same backup, also where a newer one has come', async (t) => {
  const aptible = await openAptible(t, volumes.volumes);
  const runId = newRun();
  const first = sourceOf(aptible, runId);
  await (await first.connect()).end();
  await first.close();
  const [database] = [...aptible.world.databases.values()];
  assert(database);
  aptible.world.addBackup(database);
  const second = sourceOf(aptible, runId, 2);
  await (await second.connect()).end();
  assert.deepEqual(temporary(aptible), [handleOf(PROJECT, runId, 2)]);
  assert.deepEqual(second.backup?.(), first.backup?.());
  await second.close();
});

test('a missing database, and one that is no PostgreSQL, are told before anything is restored', async (t) => {
  const aptible = await openAptible(t);
  const api = clientOf(aptible);
  const config = { ...configOf(), database: 'comons' };
  await assert.rejects(aptibleSource(api, config, PROJECT, { runId: newRun(), attempt: 1 }, running).connect(), {
    name: 'PermanentError',
    message:
      'Aptible has no database comons in the environment commons-production. Next: correct source.database in mirror.yaml',
  });
  assert.equal(aptible.world.operations.size, 0);
});

test('stopped in the middle of the restore, the removal is requested within seconds', async (t) => {
  const aptible = await openAptible(t, volumes.volumes);
  const stop = new AbortController();
  const runId = newRun();
  const source = sourceOf(aptible, runId, 1, stop.signal);
  const connecting = assert.rejects(source.connect(), /stopped by SIGTERM/u);
  while (temporary(aptible).length === 0) await sleep(5);
  stop.abort(new Error('stopped by SIGTERM'));
  const begun = Date.now();
  await connecting;
  await source.close();
  assert(Date.now() - begun < 8000);
  assert.equal(operations(aptible, 'deprovision'), 1);

  // The next run confirms it, and takes the final backup away, for which there was no time.
  await hasClaim(runId);
  await sweepAptible(clientOf(aptible), configOf(), PROJECT, undefined, running);
  assert.deepEqual([temporary(aptible), finals(aptible)], [[], 0]);
});

test('a sweep removes what a killed run has left, and nothing else', async (t) => {
  const aptible = await openAptible(t, volumes.volumes);
  const [dead, live, foreign] = [newRun(), newRun(), newRun()];
  const [account] = aptible.world.accounts;
  assert(account);
  for (const runId of [dead, live]) await hasClaim(runId);
  await changeLease(() => ({ runId: live, execution: 'x', attempt: 2, until: Date.now() + 60_000 }));
  t.after(() => changeLease((lease) => lease && { ...lease, until: 0 }));
  const add = (handle: string): string => aptible.world.addDatabase(handle, account, 'provisioned').handle;
  const gone = [add(handleOf(PROJECT, dead, 1)), add(handleOf(PROJECT, dead, 2)), add(handleOf(PROJECT, live, 1))];
  const kept = [
    add(handleOf(PROJECT, live, 2)),
    // Of another ledger: a run that this one does not know.
    add(handleOf(PROJECT, foreign, 1)),
    add(handleOf('commons-test-b', dead, 1)),
    add(`mirror-${PROJECT}-backup`),
    add('mirror'),
  ];
  const swept = await sweepAptible(clientOf(aptible), configOf(), PROJECT, undefined, running);
  assert.deepEqual(temporary(aptible), kept);
  assert.deepEqual(
    swept.map(({ handle, what }) => `${what} ${handle}`).sort(),
    [
      `live ${handleOf(PROJECT, live, 2)}`,
      ...gone.map((handle) => `removed ${handle}`),
      `unknown ${handleOf(PROJECT, foreign, 1)}`,
    ].sort(),
  );
  for (const [id, { handle }] of aptible.world.databases) if (handle !== DATABASE) aptible.world.databases.delete(id);
});

test('one that cannot be removed does not keep the others', async (t) => {
  const aptible = await openAptible(t, volumes.volumes);
  const runId = newRun();
  await hasClaim(runId);
  const [account] = aptible.world.accounts;
  assert(account);
  for (const attempt of [1, 2]) aptible.world.addDatabase(handleOf(PROJECT, runId, attempt), account, 'provisioned');
  aptible.faults.failOperation = 'deprovision';
  const config = configOf();
  const swept = await sweepAptible(clientOf(aptible), config, PROJECT, undefined, running);
  assert.deepEqual(swept.map(({ what }) => what).sort(), ['failed', 'removed']);
  assert.equal(temporary(aptible).length, 1);
  await sweepAptible(clientOf(aptible), config, PROJECT, undefined, running);
  assert.deepEqual(temporary(aptible), []);
});

test('a backup that a run made is purged once the run has ended, no other backup ever', async (t) => {
  const aptible = await openAptible(t, volumes.volumes);
  const runId = newRun();
  await hasClaim(runId);
  const before = [...aptible.world.backups.keys()];
  const source = sourceOf(aptible, runId, 1, running, ', backup: create');
  await (await source.connect()).end();
  await source.close();
  assert.equal(aptible.world.backups.size, before.length + 1);
  const api = clientOf(aptible);
  // The run itself, tried again, still wants it.
  await sweepAptible(api, configOf(), PROJECT, { runId, attempt: 2 }, running);
  assert.equal(aptible.world.backups.size, before.length + 1);
  await sweepAptible(api, configOf(), PROJECT, { runId: newRun(), attempt: 1 }, running);
  assert.deepEqual([...aptible.world.backups.keys()], before);
  assert.deepEqual(await madeBackups(), []);
});

test('whose a handle is', () => {
  const runId = '20261122T030000Z';
  assert.equal(handleOf('p'.repeat(30), runId, 10).length, 57);
  assert.deepEqual(parseHandle('commons', handleOf('commons', runId, 3)), { runId, attempt: 3 });
  for (const handle of [
    'mirror-commons-b-20261122t030000z-1',
    'mirror-commons-20261122t030000z',
    'commons',
    'mirror-commons-20261122t030000z-0',
  ]) {
    assert.equal(parseHandle('commons', handle), undefined);
  }
});
