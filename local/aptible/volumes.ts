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

/**
 * A directory whose cluster outlives its server: `directory`, or what stands in for it where the account that runs
 * PostgreSQL cannot get there.
 */
export async function volumeDirectory(directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  // Passing through is all that others get, whatever this process's umask is.
  await chmod(directory, 0o711);
  return choosePlace(directory, await serverAccount(directory));
}

/** Restores copies of the cluster in `original` (a volume's directory, not running) as servers of their own. */
export function clusterVolumes(original: string, directory: string, database: string): Volumes {
  return {
    restore: async (handle, tls) => {
      await mkdir(directory, { recursive: true });
      await chmod(directory, 0o711);
      const folder = join(directory, handle);
      const volume = await volumeDirectory(folder);
      const remove = async (): Promise<void> => {
        for (const place of new Set([folder, volume])) await rm(place, { recursive: true, force: true });
      };
      try {
        // With owners and modes, which PostgreSQL checks.
        await promisify(execFile)('cp', ['-a', join(original, 'cluster'), volume]);
        const postgres = await startPostgres({ directory: volume, tls });
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
