import { readFileSync } from 'node:fs';
import pg from 'pg';
import { largeReadSocket } from './large-reads.ts';
import { PermanentError, SafeError, safeText } from '../mirror/errors.ts';
import { discard, LIFE_LIMITS, processOf, watchLife } from './sign-of-life.ts';

/** A way to open PostgreSQL connections, which is all that the rest of the export knows of where the rows come from. */
export type Source = {
  /** For messages: host, port and database, never a password. */
  name: string;
  connect: () => Promise<pg.Client>;
  /** Of a restored backup, after the first `connect`: its rows never change, so that every snapshot shows the same. */
  backup?: () => { id: number; createdAt: string } | undefined;
  close: () => Promise<void>;
};

const CONNECT_TIMEOUT_MS = 15_000;

/**
 * What every connection is set to, so that a value's text depends on the value alone. `row_security = off` makes a query
 * that a policy would filter fail, where the default would silently give fewer rows.
 */
const SESSION = `
  SET client_encoding = 'UTF8';
  SET TimeZone = 'UTC';
  SET DateStyle = 'ISO, YMD';
  SET IntervalStyle = 'iso_8601';
  SET extra_float_digits = 1;
  SET bytea_output = 'hex';
  SET xmloption = 'content';
  SET standard_conforming_strings = on;
  SET quote_all_identifiers = off;
  SET row_security = off;
  SET search_path = pg_catalog;
  SET statement_timeout = 0;
  SET lock_timeout = '30s';
  SET idle_in_transaction_session_timeout = 0;
  SET default_transaction_read_only = on;
  -- PostgreSQL 17's and 14's: where there are none, there is nothing to set
  SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('transaction_timeout', 'idle_session_timeout');
`;

/** A database that is reached by its URL: a replica, or one on this machine. TLS is verified unless the host is this machine. */
export function urlSource(url: string, applicationName: string, limits = LIFE_LIMITS): Source {
  const options = parseUrl(url);
  const name = `${options.host}:${options.port}/${options.database}`;
  const open = (told: (error: unknown) => Error): Promise<pg.Client> =>
    openClient(
      // Under TLS, the bytes come from the TLS stream, which has buffers of its own.
      { ...options, application_name: applicationName, ...(options.ssl === false && { stream: largeReadSocket }) },
      told,
    );
  return {
    name,
    connect: async () => {
      const client = await open((error) => connectError(error, name));
      watchLife(client, `PostgreSQL at ${name}`, () => open(asItIs), limits);
      return client;
    },
    close: async () => {},
  };
}

/** A connection set as every one is. Throws what `told` makes of the failure. */
export async function openClient(options: pg.ClientConfig, told: (error: unknown) => Error): Promise<pg.Client> {
  const client = new pg.Client({
    ...options,
    keepAlive: true,
    keepAliveInitialDelayMillis: 5000,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  // A connection that breaks while nobody waits for it must not end the process; its next use tells.
  client.on('error', () => {});
  try {
    await client.connect();
    await refusePooler(client);
    await client.query(patient(SESSION));
    return client;
  } catch (error) {
    await discard(client);
    throw told(error);
  }
}

const patient = (text: string): pg.QueryConfig & { query_timeout: number } => {
  return { text, query_timeout: CONNECT_TIMEOUT_MS };
};

/**
 * A pooler such as PgBouncer gives a session's settings to whoever has its backend next, and "read only" would stop an application's
 * writes. It begins each connection with a process number of its own, where PostgreSQL tells the backend's.
 */
async function refusePooler(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ pid: number }>(patient('SELECT pg_backend_pid() AS pid'));
  if (rows[0]?.pid === processOf(client)) return;
  throw new PermanentError(
    'a connection pooler answers there, which would hand the settings of the export on to other sessions. ' +
      'Next: connect to PostgreSQL itself',
  );
}

/** For who decides by the error itself. */
export const asItIs = (error: unknown): Error => (error instanceof Error ? error : new SafeError('could not connect'));

type ConnectionOptions = Pick<pg.ClientConfig, 'host' | 'port' | 'user' | 'password' | 'database' | 'ssl'>;

function parseUrl(url: string): ConnectionOptions {
  let parsed: URL;
  try {
    parsed = new URL(url);
    if (!/^postgres(?:ql)?:$/u.test(parsed.protocol)) throw new Error('another scheme');
    const user = decodeURIComponent(parsed.username) || 'postgres';
    // A unix socket's folder is given as ?host=/folder.
    // An IPv6 address stands in brackets in a URL, and nowhere else.
    const host = parsed.searchParams.get('host') ?? (parsed.hostname.replace(/^\[(.+)\]$/u, '$1') || 'localhost');
    return {
      host,
      port: Number(parsed.port || '5432'),
      user,
      password: decodeURIComponent(parsed.password),
      database: decodeURIComponent(parsed.pathname.slice(1)) || user,
      ssl: tlsOf(host, parsed.searchParams.get('sslmode'), parsed.searchParams.get('sslrootcert')),
    };
  } catch (error) {
    if (error instanceof PermanentError) throw error;
    // The parser's own text would repeat the URL, and with it the password.
    throw new PermanentError(
      'The source is not a PostgreSQL URL. Wanted: postgres://user:password@host:port/database[?sslmode=verify-full&sslrootcert=FILE]',
    );
  }
}

/** Verified TLS; plain only to this machine, or where the URL says `sslmode=disable` in so many words. */
function tlsOf(host: string, mode: string | null, rootCertificate: string | null): pg.ClientConfig['ssl'] {
  const local = ['localhost', '127.0.0.1', '::1'].includes(host) || host.startsWith('/');
  if (mode === 'disable' || (mode === null && local)) return false;
  if (mode === null || mode === 'verify-full') {
    return { rejectUnauthorized: true, ...(rootCertificate && { ca: certificateIn(rootCertificate) }) };
  }
  throw new PermanentError(
    `sslmode=${mode} does not verify the server. Allowed: verify-full (the default except on this machine), disable.`,
  );
}

function certificateIn(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new PermanentError(`sslrootcert=${file} cannot be read (${safeText(error)}). Next: name a PEM file.`);
  }
}

/** SQLSTATE or network code → what to do about it. Any other code is transient. */
const PERMANENT: Record<string, string> = {
  '28P01': 'the password was refused. Next: correct the user or the password of SOURCE_URL',
  '28000': 'the login was refused. Next: check the role, and that pg_hba.conf admits it (TLS?)',
  '3D000': 'the database does not exist. Next: correct the database name of SOURCE_URL',
  ENOTFOUND: 'the host name is unknown. Next: correct the host of SOURCE_URL',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed. Next: name its CA with sslrootcert=FILE',
  SELF_SIGNED_CERT_IN_CHAIN: 'its CA is unknown. Next: name it with sslrootcert=FILE',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its CA is unknown. Next: name it with sslrootcert=FILE',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name. Next: use the name that it is for',
};

function connectError(error: unknown, name: string): Error {
  if (error instanceof PermanentError) return new PermanentError(`PostgreSQL at ${name}: ${error.message}.`);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const known = PERMANENT[code];
  if (known) return new PermanentError(`PostgreSQL at ${name}: ${known}.`);
  if (code === 'ECONNREFUSED')
    return new SafeError(
      `PostgreSQL at ${name}: nothing listens there (ECONNREFUSED). Next: start it, or correct host and port.`,
    );
  if (error instanceof Error && /does not support SSL/u.test(error.message)) {
    return new PermanentError(
      `PostgreSQL at ${name} offers no TLS. Next: turn it on, or say sslmode=disable where the network is trusted.`,
    );
  }
  if (error instanceof Error && /^SASL: .* client password must be/u.test(error.message)) {
    return new PermanentError(`PostgreSQL at ${name}: it asks for a password. Next: put one into SOURCE_URL.`);
  }
  const isLate = error instanceof Error && error.message === 'timeout expired';
  const how = isLate ? ' within 15 s' : code ? ` (${code})` : '';
  return new SafeError(`PostgreSQL at ${name}: could not connect${how}. Next: check host, port and network.`);
}

/** SQLSTATE classes whose texts name objects and settings, never a row's value. */
const TELLING_CLASSES = ['08', '0A', '25', '28', '3D', '3F', '42', '53', '54', '55', '57', '58'];

/** character_not_in_repertoire, untranslatable_character: trying again would meet the same row. */
const NOT_UTF8 = ['22021', '22P05'];

/** A PostgreSQL error as far as it may be told. Rights and missing objects are permanent: waiting does not mend them. */
export function queryError(error: unknown, doing: string): Error {
  if (error instanceof SafeError || error instanceof PermanentError) return error;
  if (!(error instanceof pg.DatabaseError)) {
    if (isBroken(error)) return new SafeError(`PostgreSQL, ${doing}: the connection broke`, { cause: error });
    return new SafeError(`${doing}: ${safeText(error)}`, { cause: error });
  }
  const code = error.code ?? 'no SQLSTATE';
  if (NOT_UTF8.includes(code)) {
    return new PermanentError(
      `PostgreSQL, ${doing}: some text is not UTF-8 or has no counterpart there (SQLSTATE ${code}). Next: correct the rows ` +
        '(a database of encoding SQL_ASCII keeps any bytes), or leave the column out (columns: except)',
    );
  }
  // out_of_memory, which the file tells from that of one process alone.
  if (code === '53200' && error.file === 'lock.c') {
    return new SafeError(
      `PostgreSQL, ${doing}: ${error.message} (SQLSTATE ${code}). Every mirrored table and each of its indexes takes a lock until ` +
        'the export ends. Next: raise max_locks_per_transaction on that server, or mirror fewer tables',
    );
  }
  const text = TELLING_CLASSES.includes(code.slice(0, 2)) ? `: ${error.message}` : '';
  const message = `PostgreSQL, ${doing}${text} (SQLSTATE ${code})`;
  return code.startsWith('42') ? new PermanentError(message) : new SafeError(message);
}

/** pg's own texts for a connection that has ended, and the operating system's codes. */
function isBroken(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const isOurs = /^(?:Connection terminated|Client was closed|Client has encountered)/u.test(error.message);
  return isOurs || ('code' in error && /^E[A-Z]+$/u.test(String(error.code)));
}
