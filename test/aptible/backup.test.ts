import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findAccount, findDatabase } from '../../functions/export/aptible/api.ts';
import { chooseBackup, whyUnfit, type Policy } from '../../functions/export/aptible/backup.ts';
import { DATABASE, ENVIRONMENT, type LocalAptible } from '../../local/aptible/index.ts';
import { clientOf, openAptible } from './fixture.ts';

const HOUR = 3600_000;
const hoursAgo = (hours: number): Date => new Date(Date.now() - hours * HOUR);

const now = Date.parse('2026-11-22T15:00:00Z');
const cases: [
  what: string,
  newest: string | undefined,
  policy: Policy['backup'],
  published: string | undefined,
  why: string | undefined,
][] = [
  ['none', undefined, 'auto', undefined, 'there is none'],
  ['fresh', '2026-11-22T04:00:00Z', 'auto', undefined, undefined],
  ['just in time', '2026-11-22T03:00:00Z', 'auto', undefined, undefined],
  ['too old', '2026-11-22T02:00:00Z', 'auto', undefined, 'the newest is 13.0 hours old, allowed are 12'],
  ['too old for newest', '2026-11-22T02:00:00Z', 'newest', undefined, 'the newest is 13.0 hours old, allowed are 12'],
  ['published', '2026-11-22T04:00:00Z', 'auto', '2026-11-22T04:00:00.000Z', 'the newest is published already'],
  ['older than published', '2026-11-22T04:00:00Z', 'auto', '2026-11-22T05:00:00Z', 'the newest is published already'],
  ['newer than published', '2026-11-22T04:00:00Z', 'auto', '2026-11-21T04:00:00Z', undefined],
  ['published, but newest is wanted', '2026-11-22T04:00:00Z', 'newest', '2026-11-22T04:00:00Z', undefined],
];
for (const [what, created_at, backup, published, why] of cases) {
  test(`whether a backup will do: ${what}`, () => {
    const newest = created_at === undefined ? undefined : { created_at };
    assert.equal(whyUnfit(newest, { backup, maxBackupAgeHours: 12 }, published, now), why);
  });
}

async function choose(aptible: LocalAptible, policy: Policy, published?: string) {
  const api = clientOf(aptible);
  const database = await findDatabase(api, DATABASE, await findAccount(api, ENVIRONMENT));
  assert(database);
  const requested: number[] = [];
  const onRequest = async (operation: number): Promise<void> => void requested.push(operation);
  const chosen = await chooseBackup(api, database, policy, published, onRequest, new AbortController().signal);
  return { chosen, requested };
}

const made = (aptible: LocalAptible): number =>
  [...aptible.world.operations.values()].filter(({ type }) => type === 'backup').length;

test('the newest is found whatever the order and the pages, copies of other regions left out', async (t) => {
  const aptible = await openAptible(t);
  aptible.faults.pageSize = 2;
  const [database] = [...aptible.world.databases.values()];
  assert(database);
  const { world } = aptible;
  world.addBackup(database, { createdAt: hoursAgo(30) });
  const newest = world.addBackup(database, { createdAt: hoursAgo(0.5) });
  world.addBackup(database, { createdAt: hoursAgo(0.1), copiedFrom: newest.id });
  world.addBackup(database, { createdAt: hoursAgo(5) });
  const { chosen } = await choose(aptible, { backup: 'auto', maxBackupAgeHours: 12 });
  assert.deepEqual(chosen, { id: newest.id, createdAt: newest.createdAt.toISOString(), made: false });
  assert.equal(made(aptible), 0);
});

test('where the newest is published already, a new one is made, and known as ours', async (t) => {
  const aptible = await openAptible(t);
  const { chosen, requested } = await choose(
    aptible,
    { backup: 'auto', maxBackupAgeHours: 12 },
    new Date().toISOString(),
  );
  const newest = [...aptible.world.backups.values()].at(-1);
  assert.deepEqual(chosen, { id: newest?.id, createdAt: newest?.createdAt.toISOString(), made: true });
  assert.deepEqual(requested, [newest?.madeBy]);
});

for (const fault of ['loseReply', 'loseRequest'] as const) {
  test(`one backup is made where the answer is lost: ${fault}`, async (t) => {
    const aptible = await openAptible(t);
    aptible.faults[fault] = 'backup';
    const { chosen } = await choose(aptible, { backup: 'create', maxBackupAgeHours: 12 });
    assert.equal(chosen.made, true);
    assert.equal(made(aptible), 1);
  });
}

test('newest takes none that is too old', async (t) => {
  const aptible = await openAptible(t);
  await assert.rejects(choose(aptible, { backup: 'newest', maxBackupAgeHours: 0.5 }), {
    name: 'PermanentError',
    message:
      'commons has no backup to mirror: the newest is 1.0 hours old, allowed are 0.5. Next: raise source.maxBackupAgeHours, or source.backup: auto',
  });
});

test('a backup that fails is told with its operation', async (t) => {
  const aptible = await openAptible(t);
  aptible.faults.failOperation = 'backup';
  await assert.rejects(choose(aptible, { backup: 'create', maxBackupAgeHours: 12 }), {
    name: 'SafeError',
    message:
      /^Aptible: taking a backup of commons failed \(operation (\d+)\)\. Next: read its log, https:\/\/app\.aptible\.com\/operations\/\1$/u,
  });
});
