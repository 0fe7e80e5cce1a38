import { z } from 'zod';
import { log } from '../../cloud/log.ts';
import { ledger, runPath } from '../../ledger/index.ts';
import { liveLease } from '../../ledger/lease.ts';
import { forgetMade, madeBackups } from '../../ledger/restores.ts';
import { safeText } from '../../mirror/errors.ts';
import type { Api } from './answers.ts';
import {
  backupsOf,
  databaseOf,
  databasesIn,
  makerOf,
  orphanedBackups,
  readDeleted,
  type Account,
  type Database,
} from './api.ts';
import { parseHandle } from './handle.ts';
import { confirmEnd, purge, requestEnd } from './restore.ts';

/** What a sweep did with each database that bears our prefix. */
export type Swept = { handle: string; what: 'removed' | 'live' | 'unknown' | 'failed'; why: string };

/**
 * Removes what killed runs have left: databases whose handle is of this project, whose run is in this ledger, and whose lease
 * has ended or expired; then the final backups of such databases. Nothing else is ever touched. `me` is the attempt on whose
 * behalf it runs. One that cannot be removed does not keep the others.
 */
export async function sweep(
  api: Api,
  { account, source }: { account: Account; source: Database },
  project: string,
  me: { runId: string; attempt: number } | undefined,
  signal: AbortSignal,
): Promise<Swept[]> {
  // First the list, then the lease: whatever is in the list was restored under a lease that is seen below.
  const databases = await databasesIn(api, account);
  const lease = await liveLease();
  const live = lease ? [{ runId: lease.runId, attempt: lease.attempt }] : [];
  const verdict = async (handle: string): Promise<Verdict | undefined> => {
    const of = parseHandle(project, handle);
    if (!of) return undefined;
    if ([...live, ...(me ? [me] : [])].some((one) => one.runId === of.runId && one.attempt <= of.attempt))
      return 'live';
    const claim = await ledger.read(`${runPath(of.runId)}claim.json`, z.object({ attempt: z.number() }));
    return claim ? 'removed' : 'unknown';
  };
  const swept: Swept[] = [];
  const ends: Promise<void>[] = [];
  for (const database of databases) {
    const what = await verdict(database.handle);
    if (what === undefined) continue;
    if (what === 'removed') ends.push(end(database));
    else swept.push({ handle: database.handle, what, why: WHY[what] });
  }
  await Promise.all(ends);
  await purgeFinals();
  await purgeMade();
  for (const each of swept.filter((one) => one.what !== 'live')) log.warning(`Swept ${each.handle}: ${each.why}`);
  return swept;

  async function end(database: Database): Promise<void> {
    const { handle } = database;
    try {
      const operation = await requestEnd(api, database);
      await confirmEnd(api, account, database, operation, signal);
      swept.push({ handle, what: 'removed', why: 'its run has ended' });
    } catch (error) {
      swept.push({ handle, what: 'failed', why: safeText(error) });
    }
  }

  /** A run that was killed after its database's end was requested had no time for the final backup. */
  async function purgeFinals(): Promise<void> {
    const since = Date.now() - FINALS_DAYS * 24 * 3600_000;
    for (const backup of await orphanedBackups(api, account)) {
      if (Date.parse(backup.created_at) < since) continue;
      const database = await readDeleted(api, databaseOf(backup)).catch(() => undefined);
      if (!database || (await verdict(database.handle)) !== 'removed') continue;
      try {
        await purge(api, backup.id, signal);
        swept.push({ handle: database.handle, what: 'removed', why: `its final backup ${backup.id}` });
      } catch (error) {
        swept.push({ handle: database.handle, what: 'failed', why: safeText(error) });
      }
    }
  }

  /** Aptible: "Manual Backups can be created anytime and are retained indefinitely". Only what our own operations made. */
  async function purgeMade(): Promise<void> {
    const over = (await madeBackups()).filter(
      ({ runId }) => ![...live, ...(me ? [me] : [])].some((one) => one.runId === runId),
    );
    if (over.length === 0) return;
    const backups = await backupsOf(api, source);
    for (const { runId, operation } of over) {
      const handle = `the backup of run ${runId}`;
      try {
        const made = backups.filter((backup) => makerOf(backup) === operation);
        for (const backup of made) await purge(api, backup.id, signal);
        await forgetMade(operation);
        if (made.length > 0) swept.push({ handle, what: 'removed', why: 'made for a run that has ended' });
      } catch (error) {
        swept.push({ handle, what: 'failed', why: safeText(error) });
      }
    }
  }
}

/** Older orphans are somebody else's, or a person has decided about them; each costs a request. */
const FINALS_DAYS = 7;

type Verdict = 'removed' | 'live' | 'unknown';
const WHY = { live: 'its run is live', unknown: 'its run is not in this ledger; left alone' } as const;
