import { fork, spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeUserAuthority, rsaBlob, type UserAuthority } from '../../local/aptible/ssh-certificate.ts';

/** OpenSSH's own server as a portal: it trusts a user CA, runs a shell that says when it is ready, and forwards a socket. */
export type Sshd = {
  port: number;
  hostKey: string;
  user: string;
  authority: UserAuthority;
  socket: string;
  directory: string;
  /** Of its sessions that are open. */
  sessions: () => Promise<number[]>;
  close: () => Promise<void>;
};

/** Where Debian, Fedora and macOS have it. Undefined where OpenSSH's server is not installed. */
export const SSHD = ['/usr/sbin/sshd', '/usr/bin/sshd'].find((file) => existsSync(file));

/** Starts a server whose sessions may forward to `databasePort` of loopback. */
export async function startSshd(databasePort: number): Promise<Sshd> {
  if (SSHD === undefined) throw new Error('OpenSSH server is not installed');
  const directory = await mkdtemp(path.join(tmpdir(), 'sshd-'));
  await chmod(directory, 0o755);
  const at = (name: string): string => path.join(directory, name);
  const authority = makeUserAuthority();
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 3072 });
  await writeFile(at('host_key'), privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 });
  await writeFile(at('user_ca.pub'), `ssh-rsa ${authority.blob.toString('base64')}\n`);
  await writeFile(at('ready'), '#!/bin/sh\ntest -n "$ACCESS_TOKEN" || exit 1\necho ready\nexec sleep 3600\n', {
    mode: 0o755,
  });
  const socket = at('database.sock');
  const forwarder = fork(new URL('forwarder.ts', import.meta.url), [socket, String(databasePort)], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  await once(forwarder, 'message');
  await chmod(socket, 0o777);
  const port = await freePort();
  const config = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${at('host_key')}`,
    `TrustedUserCAKeys ${at('user_ca.pub')}`,
    'AuthorizedKeysFile none',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PermitRootLogin prohibit-password',
    'UsePAM no',
    'StrictModes no',
    'AcceptEnv ACCESS_TOKEN',
    'AllowStreamLocalForwarding yes',
    `ForceCommand ${at('ready')}`,
    'PidFile none',
    'PrintMotd no',
  ];
  await writeFile(at('sshd_config'), `${config.join('\n')}\n`);
  // As root it separates privileges by this directory, which a package's start script would make.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true });
  const server = spawn(SSHD, ['-D', '-e', '-f', at('sshd_config')], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  server.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const close = async (): Promise<void> => {
    await end(server);
    await ended(forwarder);
    await rm(directory, { recursive: true, force: true });
  };
  for (let waited = 0; !log.includes('Server listening'); waited += 20) {
    if (server.exitCode !== null || waited > 10_000) {
      await close();
      throw new Error(`sshd did not start: ${log}`);
    }
    await sleep(20);
  }
  return {
    port,
    hostKey: `ssh-rsa ${rsaBlob(publicKey).toString('base64')}`,
    user: userInfo().username,
    authority,
    socket,
    directory,
    sessions: () => childrenOf(server.pid ?? 0),
    close,
  };
}

/** It serves each session in a child of its own, which outlives it. */
async function end(server: ChildProcess): Promise<void> {
  for (const pid of await childrenOf(server.pid ?? 0)) process.kill(pid, 'SIGKILL');
  await ended(server);
}

export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

export async function childrenOf(pid: number): Promise<number[]> {
  const ps = spawn('ps', ['-e', '-o', 'pid=,ppid='], { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  ps.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(ps, 'close');
  const pairs = text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/u).map(Number));
  const children = (of: number): number[] =>
    pairs.flatMap(([child = 0, parent]) => (parent === of ? [child, ...children(child)] : []));
  return children(pid);
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
