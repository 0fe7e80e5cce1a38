import type { ChosenBackup } from '../../ledger/restores.ts';
import { PermanentError } from '../../mirror/errors.ts';
import { UnclearAnswer, type Api } from './answers.ts';
import {
  backupsOf,
  isCopy,
  makerOf,
  operationsOfDatabase,
  requestBackup,
  type Backup,
  type Database,
  type Operation,
} from './api.ts';
import { ended } from './wait.ts';

/** Which backup a run mirrors. */

export type Policy = {
  backup: 'auto' | 'newest' | 'create';
  maxBackupAgeHours: number;
};

const BACKUP_LIMIT_MS = 2 * 3600_000;

/**
 * `auto` takes the newest backup, unless it is older than allowed or its data is published already: Aptible's own are taken
 * once a day, so that a second run of the day would mirror the first one's data again. Throws a PermanentError where `newest`
 * finds none, or only one that is too old. `onRequest` is told the operation that makes one, as soon as there is one.
 */
export async function chooseBackup(
  api: Api,
  database: Database,
  policy: Policy,
  publishedAt: string | undefined,
  onRequest: (operation: number) => Promise<void>,
  signal: AbortSignal,
): Promise<ChosenBackup> {
  const newest = policy.backup === 'create' ? undefined : newestOf(await backupsOf(api, database));
  const unfit = whyUnfit(newest, policy, publishedAt, Date.now());
  if (newest && unfit === undefined) return { id: newest.id, createdAt: newest.created_at, made: false };
  if (policy.backup === 'newest') {
    throw new PermanentError(
      `${database.handle} has no backup to mirror: ${unfit}. Next: raise source.maxBackupAgeHours, or source.backup: auto`,
    );
  }
  return makeBackup(api, database, onRequest, signal);
}

/** Undefined where the backup will do. */
export function whyUnfit(
  newest: Pick<Backup, 'created_at'> | undefined,
  { backup, maxBackupAgeHours }: Policy,
  publishedAt: string | undefined,
  now: number,
): string | undefined {
  if (!newest) return 'there is none';
  const hours = (now - Date.parse(newest.created_at)) / 3600_000;
  if (hours > maxBackupAgeHours) return `the newest is ${hours.toFixed(1)} hours old, allowed are ${maxBackupAgeHours}`;
  if (backup === 'newest' || publishedAt === undefined) return undefined;
  return Date.parse(newest.created_at) <= Date.parse(publishedAt) ? 'the newest is published already' : undefined;
}

/** Copies in other regions left out; the order of Aptible's list is not relied upon. */
export function newestOf(backups: readonly Backup[]): Backup | undefined {
  return backups
    .filter((backup) => !isCopy(backup))
    .toSorted((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at))[0];
}

async function makeBackup(
  api: Api,
  database: Database,
  onRequest: (operation: number) => Promise<void>,
  signal: AbortSignal,
): Promise<ChosenBackup> {
  const before = new Set((await operationsOfDatabase(api, database.id)).map(({ id }) => id));
  const operation = await requestBackup(api, database).catch((error: unknown) =>
    error instanceof UnclearAnswer ? findOrRequest(api, database, before) : Promise.reject(error as Error),
  );
  await onRequest(operation.id);
  await ended(api, operation, `taking a backup of ${database.handle}`, BACKUP_LIMIT_MS, signal);
  const made = (await backupsOf(api, database)).filter((backup) => !isCopy(backup));
  const backup =
    made.find((each) => makerOf(each) === operation.id) ??
    newestOf(made.filter((each) => Date.parse(each.created_at) >= Date.parse(operation.created_at)));
  if (backup) return { id: backup.id, createdAt: backup.created_at, made: makerOf(backup) === operation.id };
  throw new PermanentError(`Aptible: operation ${operation.id} succeeded, but ${database.handle} shows no new backup`);
}

/** No clear answer: the operation is looked for first, so that it is not requested twice. */
async function findOrRequest(api: Api, database: Database, before: ReadonlySet<number>): Promise<Operation> {
  const after = await operationsOfDatabase(api, database.id);
  const found = after.find(({ id, type }) => type === 'backup' && !before.has(id));
  return found ?? requestBackup(api, database);
}
