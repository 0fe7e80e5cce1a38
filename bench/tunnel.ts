import { fork, spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { z } from 'zod';
import type { Api } from '../functions/export/aptible/answers.ts';
import { openTunnel, type Tunnel } from '../functions/export/aptible/tunnel.ts';
import { copyOut } from '../functions/export/copy-out.ts';
import { issueCertificate, rsaBlob } from '../local/aptible/ssh-certificate.ts';
import { makeAuthority } from '../local/x509.ts';
import { startPostgres, type Postgres } from '../local/postgres/index.ts';
import { ended, freePort, startSshd, type Sshd } from '../test/aptible/sshd.ts';
import { fillEvents } from './events-table.ts';
import { median, rounded, spread } from './figures.ts';
import { psqlCopy } from './psql.ts';

/**
 * The tunnel against one OpenSSH tunnel with psql: the same sshd, the same PostgreSQL with TLS inside, the same delay, in
 * interleaved pairs. `--gigabytes 0.5 --connections 4 --sessions 2 --pairs 3 --delays 0,40,80` (round trips in ms). Both
 * have their SSH sessions open before; the database's connections count. `--rows wide`, 1.9 KB each, measures the tunnel;
 * `--rows events` has narrow rows of many types, of which PostgreSQL, on the same processors, formats 150 MB/s.
 */
export async function bench(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: {
      gigabytes: { type: 'string', default: '0.5' },
      rows: { type: 'string', default: 'wide' },
      connections: { type: 'string', default: '4' },
      sessions: { type: 'string', default: '2' },
      pairs: { type: 'string', default: '3' },
      delays: { type: 'string', default: '0,40,80' },
    },
  });
  const [gigabytes, connections, pairs] = [Number(values.gigabytes), Number(values.connections), Number(values.pairs)];
  const directory = await mkdtemp(path.join(tmpdir(), 'commons-bench-'));
  const ends: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true })];
  try {
    const authority = makeAuthority('Commons bench CA');
    const settings = { max_wal_size: '8GB', shared_buffers: '512MB' };
    const filling = await startPostgres({ directory, settings });
    ends.push(() => filling.stop('immediate'));
    const { table, fill } = values.rows === 'events' ? EVENTS : WIDE;
    const pages = await fill(filling.url, gigabytes);
    await filling.stop();
    const postgres = await startPostgres({ directory, settings, tls: authority.issue(TLS_NAME) });
    ends.push(() => postgres.stop('immediate'));
    const sshd = await startSshd(postgres.port);
    ends.push(sshd.close);
    await writeFile(path.join(sshd.directory, 'ca.pem'), authority.certificate);
    const result: Record<string, object> = {};
    for (const delay of values.delays.split(',').map(Number)) {
      const line = await openLine(sshd.port, delay);
      const openssh = await openPeer(sshd, line.port);
      const tunnel = ourTunnel(sshd, line.port, postgres, authority.certificate, Number(values.sessions));
      try {
        result[`${delay} ms`] = await compare(
          tunnel,
          peerUrl(sshd, openssh.port, postgres),
          table,
          connections,
          pages,
          pairs,
          delay,
        );
      } finally {
        await tunnel.close();
        await ended(openssh.process);
        await ended(line.process);
      }
    }
    return {
      name: 'tunnel',
      unit: 'MB/s of CSV',
      rows: table,
      gigabytes,
      connections,
      sessions: Number(values.sessions),
      pairs,
      ...result,
    };
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

const TLS_NAME = 'localhost.bench.internal';

async function compare(
  tunnel: Tunnel,
  url: string,
  table: string,
  connections: number,
  pages: number,
  pairs: number,
  delay: number,
) {
  await ours(tunnel, table, connections, Math.ceil(pages / 10));
  const runs: { ours: number; openssh: number; cpu: number }[] = [];
  let peakRssMb = 0;
  for (let i = 0; i < pairs; i++) {
    const reference = await psqlCopy(url, table, 1, pages);
    const before = process.cpuUsage();
    const { bytes, seconds } = await ours(tunnel, table, connections, pages);
    const { user, system } = process.cpuUsage(before);
    const cpu = (user + system) / 1e6 / (bytes / 1e9);
    const run = { ours: bytes / 1e6 / seconds, openssh: bytes / 1e6 / reference, cpu };
    peakRssMb = Math.max(peakRssMb, process.memoryUsage().rss / 1e6);
    console.log(
      `${delay} ms, pair ${i + 1}: ours ${run.ours.toFixed(0)} MB/s, OpenSSH with psql ${run.openssh.toFixed(0)} MB/s, ` +
        `ratio ${(run.ours / run.openssh).toFixed(2)}, client CPU ${cpu.toFixed(1)} s/GB`,
    );
    runs.push(run);
  }
  const ratios = runs.map((run) => run.ours / run.openssh);
  return {
    ours: rounded(median(runs.map((run) => run.ours)), 1),
    reference: rounded(median(runs.map((run) => run.openssh)), 1),
    ratio: rounded(median(ratios), 2),
    spread: spread(ratios).map((value) => rounded(value, 2)),
    peakRssMb: rounded(peakRssMb, 0),
    cpuSecondsPerGb: rounded(median(runs.map(({ cpu }) => cpu)), 1),
  };
}

/**
 * A table `notes` of wide rows, 1.9 KB each. PostgreSQL needs six seconds to format a gigabyte of narrow ones, which would be
 * the limit here, where it shares the processors with both ends of the tunnel. Gives its pages.
 */
async function fillNotes(url: string, gigabytes: number): Promise<number> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    await client.query('CREATE TABLE notes (id int8, body text STORAGE PLAIN)');
    await client.query(`INSERT INTO notes SELECT g, repeat(md5(g::text), 60) FROM generate_series(1, $1::int8) AS g`, [
      Math.round((gigabytes * 1e9) / 1930),
    ]);
    await client.query('VACUUM (ANALYZE) notes');
    const { rows } = await client.query<{ pages: string }>("SELECT pg_relation_size('notes') / 8192 AS pages");
    return Number(rows[0]?.pages);
  } finally {
    await client.end();
  }
}

const WIDE = { table: 'notes', fill: fillNotes };
const EVENTS = { table: 'events', fill: fillEvents };

/** Ranges of pages over several connections, as the export reads a large table; the rows go nowhere. */
async function ours(
  tunnel: Tunnel,
  table: string,
  connections: number,
  pages: number,
): Promise<{ bytes: number; seconds: number }> {
  const start = performance.now();
  const each = Math.ceil(pages / connections);
  const sizes = await Promise.all(
    Array.from({ length: connections }, async (_, i) => {
      const client = await tunnel.connect();
      const upper = `AND ctid < '(${Math.min((i + 1) * each, pages)},0)'`;
      const query = `SELECT * FROM public.${table} WHERE ctid >= '(${i * each},0)' ${upper}`;
      let bytes = 0;
      for await (const block of copyOut(client, `COPY (${query}) TO STDOUT (FORMAT csv)`)) bytes += block.bytes.length;
      await client.end();
      return bytes;
    }),
  );
  return { bytes: sizes.reduce((sum, size) => sum + size, 0), seconds: (performance.now() - start) / 1000 };
}

function ourTunnel(sshd: Sshd, port: number, postgres: Postgres, ca: string, sessions: number): Tunnel {
  const Asked = z.object({ ssh_public_key: z.string() });
  const api: Api = {
    token: async () => 'bench',
    get: () => Promise.reject(new Error('nothing is read')),
    post: async (_path, body, schema) => {
      const asked = Asked.safeParse(body);
      if (!asked.success) {
        return schema.parse({ id: 1, type: 'tunnel', status: 'succeeded', created_at: new Date().toISOString() });
      }
      return schema.parse({
        ssh_user: sshd.user,
        ssh_certificate_body: certificateFor(sshd, asked.data.ssh_public_key),
        ssh_port_forward_socket: sshd.socket,
      });
    },
  };
  const stack = {
    ssh_portal_host: '127.0.0.1',
    ssh_portal_port: port,
    ssh_host_rsa_public_key: sshd.hostKey,
    internal_domain: 'bench.internal',
  };
  const account = { id: 1, handle: 'bench', ca_body: ca, _links: { stack: { href: '' } } };
  const credential = { id: 1, default: true, connection_url: postgres.url };
  return openTunnel(api, { account, stack, credential, sessions, tlsName: undefined, applicationName: 'bench' });
}

const certificateFor = (sshd: Sshd, publicKey: string): string =>
  issueCertificate(sshd.authority, {
    publicKey,
    principal: sshd.user,
    from: new Date(Date.now() - 60_000),
    until: new Date(Date.now() + 3600_000),
    serial: 1,
  });

/** `ssh -L`, as Aptible's own command line opens it, with the same cipher. */
async function openPeer(sshd: Sshd, linePort: number): Promise<{ port: number; process: ChildProcess }> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 3072 });
  const key = path.join(sshd.directory, 'bench_key');
  const line = `ssh-rsa ${rsaBlob(publicKey).toString('base64')}`;
  await rm(key, { force: true });
  await writeFile(key, privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 });
  await writeFile(`${key}-cert.pub`, `${certificateFor(sshd, line)}\n`);
  await writeFile(path.join(sshd.directory, 'known_hosts'), `[127.0.0.1]:${linePort} ${sshd.hostKey}\n`);
  const port = await freePort();
  const options = {
    UserKnownHostsFile: path.join(sshd.directory, 'known_hosts'),
    StrictHostKeyChecking: 'yes',
    IdentitiesOnly: 'yes',
    ExitOnForwardFailure: 'yes',
    Ciphers: 'aes128-gcm@openssh.com',
    LogLevel: 'ERROR',
  };
  const child = spawn(
    'ssh',
    [
      '-N',
      ...Object.entries({ '-F': 'none', '-i': key, '-p': linePort, '-L': `127.0.0.1:${port}:${sshd.socket}` })
        .flat()
        .map(String),
      ...Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
      `${sshd.user}@127.0.0.1`,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  for (let waited = 0; !(await listens(port)); waited += 100) {
    if (child.exitCode !== null || waited > 15_000) throw new Error('ssh did not open its tunnel');
    await sleep(100);
  }
  return { port, process: child };
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

const peerUrl = (sshd: Sshd, port: number, { user, password }: Postgres): string =>
  `host=${TLS_NAME} hostaddr=127.0.0.1 port=${port} user=${user} password=${password} dbname=postgres ` +
  `sslmode=verify-full sslrootcert=${path.join(sshd.directory, 'ca.pem')}`;

async function openLine(target: number, delay: number): Promise<{ port: number; process: ChildProcess }> {
  const child = fork(new URL('delay-line.ts', import.meta.url), [String(target), String(delay)], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  const [message] = (await once(child, 'message')) as unknown[];
  return { port: z.object({ port: z.number() }).parse(message).port, process: child };
}
