import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { handleOf } from '../../functions/export/aptible/handle.ts';
import { ledger, runPath } from '../../functions/ledger/index.ts';
import { recordBackup, restoreOf, restoreText, timed } from '../../functions/ledger/restores.ts';
import { statusOf } from '../../functions/ledger/status.ts';
import { page } from '../../functions/status/page.ts';
import { DATABASE, ENVIRONMENT, type LocalAptible } from '../../local/aptible/index.ts';
import { openAptible, openLedger, PROJECT } from './fixture.ts';

/** What people ask on the command line and read on the page, of a source on Aptible. */

let storage: Awaited<ReturnType<typeof openLedger>>;
let directory: string;
let config: string;
before(async () => {
  storage = await openLedger(`${PROJECT}-mirror-ledger`);
  directory = await mkdtemp(path.join(tmpdir(), 'aptible-commands-'));
  config = path.join(directory, 'mirror.yaml');
  await writeFile(
    config,
    `project: ${PROJECT}
region: us-central1
location: US
dataset: commons
source: { type: aptible, environment: ${ENVIRONMENT}, database: ${DATABASE} }
chunks: [{ name: all, tables: ['*.*'] }]
`,
  );
});
after(async () => {
  await rm(directory, { recursive: true, force: true });
  await storage.close();
});

type Result = { code: number; out: string; error: string };
/** As a person runs it, in a folder without a local stack. */
function commonsMirror(aptible: LocalAptible, ...args: string[]): Promise<Result> {
  const index = new URL('../../cli/index.ts', import.meta.url).pathname;
  const env = { PATH: process.env['PATH'], STORAGE_ENDPOINT: process.env['STORAGE_ENDPOINT'], ...aptible.environment };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', index, ...args],
      { cwd: directory, env },
      (error, out, err) => resolve({ code: error ? Number(error.code) : 0, out, error: err }),
    );
  });
}

test('plan tells which backup a run would mirror, and requests nothing', async (t) => {
  const aptible = await openAptible(t);
  const [backup] = [...aptible.world.backups.values()];
  assert(backup);
  const said = await commonsMirror(aptible, 'plan', '--config', config);
  assert.deepEqual(said, {
    code: 0,
    error: '',
    out: [
      `Source: ${ENVIRONMENT}/${DATABASE} on Aptible, source.backup: auto`,
      `Backup: backup ${backup.id}, taken ${backup.createdAt.toISOString()}, 1.0 hours old (allowed are 12)`,
      'Published now: none yet',
      `Restored into: ${ENVIRONMENT}, as mirror-${PROJECT}-<run>-<attempt>, and removed at the end`,
      'Its tables are known once it is restored. For their plan, name a copy of the database: --source URL',
      '',
    ].join('\n'),
  });
  backup.createdAt = new Date(Date.now() - 30 * 3600_000);
  const old = await commonsMirror(aptible, 'plan', '--config', config);
  assert.match(
    old.out,
    /^Backup: a new one, since the newest is 30\.0 hours old, allowed are 12; the newest: backup \d+, taken \S+Z, 30\.0 hours old$/mu,
  );
  assert.equal(aptible.world.operations.size, 0);
});

test('sweep removes what a killed run has left, says so, and then finds nothing', async (t) => {
  const aptible = await openAptible(t);
  const [account] = aptible.world.accounts;
  assert(account);
  const runId = '20261122T030000Z';
  await ledger.create(`${runPath(runId)}claim.json`, { execution: 'x', attempt: 1, trigger: 'manual', at: '' });
  const handle = handleOf(PROJECT, runId, 1);
  aptible.world.addDatabase(handle, account, 'provisioned');
  const swept = await commonsMirror(aptible, 'sweep', '--config', config);
  assert.deepEqual([swept.code, swept.error], [0, '']);
  assert.match(swept.out, new RegExp(`^${handle}: removed \\(its run has ended\\)$`, 'mu'));
  const again = await commonsMirror(aptible, 'sweep', '--config', config);
  assert.deepEqual([again.code, again.out], [0, 'Nothing of this mirror is on Aptible.\n']);
});

test('missing and wrong credentials are told in one line, without them', async (t) => {
  const aptible = await openAptible(t);
  const { APTIBLE_PASSWORD: _, ...without } = aptible.environment;
  const missing = await commonsMirror({ ...aptible, environment: without }, 'sweep', '--config', config);
  assert.deepEqual([missing.code, missing.out], [1, '']);
  assert.match(missing.error, /APTIBLE_PASSWORD/u);
  const wrong = { ...aptible, environment: { ...aptible.environment, APTIBLE_PASSWORD: 'correct-horse' } };
  const refused = await commonsMirror(wrong, 'plan', '--config', config);
  assert.deepEqual([refused.code, refused.out], [1, '']);
  assert.match(
    refused.error,
    /^.*Aptible refused the log-in \(HTTP 401.*\)\. Next: correct APTIBLE_USERNAME and APTIBLE_PASSWORD.*\n$/u,
  );
  assert(!refused.error.includes('correct-horse'));
});

test('the page tells a run’s backup, and the phase of its restore', async () => {
  const runId = '20261122T040000Z';
  await ledger.create(`${runPath(runId)}claim.json`, { execution: 'y', attempt: 1, trigger: 'manual', at: '' });
  await recordBackup(runId, { id: 1005, createdAt: '2026-11-22T02:00:00.000Z', made: true });
  await timed(runId, 1, 'backup', async () => {});
  await assert.rejects(
    timed(runId, 1, 'restore', () => Promise.reject(new Error('killed'))),
    /killed/u,
  );
  const record = await restoreOf(runId);
  const begun = Date.parse(record.now?.startedAt ?? '');
  const backup = 'backup 1005 (made for this run), taken 2026-11-22T02:00:00.000Z; backup 0.0 s; ';
  assert.equal(restoreText(record, true, begun + 4.9 * 60_000), `${backup}restoring, 4 min`);
  assert.equal(restoreText(record, true, begun + 12_900), `${backup}restoring, 12 s`);
  assert.equal(restoreText({ backup: null, now: null, phases: [] }, true, begun), undefined);
  const status = await statusOf(runId);
  assert.equal(status.restore, `${backup}ended while restoring`);
  assert.match(
    page([{ status, plan: undefined }], 'data'),
    /<p>backup 1005 \(made for this run\), .*; ended while restoring<\/p>/u,
  );
});
