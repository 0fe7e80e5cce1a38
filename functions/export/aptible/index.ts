import { setTimeout as sleep } from 'node:timers/promises';
import { log } from '../../cloud/log.ts';
import { publication } from '../../ledger/publication.ts';
import { recordBackup, recordMade, restoreOf, timed, type ChosenBackup } from '../../ledger/restores.ts';
import { findPlan } from '../../ledger/run.ts';
import type { Config } from '../../mirror/config.ts';
import { PermanentError, safeText } from '../../mirror/errors.ts';
import type { Claim } from '../claim.ts';
import type { Source } from '../source.ts';
import type { Api } from './answers.ts';
import { defaultCredential, findAccount, findDatabase, stackOf, type Account, type Database } from './api.ts';
import { chooseBackup } from './backup.ts';
import { handleOf } from './handle.ts';
import { confirmEnd, requestEnd, restore } from './restore.ts';
import { sweep, type Swept } from './sweep.ts';
import { openTunnel, type Patience, type Tunnel } from './tunnel.ts';

export type AptibleConfig = Extract<Config['source'], { type: 'aptible' }>;

/**
 * A database on Aptible as a source: its newest backup, restored into a temporary database that only this run knows, read
 * through the SSH portal, and removed by `close`, whatever has happened. Nothing is done before the first `connect`. When
 * `signal` has fired, `close` requests the removal and leaves its confirmation to the next sweep.
 */
export function aptibleSource(
  api: Api,
  config: AptibleConfig,
  project: string,
  { runId, attempt }: Claim,
  signal: AbortSignal,
  patience?: Patience,
): Source {
  const handle = handleOf(project, runId, attempt);
  const stopped = whenAborted(signal);
  stopped.catch(() => {});
  let backup: ChosenBackup | undefined;
  let into: Account | undefined;
  let database: Database | undefined;
  let tunnel: Tunnel | undefined;

  const prepare = async (): Promise<Tunnel> => {
    const from = await findPlaces(api, config);
    backup = await timed(runId, attempt, 'backup', () => backupOf(api, from.database, config, runId, signal));
    log.info(`Mirroring backup ${backup.id} of ${config.database}, taken ${backup.createdAt}`);
    const { id } = backup;
    into = from.into;
    const size = { containerMb: config.containerMb, diskGb: config.diskGb };
    database = await timed(runId, attempt, 'restore', () =>
      restore(api, { backupId: id, handle, account: from.into, size }, signal),
    );
    const [credential, stack] = await Promise.all([defaultCredential(api, database), stackOf(api, from.into)]);
    const opened = openTunnel(
      api,
      {
        account: from.into,
        stack,
        credential,
        sessions: config.sessions,
        tlsName: config.tlsName,
        applicationName: `commons-mirror ${runId}`,
      },
      patience,
    );
    tunnel = opened;
    await timed(runId, attempt, 'tunnel', async () => (await opened.connect()).end());
    return opened;
  };

  let prepared: Promise<Tunnel> | undefined;
  return {
    name: `${handle}, restored from ${config.environment}/${config.database}`,
    connect: async () => {
      prepared ??= prepare();
      // What waits for Aptible may be in the middle of a request when the run is stopped.
      const ready = await Promise.race([prepared, stopped]);
      return ready.connect();
    },
    backup: () => backup && { id: backup.id, createdAt: backup.createdAt },
    close: async () => {
      await tunnel?.close();
      if (!into) return;
      const account = into;
      const found = database ?? (await lookFor(api, handle, account, signal.aborted ? LOOK_WHEN_STOPPED_MS : LOOK_MS));
      if (!found) {
        log.warning(`Aptible shows no database ${handle}; if it appears later, the next run removes it`);
        return;
      }
      await timed(runId, attempt, 'deprovision', async () => {
        const operation = await requestEnd(api, found);
        if (signal.aborted) log.warning(`The removal of ${handle} is requested; the next run confirms it`);
        else await confirmEnd(api, account, found, operation, new AbortController().signal);
      });
    },
  };
}

/** Removes what killed runs have left; see `sweep`. */
export async function sweepAptible(
  api: Api,
  config: AptibleConfig,
  project: string,
  me: Claim | undefined,
  signal: AbortSignal,
): Promise<Swept[]> {
  const { into, database } = await findPlaces(api, config);
  return sweep(api, { account: into, source: database }, project, me, signal);
}

/** Where the backups are, and where they are restored to. */
export async function findPlaces(api: Api, config: AptibleConfig): Promise<{ into: Account; database: Database }> {
  const from = await findAccount(api, config.environment);
  const into = config.restoreInto === undefined ? from : await findAccount(api, config.restoreInto);
  const database = await findDatabase(api, config.database, from);
  if (!database) {
    throw new PermanentError(
      `Aptible has no database ${config.database} in the environment ${config.environment}. Next: correct source.database in mirror.yaml`,
    );
  }
  if (database.type !== undefined && database.type !== null && database.type !== 'postgresql') {
    throw new PermanentError(`${config.database} on Aptible is a ${database.type} database; allowed: postgresql`);
  }
  return { into, database };
}

/** The run's backup as the ledger has it, else a chosen one, which the ledger then has. */
async function backupOf(
  api: Api,
  database: Database,
  config: AptibleConfig,
  runId: string,
  signal: AbortSignal,
): Promise<ChosenBackup> {
  const known = (await restoreOf(runId)).backup;
  if (known) return known;
  const onRequest = (operation: number): Promise<void> => recordMade({ runId, operation });
  return recordBackup(runId, await chooseBackup(api, database, config, await publishedAt(), onRequest, signal));
}

/** When the backup was taken that analysts see now. */
export async function publishedAt(): Promise<string | undefined> {
  const published = await publication();
  const plan = published && (await findPlan(published.value.runId));
  return plan?.backup?.createdAt;
}

/** A restore that was given up may not have made its database yet. */
const LOOK_MS = 60_000;
/** Cloud Run gives ten seconds. */
const LOOK_WHEN_STOPPED_MS = 6_000;

async function lookFor(api: Api, handle: string, account: Account, limitMs: number): Promise<Database | undefined> {
  for (const until = Date.now() + limitMs; ;) {
    const found = await findDatabase(api, handle, account).catch((error: unknown) => {
      log.warning(`Looking for ${handle}: ${safeText(error)}`);
      return undefined;
    });
    if (found || Date.now() > until) return found;
    await sleep(500);
  }
}

async function whenAborted(signal: AbortSignal): Promise<never> {
  signal.throwIfAborted();
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
