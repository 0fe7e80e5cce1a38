import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../local/postgres/index.ts';
import { makeAuthority } from '../../local/x509.ts';
import { copyOut } from '../../functions/export/copy-out.ts';
import { PermanentError, SafeError } from '../../functions/mirror/errors.ts';
import { queryError, urlSource } from '../../functions/export/source.ts';
import { testDatabase } from '../postgres.ts';

const SECRET = 'hunter2';

/** The error that connecting gives, which must not hold the password. */
async function refusal(url: string): Promise<Error> {
  const error = await connecting(url).then(
    () => new Error('connected'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Error);
  assert.ok(!`${error.message}${error.stack}`.includes(SECRET), error.message);
  return error;
}

const connecting = async (url: string): Promise<void> => {
  const client = await urlSource(url, 'test').connect();
  await client.end();
};

async function variant(t: TestContext, change: (url: URL) => void): Promise<{ url: string; name: string }> {
  const url = new URL((await testDatabase(t)).url);
  change(url);
  return { url: url.href, name: `127.0.0.1:${url.port}${url.pathname}` };
}

test('a connection is set so that a value’s text depends on the value alone, and cannot write', async (t) => {
  const { url } = await testDatabase(t);
  const owner = new pg.Client(url);
  await owner.connect();
  await owner.query(
    `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET TimeZone = ''Asia/Tokyo''', current_database());
       EXECUTE format('ALTER DATABASE %I SET DateStyle = ''German''', current_database());
       EXECUTE format('ALTER DATABASE %I SET IntervalStyle = ''sql_standard''', current_database());
       EXECUTE format('ALTER DATABASE %I SET extra_float_digits = -5', current_database());
       EXECUTE format('ALTER DATABASE %I SET bytea_output = ''escape''', current_database());
       EXECUTE format('ALTER DATABASE %I SET statement_timeout = 1000', current_database());
       EXECUTE format('ALTER DATABASE %I SET idle_session_timeout = 60000', current_database());
       EXECUTE format('ALTER DATABASE %I SET transaction_timeout = 60000', current_database()); END $$`,
  );
  await owner.end();
  const client = await urlSource(url, 'commons-mirror 20261122T030000Z').connect();
  t.after(() => client.end());
  const { rows } = await client.query<{ values: string[] }>(
    `SELECT ARRAY['2026-01-02 03:04:05.6+09'::timestamptz::text, '2026-01-02'::date::text, '1 day 2:03'::interval::text,
       0.1::float8::text, '\\x00ff'::bytea::text, current_setting('statement_timeout'),
       current_setting('idle_session_timeout'), current_setting('transaction_timeout'),
       current_setting('application_name'), current_setting('row_security')] AS values`,
  );
  assert.deepEqual(rows[0]?.values, [
    '2026-01-01 18:04:05.6+00',
    '2026-01-02',
    'P1DT2H3M',
    '0.1',
    '\\x00ff',
    '0',
    '0',
    '0',
    'commons-mirror 20261122T030000Z',
    'off',
  ]);
  await assert.rejects(client.query('CREATE TABLE t (id int)'), { code: '25006' });
});

test('the source’s name has host, port and database, and nothing else', () => {
  assert.equal(urlSource(`postgres://u:${SECRET}@127.0.0.1:6543/app`, 'test').name, '127.0.0.1:6543/app');
  assert.equal(urlSource('postgres://u@db.example/', 'test').name, 'db.example:5432/u');
  assert.equal(urlSource(`postgresql://u:${SECRET}@[::1]/app%20one`, 'test').name, '::1:5432/app one');
  assert.equal(urlSource('postgres:///app?host=/var/run/postgresql', 'test').name, '/var/run/postgresql:5432/app');
});

test('user, password and database may hold any character, escaped', async (t) => {
  const { url } = await testDatabase(t, `CREATE ROLE "a:b@c/d ${process.pid}" LOGIN PASSWORD 'p:w@/ ü%'`);
  t.after(async () => {
    const owner = new pg.Client(url);
    await owner.connect();
    await owner.query(`DROP ROLE "a:b@c/d ${process.pid}"`);
    await owner.end();
  });
  const { host, pathname } = new URL(url);
  const [user, password] = [`a:b@c/d ${process.pid}`, 'p:w@/ ü%'].map(encodeURIComponent);
  const client = await urlSource(`postgres://${user}:${password}@${host}${pathname}`, 'test').connect();
  t.after(() => client.end());
  assert.deepEqual((await client.query('SELECT current_user AS name')).rows, [{ name: `a:b@c/d ${process.pid}` }]);
});

test('a wrong password', async (t) => {
  const { url, name } = await variant(t, (changed) => (changed.password = SECRET));
  const error = await refusal(url);
  assert.ok(error instanceof PermanentError);
  assert.equal(
    error.message,
    `PostgreSQL at ${name}: the password was refused. Next: correct the user or the password of SOURCE_URL.`,
  );
});

test('no password where one is asked for', async (t) => {
  const { url, name } = await variant(t, (changed) => (changed.password = ''));
  const error = await refusal(url);
  assert.ok(error instanceof PermanentError);
  assert.equal(error.message, `PostgreSQL at ${name}: it asks for a password. Next: put one into SOURCE_URL.`);
});

test('an unknown user is told as a wrong password, as PostgreSQL itself does', async (t) => {
  const { url, name } = await variant(t, (changed) => {
    changed.username = 'nobody_at_all';
    changed.password = SECRET;
  });
  assert.equal(
    (await refusal(url)).message,
    `PostgreSQL at ${name}: the password was refused. Next: correct the user or the password of SOURCE_URL.`,
  );
});

test('an unknown database', async (t) => {
  const { url, name } = await variant(t, (changed) => (changed.pathname = '/missing'));
  const error = await refusal(url);
  assert.ok(error instanceof PermanentError);
  assert.equal(
    error.message,
    `PostgreSQL at ${name}: the database does not exist. Next: correct the database name of SOURCE_URL.`,
  );
});

test('a host that does not exist', async () => {
  const error = await refusal(`postgres://u:${SECRET}@no-such-host.invalid/app?sslmode=disable`);
  // Without a name server the answer is "try again", which is no answer about the host.
  assert.match(
    error.message,
    /^PostgreSQL at no-such-host\.invalid:5432\/app: (?:the host name is unknown\. Next: correct the host of SOURCE_URL|could not connect \(EAI_AGAIN\)\. Next: check host, port and network)\.$/u,
  );
});

test('nothing listening is no reason to give up: a database that restarts comes back', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  const error = await refusal(`postgres://u:${SECRET}@127.0.0.1:${port}/app`);
  assert.ok(error instanceof SafeError);
  assert.equal(
    error.message,
    `PostgreSQL at 127.0.0.1:${port}/app: nothing listens there (ECONNREFUSED). Next: start it, or correct host and port.`,
  );
});

test('something that hangs up is told without a reason that is not known', async (t) => {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const error = await refusal(`postgres://u:${SECRET}@127.0.0.1:${port}/app`);
  assert.ok(error instanceof SafeError);
  assert.match(
    error.message,
    /^PostgreSQL at 127\.0\.0\.1:\d+\/app: could not connect(?: \(ECONNRESET\))?\. Next: check host, port and network\.$/u,
  );
});

const NO_URL =
  'The source is not a PostgreSQL URL. Wanted: postgres://user:password@host:port/database[?sslmode=verify-full&sslrootcert=FILE]';
const UNVERIFIED = (mode: string): string =>
  `sslmode=${mode} does not verify the server. Allowed: verify-full (the default except on this machine), disable.`;

for (const [url, message] of [
  [`host=localhost password=${SECRET}`, NO_URL],
  ['', NO_URL],
  [`mysql://u:${SECRET}@localhost/app`, NO_URL],
  [`postgres://u:${SECRET}@localhost:port/app`, NO_URL],
  [`postgres://u:${SECRET}%zz@localhost/app`, NO_URL],
  [`postgres://u:${SECRET}@db.example/app?sslmode=no-verify`, UNVERIFIED('no-verify')],
  [`postgres://u:${SECRET}@db.example/app?sslmode=require`, UNVERIFIED('require')],
  [`postgres://u:${SECRET}@localhost/app?sslmode=prefer`, UNVERIFIED('prefer')],
  [
    `postgres://u:${SECRET}@db.example/app?sslrootcert=/no/such.pem`,
    'sslrootcert=/no/such.pem cannot be read (Error (ENOENT)). Next: name a PEM file.',
  ],
] as const) {
  test(`${url.replace(SECRET, '…') || 'an empty text'} is refused before anything is sent`, () => {
    assert.throws(() => urlSource(url, 'test'), { name: 'PermanentError', message });
  });
}

/** A server that only lets TLS in, with a certificate for localhost from a CA of its own. */
let secure: Postgres | undefined;
let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'source-'));
  const authority = makeAuthority('Test CA');
  await writeFile(join(directory, 'ca.pem'), authority.certificate);
  await writeFile(join(directory, 'other.pem'), makeAuthority('Another CA').certificate);
  secure = await startPostgres({ directory, tls: authority.issue('localhost') });
});
after(async () => {
  await secure?.stop('immediate');
  await rm(directory, { recursive: true, force: true });
});

function secureUrl(host: string, parameters: Record<string, string>): string {
  const url = new URL(secure?.url ?? '');
  url.hostname = host;
  for (const [key, value] of Object.entries(parameters)) url.searchParams.set(key, value);
  return url.href;
}

test('TLS is verified by the named CA, name included', async (t) => {
  const url = secureUrl('localhost', { sslmode: 'verify-full', sslrootcert: join(directory, 'ca.pem') });
  const client = await urlSource(url, 'test').connect();
  t.after(() => client.end());
  const { rows } = await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
  assert.deepEqual(rows, [{ ssl: true }]);
});

test('a COPY over TLS', async (t) => {
  const url = secureUrl('localhost', { sslmode: 'verify-full', sslrootcert: join(directory, 'ca.pem') });
  const client = await urlSource(url, 'test').connect();
  t.after(() => client.end());
  const blocks: Buffer[] = [];
  for await (const { bytes } of copyOut(
    client,
    'COPY (SELECT md5(n::text) FROM generate_series(1, 99999) AS n) TO STDOUT',
  )) {
    blocks.push(Buffer.from(bytes));
  }
  const { rows } = await client.query<{ md5: string }>(
    "SELECT md5(string_agg(md5(n::text) || E'\\n', '' ORDER BY n)) FROM generate_series(1, 99999) AS n",
  );
  assert.equal(createHash('md5').update(Buffer.concat(blocks)).digest('hex'), rows[0]?.md5);
});

const REFUSED_TLS: [what: string, host: string, ca: string | undefined, mode: string | undefined, message: string][] = [
  [
    'a server whose CA is not known',
    'localhost',
    undefined,
    'verify-full',
    'its CA is unknown. Next: name it with sslrootcert=FILE',
  ],
  [
    'a server of another CA',
    'localhost',
    'other.pem',
    'verify-full',
    'its CA is unknown. Next: name it with sslrootcert=FILE',
  ],
  [
    'a certificate for another name',
    '127.0.0.1',
    'ca.pem',
    'verify-full',
    'its certificate is for another name. Next: use the name that it is for',
  ],
  [
    'no TLS where the server wants it',
    '127.0.0.1',
    undefined,
    undefined,
    'the login was refused. Next: check the role, and that pg_hba.conf admits it (TLS?)',
  ],
];

for (const [what, host, ca, mode, message] of REFUSED_TLS) {
  test(`${what} is refused`, async () => {
    const url = secureUrl(host, {
      ...(mode && { sslmode: mode }),
      ...(ca && { sslrootcert: join(directory, ca) }),
    });
    const error = await connecting(url).catch((reason: unknown) => reason);
    assert.ok(error instanceof PermanentError);
    assert.equal(error.message, `PostgreSQL at ${host}:${secure?.port}/postgres: ${message}.`);
  });
}

test('a server without TLS is refused where TLS is asked for', async (t) => {
  const { url, name } = await variant(t, (changed) => (changed.search = '?sslmode=verify-full'));
  const error = await refusal(url);
  assert.ok(error instanceof PermanentError);
  assert.equal(
    error.message,
    `PostgreSQL at ${name} offers no TLS. Next: turn it on, or say sslmode=disable where the network is trusted.`,
  );
});

const QUERIES: [what: string, sql: string, kind: string, message: string][] = [
  ['a value', `SELECT '${SECRET}'::int`, 'SafeError', 'PostgreSQL, asking (SQLSTATE 22P02)'],
  [
    'a value that a function tells',
    `DO $$ BEGIN RAISE '${SECRET}'; END $$`,
    'SafeError',
    'PostgreSQL, asking (SQLSTATE P0001)',
  ],
  [
    'a missing table',
    'SELECT FROM missing',
    'PermanentError',
    'PostgreSQL, asking: relation "missing" does not exist (SQLSTATE 42P01)',
  ],
  [
    'a read-only connection',
    'CREATE TABLE t (id int)',
    'SafeError',
    'PostgreSQL, asking: cannot execute CREATE TABLE in a read-only transaction (SQLSTATE 25006)',
  ],
  [
    'a timeout',
    "SET statement_timeout = '10ms'; SELECT pg_sleep(5)",
    'SafeError',
    'PostgreSQL, asking: canceling statement due to statement timeout (SQLSTATE 57014)',
  ],
];

for (const [what, sql, kind, message] of QUERIES) {
  test(`a query’s failure is told as far as it may be: ${what}`, async (t) => {
    const client = await urlSource((await testDatabase(t)).url, 'test').connect();
    t.after(() => client.end());
    const error = queryError(await client.query(sql).catch((reason: unknown) => reason), 'asking');
    assert.deepEqual([error.name, error.message], [kind, message]);
  });
}

test('a broken connection is told as one, a fault of our own as what it is', async (t) => {
  const client = await urlSource((await testDatabase(t)).url, 'test').connect();
  await client.end();
  const broken = await client.query('SELECT 1').catch((reason: unknown) => reason);
  assert.equal(queryError(broken, 'asking').message, 'PostgreSQL, asking: the connection broke');
  const reset = Object.assign(new Error(SECRET), { code: 'ECONNRESET' });
  assert.equal(queryError(reset, 'asking').message, 'PostgreSQL, asking: the connection broke');
  assert.equal(queryError(new TypeError(SECRET), 'asking').message, 'asking: TypeError');
  const own = new PermanentError('ours');
  assert.equal(queryError(own, 'asking'), own);
});
