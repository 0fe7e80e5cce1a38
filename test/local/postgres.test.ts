import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type ClientConfig } from 'pg';
import { type PostgresOptions, startPostgres } from '../../local/postgres/index.ts';
import { testDatabase } from '../postgres.ts';

const isRoot = process.getuid?.() === 0;
const NOBODY = Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }));

// Most tests start the same cluster again: a start takes a twentieth of the time of a first start.
let directory = '';
before(async () => {
  directory = await mkdtemp(join(await realpath(tmpdir()), 'postgres-'));
});
after(() => rm(directory, { recursive: true, force: true }));

test('the same directory gives the same cluster again, with its rows and its password', async (t) => {
  const first = await start(t, { directory });
  await ask(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await first.stop();
  const second = await start(t, { directory });
  assert.deepEqual(await ask(second.url, 'SELECT answer FROM kept'), [{ answer: 42 }]);
  assert.equal(second.password, first.password);
  assert.match(second.password, /^[\w-]{24}$/);
});

test('the password is in one file that only the owner reads, and is needed', async (t) => {
  const { url, port, password } = await start(t, { directory });
  const file = join(directory, 'cluster/password');
  assert.equal(await readFile(file, 'utf8'), password);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.equal(url, `postgres://postgres:${password}@127.0.0.1:${port}/postgres`);
  await assert.rejects(ask(`postgres://postgres:guess@127.0.0.1:${port}/postgres`, 'SELECT 1'), {
    message: 'password authentication failed for user "postgres"',
  });
});

test('it listens on loopback and its socket only, in UTF-8, UTC and a locale of its own', async (t) => {
  const { url, port, password, socketDirectory } = await start(t, { directory });
  const [row] = await ask(
    url,
    `SELECT current_setting('listen_addresses') AS listen, current_setting('TimeZone') AS zone,
            pg_encoding_to_char(encoding) AS encoding, datlocprovider AS provider, datlocale AS locale
     FROM pg_database WHERE datname = 'postgres'`,
  );
  assert.deepEqual(row, { listen: '127.0.0.1', zone: 'UTC', encoding: 'UTF8', provider: 'b', locale: 'C.UTF-8' });
  const socket = { host: socketDirectory, port, user: 'postgres', password, database: 'postgres' };
  assert.deepEqual(await ask(socket, 'SELECT inet_server_addr() AS address'), [{ address: null }]);
});

test('after a kill -9 of the server the next start recovers what was committed', async (t) => {
  const first = await start(t, { directory });
  await ask(first.url, 'CREATE TABLE committed AS SELECT generate_series(1, 1000) AS n');
  const pid = Number((await readFile(join(first.socketDirectory, 'postmaster.pid'), 'utf8')).split('\n')[0]);
  process.kill(pid, 'SIGKILL');
  const second = await start(t, { directory });
  assert.deepEqual(await ask(second.url, 'SELECT count(*)::int FROM committed'), [{ count: 1000 }]);
});

test('the server ends when the process that started it is killed, and the next start waits for that', async (t) => {
  const directory = await temporaryDirectory(t);
  if (isRoot) await chown(directory, NOBODY, NOBODY);
  for (const signal of ['SIGKILL', 'SIGINT'] as const) {
    const parent = spawnParent(t, directory);
    const url = await firstLine(parent);
    const client = new Client(url);
    client.on('error', () => {});
    await client.connect();
    await client.query(`CREATE TABLE ${signal} (n int)`);
    parent.kill(signal);
    await once(parent, 'exit');
    const second = await start(t, { directory });
    assert.deepEqual(await ask(second.url, `SELECT n FROM ${signal}`), []);
    await second.stop();
    await client.end();
    assert.deepEqual(processesOf(directory), []);
  }
});

test('stop leaves no process, in both modes, however often it is called', async (t) => {
  for (const mode of ['fast', 'immediate'] as const) {
    const { stop, url } = await start(t, { directory });
    await ask(url, 'SELECT 1');
    assert.notDeepEqual(processesOf(directory), []);
    await Promise.all([stop(mode), stop(mode)]);
    assert.deepEqual(processesOf(directory), []);
  }
});

test('with TLS only TLS is let in, and the certificate is the given one', async (t) => {
  const tls = selfSigned();
  const { url, socketDirectory, port, password } = await start(t, { directory, tls });
  await assert.rejects(ask(url, 'SELECT 1'), /no pg_hba.conf entry for host "127.0.0.1".*no encryption/);
  await assert.rejects(
    ask({ host: socketDirectory, port, user: 'postgres', password, database: 'postgres' }, 'SELECT 1'),
    /no pg_hba.conf entry for host "\[local\]"/,
  );
  const ssl = { ca: tls.cert, servername: 'localhost' };
  assert.deepEqual(
    await ask({ connectionString: url, ssl }, 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'),
    [{ ssl: true }],
  );
});

test('settings reach the server; one that does not exist fails with the log and what to do', async (t) => {
  const { url, stop } = await start(t, { directory, settings: { work_mem: '7MB', fsync: 'on' } });
  assert.deepEqual(await ask(url, `SELECT current_setting('work_mem') AS w, current_setting('fsync') AS f`), [
    { w: '7MB', f: 'on' },
  ]);
  await stop();
  await assert.rejects(startPostgres({ directory, settings: { wrok_mem: '1MB' } }), (error: Error) => {
    assert.equal(error.name, 'StartError');
    assert.match(error.message, /postgres ended with 1\. The end of .*postgres\.log:\n/);
    assert.match(error.message, /FATAL: {2}unrecognized configuration parameter "wrok_mem"\nCorrect that setting\.$/);
    return true;
  });
});

test('a port that is taken, and a cluster that is in use, are said', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  t.after(() => taken.close());
  await once(taken, 'listening');
  const address = taken.address();
  assert.ok(address !== null && typeof address === 'object');
  await assert.rejects(startPostgres({ directory, port: address.port }), /The port is taken: give another one, or 0/);

  const running = await start(t, { directory });
  const pid = (await readFile(join(running.socketDirectory, 'postmaster.pid'), 'utf8')).split('\n')[0];
  await assert.rejects(startPostgres({ directory }), {
    fault: 'in use',
    message: new RegExp(`Process ${pid} uses this cluster: end it, or give another directory\\.$`),
  });
  assert.deepEqual(await ask(running.url, 'SELECT 1 AS alive'), [{ alive: 1 }]);
});

test('a first start that was killed halfway, and a broken cluster, are no dead end', async (t) => {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'cluster.new/data'), { recursive: true });
  await writeFile(join(directory, 'cluster.new/data/PG_VERSION'), '18');
  const first = await start(t, { directory });
  await first.stop();
  await rm(join(first.socketDirectory, 'global/pg_control'));
  await assert.rejects(startPostgres({ directory }), (error: Error) => {
    assert.ok(error.message.endsWith(`delete ${join(directory, 'cluster')}: the next start makes a new one.`));
    return true;
  });
});

test('a path too long for a socket gets a place of its own, the same each time', async (t) => {
  const directory = join(await temporaryDirectory(t), 'long'.repeat(20));
  const first = await start(t, { directory });
  assert.match(first.socketDirectory, /\/commons-mirror-[0-9a-f]{12}\/cluster\/data$/);
  await first.stop();
  // It stands in while the server runs, and leaves nothing behind.
  await assert.rejects(stat(join(first.socketDirectory, '../..')), { code: 'ENOENT' });
  const second = await start(t, { directory });
  assert.equal(second.socketDirectory, first.socketDirectory);
});

test('below a directory that is closed to others it works for its owner, root too', async (t) => {
  const closed = await temporaryDirectory(t);
  const directory = join(closed, 'open/postgres');
  await mkdir(directory, { recursive: true });
  await chmod(closed, 0o700);
  const first = await start(t, { directory });
  // Root lends the server an account that cannot get there.
  const elsewhere = /\/commons-mirror-[0-9a-f]{12}\/cluster\/data$/;
  assert.match(first.socketDirectory, isRoot ? elsewhere : new RegExp(`^${directory}/cluster/data$`));
  assert.deepEqual(await ask(first.url, 'SELECT 1 AS alive'), [{ alive: 1 }]);
  await first.stop();
  assert.equal((await start(t, { directory })).socketDirectory, first.socketDirectory);
  assert.equal((await stat(closed)).mode & 0o777, 0o700);
});

test('each test database is empty, its own, and gone after its test', async (t) => {
  let maintenance = '';
  let names: string[] = [];
  await t.test('two databases', async (t) => {
    const [one, other] = await Promise.all([testDatabase(t, 'CREATE TABLE mine (n int)'), testDatabase(t)]);
    const tables = `SELECT count(*)::int FROM pg_class WHERE relname = 'mine'`;
    assert.deepEqual(await ask(one.url, tables), [{ count: 1 }]);
    assert.deepEqual(await ask(other.url, tables), [{ count: 0 }]);
    const open = new Client(one.url);
    t.after(() => open.end());
    await open.connect();
    names = [one, other].map(({ url }) => new URL(url).pathname.slice(1));
    maintenance = Object.assign(new URL(one.url), { pathname: '/postgres' }).href;
  });
  const left = `SELECT count(*)::int FROM pg_database WHERE datname IN ('${names.join("', '")}')`;
  const deadline = Date.now() + 5000;
  while ((await ask(maintenance, left))[0]?.['count'] !== 0) {
    assert.ok(Date.now() < deadline, `Still there: ${names.join(', ')}`);
    await sleep(20);
  }
});

async function start(t: TestContext, options: PostgresOptions) {
  const postgres = await startPostgres(options);
  defer(t, () => postgres.stop('immediate'));
  return postgres;
}

async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(await realpath(tmpdir()), 'postgres-'));
  defer(t, () => rm(directory, { recursive: true, force: true }));
  return directory;
}

const closings = new WeakMap<TestContext, AsyncDisposableStack>();

/** Closes in the reverse order, which `t.after` does not: a server before the directory that it works in. */
function defer(t: TestContext, close: () => Promise<void>): void {
  const known = closings.get(t);
  const stack = known ?? new AsyncDisposableStack();
  if (!known) {
    closings.set(t, stack);
    t.after(() => stack.disposeAsync());
  }
  stack.defer(close);
}

/** Another node process that starts PostgreSQL in `directory`, says its URL and stays; as an ordinary user in any case. */
function spawnParent(t: TestContext, directory: string): ChildProcess {
  const program = `
    import { startPostgres } from '${import.meta.resolve('../../local/postgres/index.ts')}';
    console.log((await startPostgres({ directory: ${JSON.stringify(directory)} })).url);
    setInterval(() => {}, 1000);`;
  const account = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    ...account,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  defer(t, async () => void child.kill('SIGKILL'));
  return child;
}

async function firstLine(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout);
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error('The process ended without a line');
}

/** The processes whose command line names the directory: the server, and the backends' parent. */
function processesOf(directory: string): string[] {
  const all = execFileSync('ps', ['-A', '-o', 'pid=,args='], { encoding: 'utf8' }).split('\n');
  return all.filter((line) => line.includes(directory));
}

/** A certificate for localhost and its key, written by hand in DER: Node can read one, but not make one. */
function selfSigned(): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const ecdsaWithSha256 = tlv(0x30, oid('2a8648ce3d040302'));
  const name = tlv(0x30, tlv(0x31, tlv(0x30, oid('550403'), text(12, 'localhost'))));
  const validity = tlv(0x30, text(23, '200101000000Z'), text(23, '491231235959Z'));
  const alternativeName = tlv(0x30, oid('551d11'), tlv(4, tlv(0x30, text(0x82, 'localhost'))));
  const body = tlv(
    0x30,
    tlv(0xa0, tlv(2, Buffer.from([2]))),
    tlv(2, Buffer.from([1])),
    ecdsaWithSha256,
    name,
    validity,
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, tlv(0x30, alternativeName)),
  );
  const signature = tlv(3, Buffer.from([0]), sign('sha256', body, privateKey));
  const base64 = tlv(0x30, body, ecdsaWithSha256, signature).toString('base64');
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`,
  };
}

function tlv(tag: number, ...parts: Buffer[]): Buffer {
  const value = Buffer.concat(parts);
  const length = value.length < 128 ? [value.length] : [0x82, value.length >> 8, value.length & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), value]);
}

const oid = (hex: string): Buffer => tlv(6, Buffer.from(hex, 'hex'));
const text = (tag: number, value: string): Buffer => tlv(tag, Buffer.from(value));

async function ask(connection: string | ClientConfig, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client(connection);
  try {
    await client.connect();
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}
