import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import type { Client } from 'pg';
import { aptibleSource } from '../../functions/export/aptible/index.ts';
import type { Patience } from '../../functions/export/aptible/tunnel.ts';
import { WINDOW_BYTES } from '../../functions/export/aptible/window.ts';
import { copyOut } from '../../functions/export/copy-out.ts';
import type { Source } from '../../functions/export/source.ts';
import { noFaults } from '../../local/aptible/faults.ts';
import { openLocalAptible, type LocalAptible } from '../../local/aptible/index.ts';
import { clientOf, configOf, makeVolumes, openLedger, PROJECT } from './fixture.ts';
import { childrenOf } from './sshd.ts';

/** One restored database behind the portal, and all that can happen on the way to it. */

const ROWS = 20_000;
const life = { silenceMs: 800, probeMs: 1200 };
const patience: Patience = { silenceMs: 1500, pausesMs: [50, 100], life };
let aptible: LocalAptible;
let source: Source;
const ends: (() => Promise<void>)[] = [];
/** Everything that a person could get to read. */
const told: string[] = [];
const original = process.stdout.write.bind(process.stdout);

before(async () => {
  process.stdout.write = (chunk: string | Uint8Array, ...rest: []) => {
    const isLog = typeof chunk === 'string' && chunk.startsWith('{"severity"');
    if (isLog) told.push(chunk);
    return isLog ? true : original(chunk, ...rest);
  };
  const storage = await openLedger();
  ends.push(storage.close);
  const { volumes, remove } = await makeVolumes(
    `CREATE TABLE t AS SELECT g AS id, md5(g::text) || repeat(' x', 500) AS text FROM generate_series(1, ${ROWS}) g`,
  );
  ends.push(remove);
  aptible = await openLocalAptible({ volumes });
  ends.push(() => aptible.close());
  source = newSource();
  ends.push(() => source.close());
  await (await source.connect()).end();
});
afterEach(async () => {
  Object.assign(aptible.faults, noFaults());
  aptible.portal.thaw();
  for (let i = 0; aptible.portal.connections() > 0 && i < 100; i++) await sleep(20);
  assert.equal(aptible.portal.connections(), 0);
});
after(async () => {
  for (const end of ends.toReversed()) await end();
  assert.equal(aptible.portal.sessions(), 0);
  process.stdout.write = original;
});

let run = 0;
function newSource(more = ''): Source {
  const claim = { runId: `20261122T04000${run++}Z`, attempt: 1 };
  return aptibleSource(clientOf(aptible), configOf(more), PROJECT, claim, new AbortController().signal, patience);
}

/** Copies a table; gives COPY's count, rows and digest. */
async function copy(client: Client, sql: string, onBlock?: (rows: number) => Promise<void> | void) {
  const hash = createHash('md5');
  let rows = 0;
  const blocks = copyOut(client, sql);
  try {
    for (;;) {
      const next = await blocks.next();
      if (next.done) return { tag: next.value, rows, md5: hash.digest('hex') };
      hash.update(next.value.bytes);
      rows += next.value.rows;
      await onBlock?.(rows);
    }
  } finally {
    await blocks.return(0);
  }
}

const TABLE = 'COPY (SELECT * FROM public.t ORDER BY id) TO STDOUT (FORMAT csv)';
/** Without an end in sight: whatever ends it is not its last row. */
const ENDLESS = `COPY (SELECT repeat('x', 1000) FROM public.t CROSS JOIN public.t AS again) TO STDOUT (FORMAT csv)`;

async function refusal(work: Promise<unknown>): Promise<Error> {
  const error = await work.then(
    () => assert.fail('it was not refused'),
    (reason: unknown) => reason,
  );
  assert(error instanceof Error);
  told.push(inspect(error, { depth: 6, showHidden: true }));
  return error;
}

test('a table arrives whole, over every connection', async () => {
  const expected = createHash('md5');
  for (let id = 1; id <= ROWS; id++) {
    expected.update(`${id},${createHash('md5').update(String(id)).digest('hex')}${' x'.repeat(500)}\n`);
  }
  const md5 = expected.digest('hex');
  const results = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const client = await source.connect();
      try {
        return await copy(client, TABLE);
      } finally {
        await client.end();
      }
    }),
  );
  for (const result of results) assert.deepEqual(result, { tag: ROWS, rows: ROWS, md5 });
  // Two sessions, as configured, not one for each connection.
  assert.equal(aptible.portal.sessions(), 2);
});

test('a reader that stands still is not sent more than the window', async () => {
  const client = await source.connect();
  let seen = 0;
  await refusal(
    copy(client, ENDLESS, async (rows) => {
      if (rows < 3000) return;
      let taken = 0;
      // Until nothing moves any more.
      while (taken !== aptible.portal.taken()) {
        taken = aptible.portal.taken();
        await sleep(700);
      }
      seen = taken;
      throw new Error('enough');
    }),
  );
  assert(seen > WINDOW_BYTES / 2, `${seen} bytes were sent`);
  // On top of the window: what the portal itself and the sockets hold.
  assert(seen < WINDOW_BYTES + 16 * 1024 * 1024, `${seen} bytes were sent`);
});

const breaks: [what: string, break_: (pid: number) => unknown, limitMs: number][] = [
  ['the connection is dropped', () => aptible.portal.drop(), 1000],
  ['the portal is frozen', () => aptible.portal.freeze(), 3000],
  ['the channel is half closed', () => aptible.portal.halfClose(), 1000],
  ['the bytes of the database are lost on their way', () => aptible.portal.stall(), 4000],
  ["the session's lifetime is over", () => aptible.portal.expire(), 1000],
  [
    'the backend is terminated',
    async (pid) => {
      const other = await source.connect();
      await other.query('SELECT pg_terminate_backend($1)', [pid]);
      await other.end();
    },
    5000,
  ],
];
for (const [what, break_, limitMs] of breaks) {
  test(`${what} in the middle of a COPY: it fails, and the next connection works`, async () => {
    const client = await source.connect();
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    let begun = 0;
    const error = await refusal(
      copy(client, ENDLESS, (count) => {
        if (begun > 0 || count < 3000) return;
        begun = Date.now();
        void break_(rows[0]?.pid ?? 0);
      }),
    );
    const took = Date.now() - begun;
    assert(begun > 0 && took < limitMs, `${took} ms: ${error.message}`);
    await client.end().catch(() => {});
    aptible.portal.thaw();
    const next = await source.connect();
    assert.equal((await copy(next, TABLE)).tag, ROWS);
    await next.end();
  });
}

/** The server and all its backends. */
async function serverProcesses(): Promise<number[]> {
  const client = await source.connect();
  const { rows } = await client.query<{ pid: string }>(
    "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1) AS pid",
  );
  await client.end();
  const server = Number(rows[0]?.pid);
  return [server, ...(await childrenOf(server))];
}

test('a database that has stopped behind a living portal is given up, also by a query and by an end', async () => {
  const clients = [await source.connect(), await source.connect(), await source.connect()] as const;
  const [copying, asking, ending] = clients;
  const pids = await serverProcesses();
  const stopped = Promise.withResolvers<void>();
  let begun = 0;
  const broken = refusal(
    copy(copying, ENDLESS, (count) => {
      if (begun > 0 || count < 3000) return;
      begun = Date.now();
      for (const pid of pids) process.kill(pid, 'SIGSTOP');
      stopped.resolve();
    }),
  );
  await stopped.promise;
  try {
    const [error, asked] = await Promise.all([broken, refusal(asking.query('SELECT 1')), ending.end()]);
    assert(Date.now() - begun < 6000, `${Date.now() - begun} ms`);
    for (const { name, message } of [error, asked]) {
      assert.deepEqual(
        [name, message],
        [
          'SafeError',
          'PostgreSQL behind the portal (localhost.local-stack.aptible.internal) has sent nothing for 0.8 s, and its server ' +
            'takes no new connection: it was given up',
        ],
      );
    }
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  }
  await Promise.all([copying.end().catch(() => {}), asking.end().catch(() => {})]);
  const next = await source.connect();
  assert.equal((await copy(next, TABLE)).tag, ROWS);
  await next.end();
});

test('a query that takes its time, and a reader that does, are left alone', async () => {
  const [slow, read] = [await source.connect(), await source.connect()];
  const [asked, copied] = await Promise.all([
    copy(slow, 'COPY (SELECT 1 FROM pg_sleep(4)) TO STDOUT'),
    copy(read, `COPY (SELECT repeat('x', 1000) FROM generate_series(1, 30000)) TO STDOUT`, async (rows) => {
      if (rows < 3000 || rows > 5000) return;
      await sleep(1500);
    }),
  ]);
  assert.deepEqual([asked.tag, copied.tag], [1, 30_000]);
  await Promise.all([slow.end(), read.end()]);
});

test('a session outlives its certificate; the next one has a new certificate, and a new token', async () => {
  const client = await source.connect();
  aptible.faults.certificate = 'expired';
  assert.equal((await copy(client, TABLE)).tag, ROWS);
  await client.end();
  aptible.faults.certificate = 'good';
  aptible.faults.unauthorized = 1;
  aptible.portal.drop();
  const next = await source.connect();
  assert.equal((await copy(next, TABLE)).tag, ROWS);
  await next.end();
});

test('a portal that is away for a moment is waited for', async () => {
  aptible.portal.drop();
  aptible.faults.shell = 'over';
  setTimeout(() => (aptible.faults.shell = 'ready'), 60);
  const client = await source.connect();
  await client.end();
});

const portal = String.raw`The SSH portal 127\.0\.0\.1:\d+`;
const database = String.raw`PostgreSQL behind the portal \(localhost\.local-stack\.aptible\.internal\)`;
const refusals: [what: string, set: () => void, name: string, message: string][] = [
  [
    'another host key',
    () => (aptible.faults.hostKey = 'other'),
    'PermanentError',
    `^${portal} shows another host key than the one that Aptible's API gives for its stack\\. Nothing was sent\\. Next: ask Aptible`,
  ],
  [
    'a certificate of another authority',
    () => (aptible.faults.certificate = 'other authority'),
    'PermanentError',
    `^${portal} refused the certificate: it does not trust the authority that signed it$`,
  ],
  [
    'an expired certificate',
    () => (aptible.faults.certificate = 'expired'),
    'SafeError',
    `^${portal} refused the certificate: it expired at 20\\d\\d-\\S+Z$`,
  ],
  [
    'a certificate that is not valid yet',
    () => (aptible.faults.certificate = 'not yet'),
    'PermanentError',
    `^${portal} refused the certificate: it is valid from \\S+Z only\\. Next: check this machine's clock$`,
  ],
  [
    'a certificate for another user',
    () => (aptible.faults.certificate = 'other user'),
    'PermanentError',
    `^${portal} refused the certificate: it is for somebody-else, not for the user tunnel-\\d+$`,
  ],
  [
    'a session that ends before it is ready',
    () => (aptible.faults.shell = 'over'),
    'SafeError',
    `^${portal} ended the session, before it was ready: its lifetime is over$`,
  ],
];
for (const [what, set, name, message] of refusals) {
  test(`refused: ${what}`, async () => {
    aptible.portal.drop();
    set();
    const error = await refusal(source.connect());
    assert.match(error.message, new RegExp(message, 'u'));
    assert.equal(error.name, name);
    Object.assign(aptible.faults, noFaults());
    await (await source.connect()).end();
  });
}

const firstRefusals: [what: string, more: string, set: () => void, message: string][] = [
  [
    'a database whose certificate another CA has signed',
    '',
    () => (aptible.faults.authority = 'other'),
    `^${database}: its certificate is not signed by the environment's CA\\.$`,
  ],
  [
    'a certificate for another name',
    ', tlsName: commons.example',
    () => {},
    String.raw`^PostgreSQL behind the portal \(commons\.example\): its certificate is for another name\. Next: set source\.tlsName in mirror\.yaml\.$`,
  ],
  [
    'a wrong password',
    '',
    () => (aptible.faults.databasePassword = 'correct-horse'),
    `^${database}: the password of the backed-up database was refused\\. Next: check that its default credential is the present one\\.$`,
  ],
];
for (const [what, more, set, message] of firstRefusals) {
  test(`refused: ${what}`, async () => {
    set();
    const other = newSource(more);
    try {
      const error = await refusal(other.connect());
      assert.match(error.message, new RegExp(message, 'u'));
      assert.equal(error.name, 'PermanentError');
    } finally {
      await other.close();
    }
  });
}

test('no secret was told in any of this', async () => {
  const [, restored] = [...aptible.world.databases.values()];
  const secrets = [
    aptible.access.password,
    restored?.running?.password ?? assert.fail('the database is gone'),
    'correct-horse',
    'PRIVATE KEY',
    'postgresql://',
    await clientOf(aptible).token(),
    ...aptible.tokens(),
  ];
  assert(told.length > 15);
  for (const secret of secrets) assert(!told.some((text) => text.includes(secret)), `a secret was told: ${secret}`);
});
