import type { Socket } from 'node:net';
import pg from 'pg';
import { SafeError } from '../mirror/errors.ts';

/**
 * Whether what one waits for may still come. A database that has stopped, or a path that has swallowed the connection, sends
 * nothing; so does a query whose first row is an hour away, and no TCP keepalive tells the two apart, since whatever stands in
 * between answers it. So after some silence a second connection asks the server what the first one's backend is doing.
 */

export type LifeLimits = { silenceMs: number; probeMs: number };

/** Together below the 30 seconds within which a break is to be noticed. */
export const LIFE_LIMITS: LifeLimits = { silenceMs: 10_000, probeMs: 10_000 };

/**
 * Watches a connection until it ends. Destroys it, which fails its query with a SafeError, when it has been silent for
 * `silenceMs` while a query is under way and the bytes are wanted, and `probe`, a new connection to the same server, cannot be
 * had within `probeMs` or tells that the backend waits for nothing but us. A connection that is being ended is not probed.
 */
export function watchLife(client: pg.Client, name: string, probe: () => Promise<pg.Client>, limits: LifeLimits): void {
  const { silenceMs, probeMs } = limits;
  const period = silenceMs / 5;
  let bytes = 0;
  let since = Date.now();
  let looked = since;
  let probing = false;
  const look = async (): Promise<void> => {
    const now = Date.now();
    // This process stood still, not the database.
    const stoodStill = now - looked > period + silenceMs / 2;
    looked = now;
    const stream = streamOf(client);
    const isWaiting = stateOf(client) !== 'idle' && !stream.isPaused();
    if (!isWaiting || stoodStill || stream.bytesRead !== bytes) {
      bytes = stream.bytesRead;
      since = now;
      return;
    }
    if (probing || now - since < silenceMs) return;
    probing = true;
    const why = stateOf(client) === 'ending' ? 'it does not end' : await whyDead(client, probe, probeMs);
    probing = false;
    since = Date.now();
    if (why === undefined || stream.bytesRead !== bytes || stream.isPaused()) return;
    clearInterval(timer);
    stream.destroy(new SafeError(`${name} has sent nothing for ${silenceMs / 1000} s, and ${why}: it was given up`));
  };
  const timer = setInterval(() => void look(), period);
  timer.unref();
  client.once('end', () => clearInterval(timer));
}

/** Undefined where the backend is at work, or where nobody can tell. */
async function whyDead(
  client: pg.Client,
  probe: () => Promise<pg.Client>,
  limitMs: number,
): Promise<string | undefined> {
  const late = Promise.withResolvers<never>();
  late.promise.catch(() => {});
  const timer = setTimeout(() => late.reject(new SafeError('late')), limitMs);
  const opening = probe();
  try {
    const other = await Promise.race([opening, late.promise]);
    const asking = other.query<{ state: string | null; event: string | null }>(
      'SELECT state, wait_event AS event FROM pg_stat_activity WHERE pid = $1',
      [processOf(client)],
    );
    const { rows } = await Promise.race([asking, late.promise]);
    const [backend] = rows;
    if (!backend) return 'its backend is gone';
    if (backend.state === 'active' && backend.event !== 'ClientWrite') return undefined;
    return backend.event === 'ClientWrite' ? 'what its backend sends does not arrive' : 'its backend has sent all';
  } catch (error) {
    // The server answers, if only with a refusal.
    if (error instanceof pg.DatabaseError) return undefined;
    return 'its server takes no new connection';
  } finally {
    clearTimeout(timer);
    opening.then(discard, () => {});
  }
}

const GOODBYE_MS = 1000;

/** Ends a connection whose server may never answer. */
export async function discard(client: pg.Client): Promise<void> {
  const timer = setTimeout(() => streamOf(client).destroy(), GOODBYE_MS);
  await client.end().catch(() => {});
  clearTimeout(timer);
}

function stateOf(client: pg.Client): 'idle' | 'busy' | 'ending' {
  if ('_ending' in client && client._ending === true) return 'ending';
  return 'readyForQuery' in client && client.readyForQuery === true ? 'idle' : 'busy';
}

/** The number of the backend, as the server told it at the start. */
export const processOf = (client: pg.Client): number => ('processID' in client ? Number(client.processID) : 0);

/** The TLS stream where there is one: what a COPY pauses. */
function streamOf(client: pg.Client): Socket {
  const { connection } = client as pg.Client & { connection: pg.Connection & { stream: Socket } };
  return connection.stream;
}
