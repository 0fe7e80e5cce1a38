import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** The layout's version. A directory of another one is left alone: its rows may be all that somebody has. */
const VERSION = '1';

/** `--data DIR`: buckets, ledger, warehouse and logs, kept from one start to the next; one process at a time. */
export type DataDirectory = { path: (...names: string[]) => string; release: () => Promise<void> };

export class DataDirectoryError extends Error {
  override name = 'DataDirectoryError';
}

export async function openDataDirectory(directory: string): Promise<DataDirectory> {
  const root = path.resolve(directory);
  const at = (...names: string[]): string => path.join(root, ...names);
  try {
    // Rows are in it: nobody else reads it. PostgreSQL, which refuses to run as root, must be able to pass through.
    process.umask(0o077);
    await makePassable(root);
    await checkVersion(root, at('VERSION'));
    await takeLock(root, at('lock'));
    await makePassable(at('postgres'));
    await mkdir(at('logs'), { recursive: true });
  } catch (error) {
    if (error instanceof DataDirectoryError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw new DataDirectoryError(
      `The data directory ${root} cannot be used (${code}). Next: name another one with --data.`,
    );
  }
  return { path: at, release: () => rm(at('lock'), { force: true }) };
}

/** Makes a directory that others may pass through, not list; one that is there already keeps its mode. */
async function makePassable(directory: string): Promise<void> {
  const created = await mkdir(directory, { recursive: true });
  if (created !== undefined) await chmod(directory, 0o711);
}

async function checkVersion(root: string, file: string): Promise<void> {
  const found = await readFile(file, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) await writeFile(file, `${VERSION}\n`);
  else if (found.trim() !== VERSION) {
    throw new DataDirectoryError(
      `The data directory ${root} is of version ${JSON.stringify(found.trim().slice(0, 20))}; this program reads version ${VERSION}. ` +
        'Next: name another one with --data, or delete it.',
    );
  }
}

/** A lock by process id: one that no longer lives (after kill -9) is taken over. */
async function takeLock(root: string, file: string): Promise<void> {
  for (;;) {
    try {
      await writeFile(file, String(process.pid), { flag: 'wx' });
      return;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    const owner = Number(await readFile(file, 'utf8').catch(() => ''));
    if (owner !== process.pid && isAlive(owner)) {
      throw new DataDirectoryError(
        `The data directory ${root} is in use by process ${owner}. Next: stop it with Ctrl-C, or name another one with --data.`,
      );
    }
    await rm(file, { force: true });
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
