import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import pg from 'pg';
import { urlSource } from '../../functions/export/source.ts';
import { serverAccount, spawnAs } from '../../local/postgres/account.ts';
import { freePort } from '../free-port.ts';
import { testDatabase } from '../postgres.ts';

/** A real PgBouncer between the export and PostgreSQL. */

const PGBOUNCER = '/usr/sbin/pgbouncer';
const reason = 'PgBouncer is not installed: that it is refused was NOT tested. Next: apt-get install pgbouncer';
const skip = existsSync(PGBOUNCER) ? false : reason;
if (skip !== false) console.error(`\n!!! SKIPPED: ${reason}\n`);

/** The URL of `database` behind a pooler. */
async function pooled(t: TestContext, database: URL, mode: string): Promise<URL> {
  const directory = await mkdtemp(join(tmpdir(), 'pgbouncer-'));
  await chmod(directory, 0o755);
  const port = await freePort();
  const file = join(directory, 'pgbouncer.ini');
  const { hostname, username, password, pathname } = database;
  const target = `host=${hostname} port=${database.port} dbname=${pathname.slice(1)} user=${username} password=${password}`;
  await writeFile(
    file,
    `[databases]\napp = ${target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\nauth_type = any\npool_mode = ${mode}\nunix_socket_dir =\n`,
  );
  // Root may not run it.
  const child = spawn(PGBOUNCER, [file], {
    ...spawnAs(await serverAccount(directory)),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.after(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    await rm(directory, { recursive: true });
  });
  let said = '';
  for await (const chunk of child.stderr) {
    said += String(chunk);
    if (said.includes('process up')) return new URL(`postgres://anybody@127.0.0.1:${port}/app`);
  }
  return assert.fail(said);
}

for (const mode of ['transaction', 'session']) {
  test(`a pooler by ${mode} is refused before anything is set`, { skip }, async (t) => {
    const { url } = await testDatabase(t);
    const pooler = await pooled(t, new URL(url), mode);
    await assert.rejects(urlSource(pooler.href, 'test').connect(), {
      name: 'PermanentError',
      message:
        `PostgreSQL at ${pooler.host}/app: a connection pooler answers there, which would hand the settings of the export on to ` +
        'other sessions. Next: connect to PostgreSQL itself.',
    });
    // The backend that the export had for a moment is the application's next.
    const application = new pg.Client(pooler.href);
    await application.connect();
    try {
      await application.query('CREATE TABLE written (id int)');
    } finally {
      await application.end();
    }
  });
}
