import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { StartError } from './start-error.ts';

/** Whom the server runs as. `borrowed`: not this process's own user, so what the server reads must be handed to it. */
export type Account = { uid: number; gid: number; borrowed: boolean };

/**
 * This process's own user; for root another one, as PostgreSQL refuses to run with uid 0: the one that the cluster in
 * `directory` belongs to already, else `nobody`, which every system has (initdb wants a user that the system can name).
 */
export async function serverAccount(directory: string): Promise<Account> {
  const uid = process.getuid?.();
  const gid = process.getgid?.();
  if (uid === undefined || gid === undefined) {
    throw new StartError(
      'other',
      `The local PostgreSQL runs on Linux and macOS, not on ${process.platform}. Use WSL or a container.`,
    );
  }
  if (uid !== 0) return { uid, gid, borrowed: false };

  const owner = await stat(join(directory, 'cluster')).catch(() => undefined);
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid, borrowed: true };
  return { uid: await idOfNobody('-u'), gid: await idOfNobody('-g'), borrowed: true };
}

async function idOfNobody(flag: '-u' | '-g'): Promise<number> {
  const { stdout } = await promisify(execFile)('id', [flag, 'nobody']);
  return Number(stdout);
}

/** What child_process needs for a process of the server. */
export function spawnAs(account: Account) {
  return {
    cwd: '/',
    // Not this process's environment: PGDATA, LANG and the like would change what the server does.
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
    // A Ctrl-C reaches every process of the terminal's group, and the server must outlive what still uses it.
    detached: true,
    ...(account.borrowed ? { uid: account.uid, gid: account.gid } : {}),
  };
}
