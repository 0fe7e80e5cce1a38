import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Account, spawnAs } from './account.ts';
import { StartError, whyNotStarted } from './start-error.ts';

/** The files of one PostgreSQL, and the password of its user `postgres`. */
export type Cluster = { data: string; password: string };

/** The cluster in `place`. Made there if absent, under another name until it is whole: a killed start leaves no half. */
export async function openCluster(place: string, initdb: string, account: Account): Promise<Cluster> {
  const whole = join(place, 'cluster');
  const password = await readFile(join(whole, 'password'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    const action = 'If it belongs to another user, work as that user or give another directory.';
    throw new StartError('other', `${error.message}. ${action}`, { cause: error });
  });
  if (password !== undefined) return { data: join(whole, 'data'), password };

  const unfinished = join(place, 'cluster.new');
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  const made = randomBytes(18).toString('base64url');
  const passwordFile = join(unfinished, 'password');
  await writeFile(passwordFile, made, { mode: 0o600 });
  await handOver(passwordFile, account);
  await handOver(unfinished, account);
  await initialize(initdb, join(unfinished, 'data'), passwordFile, account);
  await rename(unfinished, whole);
  return { data: join(whole, 'data'), password: made };
}

async function initialize(initdb: string, data: string, passwordFile: string, account: Account): Promise<void> {
  // A locale of PostgreSQL's own, so that sorting and upper case do not depend on what the machine has.
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  const access = ['--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`];
  const child = spawn(initdb, [`--pgdata=${data}`, '--no-sync', ...locale, ...access], {
    ...spawnAs(account),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const ending = await once(child, 'close').then(
    ([code, signal]: unknown[]) => (code === 0 ? undefined : `initdb ended with ${String(signal ?? code)}`),
    (error: unknown) => String(error),
  );
  if (ending !== undefined) throw whyNotStarted({ data, log: 'its output', text, ending });
}

/** Writes who may connect and how, for the next start; returns the settings that go with it. Nobody may from elsewhere. */
export async function admit(
  data: string,
  tls: { key: string; cert: string } | undefined,
  account: Account,
): Promise<Record<string, string>> {
  const files = tls
    ? {
        'pg_hba.conf': 'hostssl all all 127.0.0.1/32 scram-sha-256\n',
        'server.key': tls.key,
        'server.crt': tls.cert,
      }
    : { 'pg_hba.conf': 'local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n' };
  for (const [name, text] of Object.entries(files)) {
    const file = join(data, name);
    await rm(file, { force: true });
    await writeFile(file, text, { mode: 0o600 });
    await handOver(file, account);
  }
  return tls ? { ssl: 'on', ssl_key_file: 'server.key', ssl_cert_file: 'server.crt' } : {};
}

async function handOver(file: string, account: Account): Promise<void> {
  if (account.borrowed) await chown(file, account.uid, account.gid);
}
