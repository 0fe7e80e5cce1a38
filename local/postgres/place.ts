import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir, realpath, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Account } from './account.ts';
import { StartError } from './start-error.ts';

// A socket's path is at most 103 bytes on macOS and 107 on Linux; PostgreSQL refuses to start with a longer one.
const LONGEST_PLACE = 103 - '/cluster/data/.s.PGSQL.65535'.length;

/**
 * Where the cluster of `directory` lives: there, or, if the server's account cannot get there (root's home is closed to all
 * others) or the path is too long for a socket, always at the same place in the system's temporary directory.
 */
export async function choosePlace(directory: string, account: Account): Promise<string> {
  await mkdir(directory, { recursive: true });
  const wanted = await realpath(directory);
  // Passing through is all that the account gets here; what is inside keeps its own mode.
  if (account.borrowed) await chmod(wanted, (await stat(wanted)).mode | 0o001);
  if (Buffer.byteLength(wanted) <= LONGEST_PLACE && (await isReachable(wanted, account))) return wanted;

  const name = `commons-mirror-${createHash('sha256').update(wanted).digest('hex').slice(0, 12)}`;
  for (const parent of new Set([tmpdir(), '/tmp'])) {
    const place = join(await realpath(parent), name);
    if (Buffer.byteLength(place) > LONGEST_PLACE || !(await isReachable(dirname(place), account))) continue;
    await mkdir(place, { mode: 0o711 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    // The name can be guessed and everybody may write here: what somebody else put there is not used.
    const found = await lstat(place);
    if (!found.isDirectory() || found.uid !== process.getuid?.()) continue;
    // Whatever umask it was made under.
    await chmod(place, 0o711);
    return place;
  }
  throw new StartError(
    'other',
    `PostgreSQL cannot work in ${wanted}: the path is longer than ${LONGEST_PLACE} bytes or closed to the account ` +
      `with uid ${account.uid} that runs it, and ${join(tmpdir(), name)} cannot stand in. Give another directory.`,
  );
}

/** Whether the account may pass through every directory down to `path`, and through `path` itself. */
export async function isReachable(path: string, account: Account): Promise<boolean> {
  const { uid, gid, mode } = await stat(path);
  const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
  if (!(mode & bit)) return false;
  return dirname(path) === path || isReachable(dirname(path), account);
}
