import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { globSync } from 'node:fs';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { serverAccount, spawnAs } from '../local/postgres/account.ts';
import { launch } from '../local/postgres/server.ts';
import { freePort } from './free-port.ts';

/** The programs of a PostgreSQL that Debian's packages have installed together with `library`; undefined where there is none. */
export function findPostgres(library: string): string | undefined {
  const [found] = globSync(`/usr/lib/postgresql/*/lib/${library}.so`).toSorted().toReversed();
  return found && join(found, '../../bin');
}

/** A real PostgreSQL of the operating system in a temporary directory, which `stop` removes. */
export async function startSystemPostgres(programs: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'commons-system-'));
  try {
    const account = await serverAccount(directory);
    const password = randomBytes(18).toString('base64url');
    const passwordFile = join(directory, 'password');
    await writeFile(passwordFile, password, { mode: 0o600 });
    for (const path of [directory, passwordFile]) await chown(path, account.uid, account.gid);
    const data = join(directory, 'data');
    const settings = ['--encoding=UTF8', '--locale=C', '--username=postgres', '--auth=scram-sha-256', '--no-sync'];
    await promisify(execFile)(
      join(programs, 'initdb'),
      [`--pgdata=${data}`, `--pwfile=${passwordFile}`, ...settings],
      spawnAs(account),
    );
    const what = { postgres: join(programs, 'postgres'), data, settings: { fsync: 'off' }, account };
    const { port, stop } = await launch({ ...what, log: join(directory, 'log') }, await freePort());
    return {
      url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
      stop: async () => {
        await stop('immediate');
        await rm(directory, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}
