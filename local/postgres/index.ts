import { once } from 'node:events';
import { realpath, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { serverAccount } from './account.ts';
import { findBinaries } from './binaries.ts';
import { admit, openCluster } from './cluster.ts';
import { choosePlace } from './place.ts';
import { type Launch, launch } from './server.ts';
import { StartError } from './start-error.ts';

export type PostgresOptions = {
  /** Where the cluster, its password and its log live; made if absent, found again by the next start. */
  directory: string;
  /** 0 or absent: any free port. */
  port?: number;
  /** Server settings over the defaults below, as in postgresql.conf. */
  settings?: Record<string, string>;
  /** PEM. With it, only TLS connections are let in. */
  tls?: { key: string; cert: string };
  /** The file for the server's log of this start; without it `postgres.log` in the directory. */
  log?: string;
};

export type Postgres = {
  /** Of the maintenance database, with the password. It says nothing of TLS: the client brings the CA and the name. */
  url: string;
  port: number;
  user: string;
  password: string;
  /** Holds `.s.PGSQL.<port>`. Nobody is let in here when `tls` is set: a socket cannot speak it. */
  socketDirectory: string;
  /** Resolves when none of its processes is left. `fast` ends the sessions and closes the cluster, `immediate` crashes it. */
  stop: (mode?: 'fast' | 'immediate') => Promise<void>;
};

// What the cluster holds can be made again, so speed is worth more than surviving a power cut. A killed server loses nothing.
const DEFAULT_SETTINGS = {
  fsync: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  timezone: 'UTC',
  log_timezone: 'UTC',
};

/**
 * Runs a real PostgreSQL server on loopback, with the programs that npm installed. It ends with this process, however this
 * process ends. Rejects with `StartError`, which carries the end of the server's log and what to do.
 */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const account = await serverAccount(options.directory);
  const place = await choosePlace(options.directory, account);
  const { initdb, postgres } = await findBinaries(place, account);
  const { data, password } = await openCluster(place, initdb, account);
  const settings = { ...DEFAULT_SETTINGS, ...options.settings, ...(await admit(data, options.tls, account)) };
  const log = options.log ?? join(place, 'postgres.log');
  const { port, stop } = await launchPatiently({ postgres, data, settings, log, account }, options.port ?? 0);
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  return {
    url,
    port,
    user: 'postgres',
    password,
    socketDirectory: data,
    stop: async (mode) => {
      await stop(mode);
      // What stands in for the directory elsewhere is nobody's to find and to clear away.
      if (place !== (await realpath(options.directory))) await rm(place, { recursive: true, force: true });
    },
  };
}

/** Tries again what passes by itself: a port lost to another program, and the last server's end after a kill -9. */
async function launchPatiently(what: Launch, port: number) {
  const deadline = Date.now() + 3000;
  while (true) {
    try {
      return await launch(what, port || (await freePort()));
    } catch (error) {
      const passing =
        error instanceof StartError && (error.fault === 'in use' || (error.fault === 'port taken' && !port));
      if (!passing || Date.now() > deadline) throw error;
      await sleep(100);
    }
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string')
    throw new Error(`Expected a TCP address, got ${String(address)}`);
  return address.port;
}
