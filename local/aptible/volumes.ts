import { execFile } from 'node:child_process';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { serverAccount } from '../postgres/account.ts';
import { startPostgres } from '../postgres/index.ts';
import { choosePlace } from '../postgres/place.ts';

/** "Aptible backups are encrypted volume snapshots": here, the directory of a stopped cluster. */

/** A database server that runs on a restored volume. Data, user and password are the original's. */
export type Running = { port: number; user: string; password: string; database: string; stop: () => Promise<void> };

export type Volumes = { restore: (handle: string, tls: { key: string; cert: string }) => Promise<Running> };

/** A directory that the account which runs PostgreSQL may pass through, whatever this process's umask is. */
export async function makePassable(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await chmod(directory, 0o711);
}

/** Restores copies of the cluster in `original` (not running) as servers of their own, below `directory`. */
export function clusterVolumes(original: string, directory: string, database: string): Volumes {
  return {
    restore: async (handle, tls) => {
      const folder = join(directory, handle);
      await makePassable(directory);
      await makePassable(folder);
      const from = await choosePlace(original, await serverAccount(original));
      const to = await choosePlace(folder, await serverAccount(folder));
      const remove = async (): Promise<void> => {
        for (const place of new Set([folder, to])) await rm(place, { recursive: true, force: true });
      };
      try {
        // With owners and modes, which PostgreSQL checks.
        await promisify(execFile)('cp', ['-a', join(from, 'cluster'), to]);
        const postgres = await startPostgres({ directory: folder, tls });
        return {
          port: postgres.port,
          user: postgres.user,
          password: postgres.password,
          database,
          stop: async () => {
            await postgres.stop('immediate');
            await remove();
          },
        };
      } catch (error) {
        await remove();
        throw error;
      }
    },
  };
}
