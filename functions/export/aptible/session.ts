import ssh2, { type Channel, type Client, type ClientChannel } from 'ssh2';
import { PermanentError, SafeError } from '../../mirror/errors.ts';
import { PORTAL } from './api.ts';
import { certificateAgent, certificateFacts, useCertificate, type UserKey } from './certificate.ts';
import { keepDecipherKey } from './decipher.ts';
import { internalsOf } from './internals.ts';
import { widenWindow } from './window.ts';

/** One SSH session with the portal: host key pinned, certificate shown, the shell's word that it may forward. */

export type SessionTarget = {
  host: string;
  port: number;
  /** The stack's RSA host key, as a line of an authorized_keys file. */
  hostKey: string;
  user: string;
  key: UserKey;
  accessToken: string;
  socket: string;
};

export type Session = {
  /** A new connection to the database's socket. */
  forward: () => Promise<Channel>;
  /** Why the session has ended; undefined while it lives. */
  ending: () => Error | undefined;
  close: () => void;
};

/** Silence for so long, although it is asked for a sign of life every few seconds, and the portal counts as frozen. */
const SILENCE_MS = 15_000;
const ASK_EVERY_MS = 4_000;
const READY_LIMIT_MS = 20_000;
/** The portal starts a container before it says that it is ready. */
const SHELL_LIMIT_MS = 120_000;
const FORWARD_LIMIT_MS = 20_000;

export async function openSession(target: SessionTarget, silenceMs = SILENCE_MS): Promise<Session> {
  const pinned = hostKeyBlob(target.hostKey);
  const where = `The SSH portal ${target.host}:${target.port}`;
  const client = new ssh2.Client();
  let ending: Error | undefined;
  let otherHostKey = false;
  const gone = Promise.withResolvers<never>();
  // Whoever waits at that moment hears of it; nobody has to.
  gone.promise.catch(() => {});
  const end = (why: Error): void => {
    ending ??= why;
    clearInterval(watch);
    gone.reject(ending);
    client.destroy();
  };
  client.on('error', (error) => end(otherHostKey ? hostKeyError(where) : sessionError(where, error, target)));
  client.on('close', () => end(new SafeError(`${where} closed the session`)));
  const watch = watchSilence(client, silenceMs, () =>
    end(new SafeError(`${where} has been silent for ${silenceMs / 1000} s; the session was given up`)),
  );

  const ready = new Promise<void>((resolve) => void client.once('ready', resolve));
  client.connect({
    host: target.host,
    port: target.port,
    username: target.user,
    agent: certificateAgent(target.key),
    authHandler: ['agent'],
    hostVerifier: (blob: Buffer) => {
      otherHostKey = !blob.equals(pinned);
      return !otherHostKey;
    },
    algorithms: {
      serverHostKey: [...PORTAL.hostKeyAlgorithms],
      cipher: [...PORTAL.ciphers],
      compress: ['none'],
    },
    readyTimeout: READY_LIMIT_MS,
    // Asked for as a sign of life only: any byte that arrives is one, also where the answer waits behind much data.
    keepaliveInterval: Math.min(ASK_EVERY_MS, silenceMs / 3),
    keepaliveCountMax: Number.MAX_SAFE_INTEGER,
  });
  useCertificate(client);
  keepDecipherKey(client);
  // Nagle's algorithm against window updates: without this a transfer stalls.
  client.setNoDelay(true);
  try {
    await Promise.race([ready, gone.promise]);
    await Promise.race([openShell(client, target, where, end), gone.promise]);
  } catch (error) {
    end(error instanceof Error ? error : new SafeError(`${where} failed`));
    throw error;
  }
  return {
    forward: async () => {
      if (ending) throw ending;
      return Promise.race([forward(client, target.socket, where), gone.promise]);
    },
    ending: () => ending,
    close: () => {
      client.end();
      end(new SafeError('The session was closed'));
    },
  };
}

/** The shell that lets the session forward. Resolves with its first line; its end is the session's. */
async function openShell(
  client: Client,
  { accessToken }: SessionTarget,
  where: string,
  end: (why: Error) => void,
): Promise<void> {
  let isReady = false;
  const ready = Promise.withResolvers<void>();
  // At once: its exit may be in the same packet as the shell itself.
  const attach = (shell: ClientChannel): void => {
    shell.on('exit', (code: number | null) => {
      const lived = isReady ? 'the session' : 'the session, before it was ready';
      const isOver = code === PORTAL.lifetimeExit;
      const why = isOver ? ': its lifetime is over' : ` (exit ${code ?? 'by a signal'})`;
      end(new SafeError(`${where} ended ${lived}${why}`));
    });
    shell.on('close', () => end(new SafeError(`${where} closed the shell`)));
    shell.on('error', () => {});
    // What it says may quote anything; only that it says something counts.
    shell.stderr.resume();
    shell.on('data', (chunk: Buffer) => {
      isReady ||= chunk.includes(0x0a);
      if (isReady) ready.resolve();
    });
  };
  await called<ClientChannel>(`${where} did not open a shell`, READY_LIMIT_MS, (done) =>
    client.shell(false, { env: { [PORTAL.tokenVariable]: accessToken } }, (error, shell) => {
      if (!error) attach(shell);
      done(error, shell);
    }),
  );
  await within(`${where} did not say that it is ready`, SHELL_LIMIT_MS, ready.promise);
}

async function forward(client: Client, socket: string, where: string): Promise<Channel> {
  const channel = await called<Channel>(`${where} did not forward`, FORWARD_LIMIT_MS, (done) =>
    client.openssh_forwardOutStreamLocal(socket, done),
  );
  widenWindow(client, channel);
  return channel;
}

/** An ssh2 call with a callback, with a limit. The callback never throws: ssh2's decryption would break. */
function called<T>(
  fault: string,
  limitMs: number,
  call: (done: (error: Error | undefined, value: T) => void) => void,
): Promise<T> {
  const answer = new Promise<T>((resolve, reject) => {
    call((error, value) => (error ? reject(new SafeError(fault, { cause: error })) : resolve(value)));
  });
  return within(fault, limitMs, answer);
}

async function within<T>(fault: string, limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new SafeError(`${fault} within ${limitMs / 1000} s`)), limitMs);
    // The socket keeps the process alive; a session that has ended must not.
    timer.unref();
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function watchSilence(client: Client, silenceMs: number, onSilence: () => void): NodeJS.Timeout {
  let seen = 0;
  let since = Date.now();
  let looked = since;
  return setInterval(() => {
    const now = Date.now();
    const bytes = '_sock' in client && client._sock ? internalsOf(client)._sock.bytesRead : 0;
    // This process stood still, not the portal.
    const stoodStill = now - looked > silenceMs / 2;
    looked = now;
    if (bytes !== seen || stoodStill) {
      seen = bytes;
      since = now;
    } else if (now - since > silenceMs) onSilence();
  }, silenceMs / 15);
}

/** The key's own bytes, as the portal sends them. */
function hostKeyBlob(line: string): Buffer {
  const key = ssh2.utils.parseKey(line);
  if (key instanceof Error || key.type !== 'ssh-rsa') {
    throw new PermanentError('Aptible gives no RSA host key for the SSH portal; without it no connection is made');
  }
  return key.getPublicSSH();
}

const hostKeyError = (where: string): Error =>
  new PermanentError(
    `${where} shows another host key than the one that Aptible's API gives for its stack. Nothing was sent. ` +
      'Next: ask Aptible whether the key has changed; somebody may be in between',
  );

function sessionError(where: string, error: Error & { level?: string; code?: unknown }, target: SessionTarget): Error {
  if (error.level === 'client-authentication') return refused(where, target);
  const code = typeof error.code === 'string' && /^E[A-Z]+$/u.test(error.code) ? ` (${error.code})` : '';
  if (error.level === 'client-timeout')
    return new SafeError(`${where} did not answer within ${READY_LIMIT_MS / 1000} s`);
  return new SafeError(`${where}: the connection broke${code}`);
}

/** A server does not say why it refuses; the certificate often does. */
function refused(where: string, { user, key }: SessionTarget): Error {
  const facts = certificateFacts(key.certificate);
  const now = new Date();
  if (facts && facts.until <= now) {
    return new SafeError(`${where} refused the certificate: it expired at ${facts.until.toISOString()}`);
  }
  if (facts && facts.from > now) {
    return new PermanentError(
      `${where} refused the certificate: it is valid from ${facts.from.toISOString()} only. Next: check this machine's clock`,
    );
  }
  if (facts && !facts.principals.includes(user)) {
    return new PermanentError(
      `${where} refused the certificate: it is for ${facts.principals.join(', ') || 'nobody'}, not for the user ${user}`,
    );
  }
  return new PermanentError(`${where} refused the certificate: it does not trust the authority that signed it`);
}
