import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import ssh2, { type Channel } from 'ssh2';
import { PermanentError, SafeError } from '../../mirror/errors.ts';
import { LIFE_LIMITS, watchLife, type LifeLimits } from '../sign-of-life.ts';
import { asItIs, openClient } from '../source.ts';
import type { Api } from './answers.ts';
import { PORTAL, requestPortalConnection, type Account, type Credential, type Stack } from './api.ts';
import { certificateBlob } from './certificate.ts';
import { openSession, type Session } from './session.ts';

/** PostgreSQL connections to the restored database, over a few SSH sessions, each with TLS inside. */

export type TunnelTarget = {
  account: Account;
  stack: Stack;
  credential: Credential;
  sessions: number;
  tlsName: string | undefined;
  applicationName: string;
};

export type Tunnel = { connect: () => Promise<pg.Client>; close: () => Promise<void> };

/** How long a portal may be silent, and a database; and the pauses in which a portal that is away is tried again. */
export type Patience = { silenceMs?: number; pausesMs?: readonly number[]; life?: LifeLimits };

/** Each try has a key and a certificate of its own. */
const PAUSES_MS = [1000, 4000, 10_000];

export function openTunnel(api: Api, target: TunnelTarget, patience: Patience = {}): Tunnel {
  const { silenceMs, pausesMs = PAUSES_MS, life = LIFE_LIMITS } = patience;
  const database = databaseOf(target);
  const slots: (Promise<Session> | undefined)[] = Array.from({ length: target.sessions });
  let next = 0;
  let closed = false;

  const sessionIn = async (slot: number): Promise<Session> => {
    const held = slots[slot];
    const session = await held?.catch(() => undefined);
    if (session && !session.ending()) return session;
    // Several may find it ended at once: the first one opens the next.
    if (slots[slot] === held) slots[slot] = openPatiently();
    const opening = slots[slot] ?? openPatiently();
    return opening;
  };

  const openPatiently = async (): Promise<Session> => {
    for (let attempt = 0; ; attempt++) {
      if (closed) throw new SafeError('The tunnel was closed');
      try {
        const session = await newSession(api, target, silenceMs);
        if (!closed) return session;
        session.close();
      } catch (error) {
        const pause = pausesMs[attempt];
        if (error instanceof PermanentError || pause === undefined) throw error;
        await sleep(pause);
      }
    }
  };

  const open = async (told: (error: unknown, ending: Error | undefined) => Error): Promise<pg.Client> => {
    const slot = next++ % slots.length;
    for (let attempt = 1; ; attempt++) {
      const session = await sessionIn(slot);
      try {
        const channel = await session.forward();
        return await openClient(
          {
            ...database.login,
            ssl: database.ssl,
            stream: () => asSocket(channel),
            application_name: target.applicationName,
          },
          (error) => told(error, session.ending()),
        );
      } catch (error) {
        // That an open session had broken is often found only now.
        if (!session.ending() || attempt === 3) throw error;
      }
    }
  };

  return {
    connect: async () => {
      const client = await open((error, ending) => connectError(error, database.name, ending));
      watchLife(client, behindPortal(database.name), () => open(asItIs), life);
      return client;
    },
    close: async () => {
      closed = true;
      const opened = await Promise.allSettled(slots.filter((slot) => slot !== undefined));
      for (const slot of opened) if (slot.status === 'fulfilled') slot.value.close();
    },
  };
}

/** A tunnel's operation, a throw-away key with its certificate, and the session that they are for. */
async function newSession(api: Api, { stack, credential }: TunnelTarget, silenceMs?: number): Promise<Session> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: 3072,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  const parsed = ssh2.utils.parseKey(privateKey);
  if (parsed instanceof Error) throw new PermanentError('The session key that was just made cannot be read by ssh2');
  const publicKey = `ssh-rsa ${parsed.getPublicSSH().toString('base64')} commons-mirror`;
  const connection = await requestPortalConnection(api, credential, publicKey);
  return openSession(
    {
      host: stack.ssh_portal_host,
      port: stack.ssh_portal_port,
      hostKey: stack.ssh_host_rsa_public_key,
      user: connection.ssh_user,
      key: { privateKey, certificate: certificateBlob(connection.ssh_certificate_body) },
      accessToken: await api.token(),
      socket: connection.ssh_port_forward_socket,
    },
    silenceMs,
  );
}

/** What pg calls on a socket and an SSH channel does not have. */
function asSocket(channel: Channel): Channel {
  // The portal's half of the connection ends when the database's does; without the other half's end, pg would wait for ever.
  channel.on('end', () => channel.end());
  channel.on('error', () => {});
  const itself = (): Channel => channel;
  return Object.assign(channel, {
    connect: () => {
      process.nextTick(() => channel.emit('connect'));
      return channel;
    },
    setNoDelay: itself,
    setKeepAlive: itself,
    ref: itself,
    unref: itself,
  });
}

type Login = Pick<pg.ClientConfig, 'host' | 'user' | 'password' | 'database'>;

/** Where and how to log in; throws without the CA, since without it any server would do. */
function databaseOf({ account, stack, credential, tlsName }: TunnelTarget): {
  name: string;
  login: Login;
  ssl: pg.ClientConfig['ssl'];
} {
  if (!account.ca_body) {
    throw new PermanentError(
      `Aptible gives no CA for the environment ${account.handle}; without it the database's certificate cannot be verified`,
    );
  }
  const name = tlsName ?? PORTAL.tlsName(stack);
  const { user, password, database } = readUrl(credential.connection_url);
  return {
    name,
    login: { host: name, user, password, database },
    ssl: { ca: account.ca_body, rejectUnauthorized: true, servername: name },
  };
}

function readUrl(text: string): { user: string; password: string; database: string } {
  const url = URL.parse(text);
  if (!url || !/^postgres(?:ql)?:$/u.test(url.protocol)) {
    // Its own text would repeat the password.
    throw new PermanentError(
      "Aptible's default credential is not a PostgreSQL URL. Next: check source.database in mirror.yaml",
    );
  }
  return {
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)),
  };
}

/** SQLSTATE or TLS's code: what waiting does not mend. */
const PERMANENT: Record<string, string> = {
  '28P01':
    'the password of the backed-up database was refused. Next: check that its default credential is the present one',
  '28000': 'the log-in was refused',
  '3D000': 'the database that the credential names does not exist in the backup',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name. Next: set source.tlsName in mirror.yaml',
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is not signed by the environment's CA",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is not signed by the environment's CA",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is not signed by the environment's CA",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its certificate is not signed by the environment's CA",
  CERT_SIGNATURE_FAILURE: "its certificate is not signed by the environment's CA",
  CERT_HAS_EXPIRED: 'its certificate has expired',
};

const behindPortal = (name: string): string => `PostgreSQL behind the portal (${name})`;

function connectError(error: unknown, name: string, ending: Error | undefined): Error {
  if (ending) return ending;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const known = PERMANENT[code];
  const what = behindPortal(name);
  if (known) return new PermanentError(`${what}: ${known}.`);
  if (error instanceof Error && /does not support SSL/u.test(error.message)) {
    return new PermanentError(`${what} offers no TLS; nothing is read without it.`);
  }
  return new SafeError(`${what}: could not connect${/^[\w-]{1,40}$/u.test(code) ? ` (${code})` : ''}.`);
}
