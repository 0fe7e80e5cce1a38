import { setTimeout as sleep } from 'node:timers/promises';
import { log } from '../../cloud/log.ts';
import { PermanentError, SafeError } from '../../mirror/errors.ts';
import { NotFound, UnclearAnswer, type Api } from './answers.ts';
import {
  databaseOf,
  findDatabase,
  operationsOfBackup,
  operationsOfDatabase,
  orphanedBackups,
  readDatabase,
  requestDeprovision,
  requestPurge,
  requestRestore,
  type Account,
  type Database,
  type Operation,
  type Size,
} from './api.ts';
import { ended, until } from './wait.ts';

/** The temporary database: made from a backup, and taken away again. */

export type Restore = { backupId: number; handle: string; account: Account; size: Size };

const RESTORE_LIMIT_MS = 6 * 3600_000;
const APPEAR_LIMIT_MS = 10 * 60_000;
const REMOVE_LIMIT_MS = 30 * 60_000;

/** Restores a backup into a database of its own. Gives it once it is provisioned. */
export async function restore(api: Api, what: Restore, signal: AbortSignal): Promise<Database> {
  const { backupId, handle, account } = what;
  const doing = `restoring backup ${backupId} into ${handle}`;
  // A handle is of one attempt only. Something that bears it already is what an unclear answer has left.
  const standing = await begunRestore(api, what);
  // Past this point there is something to remove.
  signal.throwIfAborted();
  const begun = standing ?? (await requestOnce(api, what));
  if (begun !== 'begun') await ended(api, begun, doing, RESTORE_LIMIT_MS, signal);
  return until(`waiting for ${handle}`, APPEAR_LIMIT_MS, signal, async () => {
    const database = await findDatabase(api, handle, account);
    if (database?.status.endsWith('failed')) {
      throw new SafeError(`Aptible: ${doing} ended with the database ${database.status}`);
    }
    return database?.status === 'provisioned' ? database : undefined;
  });
}

/** A restore's operation; or, where that is not to be found, the knowledge that its database is there already. */
type Begun = Operation | 'begun';

/** How often and how long an operation whose request had no clear answer is looked for before it is requested again. */
const LOOKS_MS = [500, 1500, 3000];

async function requestOnce(api: Api, what: Restore): Promise<Begun> {
  try {
    return await requestRestore(api, what.backupId, what);
  } catch (error) {
    if (!(error instanceof UnclearAnswer)) throw error;
    log.warning(error.message);
    for (const pause of LOOKS_MS) {
      await sleep(pause);
      const found = await begunRestore(api, what);
      if (found) return found;
    }
    // Looked for in both places, three times: it was not carried out.
    return requestRestore(api, what.backupId, what);
  }
}

/** A restore into this handle that is under way: by its operation, else by the database itself. */
async function begunRestore(api: Api, { backupId, handle, account }: Restore): Promise<Begun | undefined> {
  const operations = await operationsOfBackup(api, backupId);
  const found = operations.find((operation) => operation.type === 'restore' && operation.handle === handle);
  if (found) return found;
  return (await findDatabase(api, handle, account)) ? 'begun' : undefined;
}

/**
 * Requests the end of a database, unless it is requested already: an earlier request, or this one's own with an unclear
 * answer. Gives the operation; undefined where the database is gone.
 */
export async function requestEnd(api: Api, database: Database): Promise<Operation | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      const operations = await operationsOfDatabase(api, database.id);
      const open = operations.find(({ type, status }) => type === 'deprovision' && status !== 'failed');
      return open ?? (await requestDeprovision(api, database));
    } catch (error) {
      if (error instanceof NotFound) return undefined;
      if (!(error instanceof UnclearAnswer) || attempt === 3) throw error;
    }
  }
}

/**
 * Waits until a database whose end was requested is gone, and purges the final backup that the environment may keep of it.
 * Resolves only when it has been seen to be gone.
 */
export async function confirmEnd(
  api: Api,
  account: Account,
  database: Database,
  operation: Operation | undefined,
  signal: AbortSignal,
): Promise<void> {
  const doing = `removing ${database.handle}`;
  if (operation) await ended(api, operation, doing, REMOVE_LIMIT_MS, signal, { goneIsDone: true });
  await until(doing, REMOVE_LIMIT_MS, signal, async () => {
    const status = await statusOf(api, database);
    if (status === 'deprovision_failed') {
      throw new SafeError(`Aptible: ${doing} failed. Next: remove it in the dashboard, or commons-mirror sweep`);
    }
    return status === undefined ? true : undefined;
  });
  for (const backup of await orphanedBackups(api, account)) {
    if (databaseOf(backup) === database.id) await purge(api, backup.id, signal);
  }
}

/** Deletes a backup for good. One that is gone already is done. */
export async function purge(api: Api, backupId: number, signal: AbortSignal): Promise<void> {
  const operation = await requestPurge(api, backupId).catch((error: unknown) => {
    if (error instanceof NotFound) return undefined;
    throw error;
  });
  if (operation) {
    await ended(api, operation, `purging backup ${backupId}`, REMOVE_LIMIT_MS, signal, { goneIsDone: true });
  }
}

/** Undefined where it is gone. */
async function statusOf(api: Api, database: Database): Promise<string | undefined> {
  try {
    const { status, handle } = await readDatabase(api, database.id);
    if (handle !== database.handle) throw new PermanentError(`Aptible: database ${database.id} is now ${handle}`);
    return status === 'deprovisioned' ? undefined : status;
  } catch (error) {
    if (error instanceof NotFound) return undefined;
    throw error;
  }
}
