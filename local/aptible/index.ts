import { randomBytes } from 'node:crypto';
import { serve } from '../http.ts';
import { noFaults, type Faults } from './faults.ts';
import { openPortal, type Portal } from './portal.ts';
import { apiRoutes, authRoutes, type Access } from './routes.ts';
import { issueCertificate, makeUserAuthority } from './ssh-certificate.ts';
import type { Volumes } from './volumes.ts';
import { makeWorld, type World } from './world.ts';
import { makeAuthority } from '../x509.ts';

/**
 * Aptible on this machine: log-in, API and SSH portal, over real PostgreSQL servers that are restored from a real cluster's
 * files. One environment with one database, which itself is never started.
 */
export type LocalAptible = {
  /** What the export's environment needs to reach it. */
  environment: Record<`APTIBLE_${string}`, string>;
  access: Access;
  faults: Faults;
  world: World;
  portal: Portal;
  tlsName: string;
  /** Every access token that was given out. */
  tokens: () => string[];
  close: () => Promise<void>;
};

export const ENVIRONMENT = 'commons-production';
export const DATABASE = 'commons';
const INTERNAL_DOMAIN = 'local-stack.aptible.internal';

export type LocalAptibleOptions = {
  volumes: Volumes;
  queuedMs?: number;
  /** Handles of the environment and of its database. */
  environment?: string;
  database?: string;
};

export async function openLocalAptible({
  volumes,
  queuedMs = 20,
  environment = ENVIRONMENT,
  database: databaseHandle = DATABASE,
}: LocalAptibleOptions): Promise<LocalAptible> {
  const faults = noFaults();
  const access = {
    username: 'robot@commons.example',
    password: randomBytes(12).toString('base64url'),
    oneTimePassword: '123456',
  };
  const [authority, otherAuthority] = [makeAuthority('Commons local CA'), makeAuthority('Another CA')];
  const [users, otherUsers] = [makeUserAuthority(), makeUserAuthority()];
  const tlsName = `localhost.${INTERNAL_DOMAIN}`;
  const world = makeWorld({ volumes, faults, authority, tlsName, queuedMs });
  const account = { id: world.nextId(), handle: environment };
  world.accounts.push(account);
  const database = world.addDatabase(databaseHandle, account, 'provisioned');
  world.addBackup(database, { createdAt: new Date(Date.now() - 3600_000) });

  const tokens = authRoutes(access, faults);
  const ways = new Map<string, { user: string; socket: string; database: number }>();
  const portal = await openPortal({
    authority: users,
    faults,
    isToken: tokens.accepts,
    lookUp: (user, socket) => {
      const way = ways.get(user);
      return way?.socket === socket ? world.databases.get(way.database)?.running?.port : undefined;
    },
  });
  const stack = {
    id: 1,
    name: 'local-stack',
    ssh_portal_host: '127.0.0.1',
    ssh_portal_port: portal.port,
    ssh_host_rsa_public_key: portal.hostKey,
    internal_domain: INTERNAL_DOMAIN,
  };
  const connect = (to: { id: number }, publicKey: string): object => {
    const serial = world.nextId();
    const user = `tunnel-${serial}`;
    const socket = `/var/run/aptible/tunnel-${serial}.sock`;
    ways.set(user, { user, socket, database: to.id });
    const [from, until] = validity(faults);
    return {
      ssh_user: user,
      ssh_certificate_body: issueCertificate(faults.certificate === 'other authority' ? otherUsers : users, {
        publicKey,
        principal: faults.certificate === 'other user' ? 'somebody-else' : user,
        from,
        until,
        serial,
      }),
      ssh_port_forward_socket: socket,
      ssh_pty: false,
    };
  };
  const ca = (): string => (faults.authority === 'right' ? authority : otherAuthority).certificate;
  const [auth, api] = await Promise.all([
    serve(tokens.handler),
    serve(apiRoutes({ world, faults, tokens, stack, ca, connect })),
  ]);
  return {
    environment: {
      APTIBLE_AUTH_ROOT_URL: auth.url,
      APTIBLE_API_ROOT_URL: api.url,
      APTIBLE_USERNAME: access.username,
      APTIBLE_PASSWORD: access.password,
    },
    access,
    faults,
    world,
    portal,
    tlsName,
    tokens: tokens.given,
    close: async () => {
      await Promise.all([auth.close(), api.close(), portal.close()]);
      await world.close();
    },
  };
}

function validity({ certificate }: Faults): [from: Date, until: Date] {
  const now = Date.now();
  const minute = 60_000;
  if (certificate === 'expired') return [new Date(now - 20 * minute), new Date(now - 10 * minute)];
  if (certificate === 'not yet') return [new Date(now + 10 * minute), new Date(now + 20 * minute)];
  return [new Date(now - minute), new Date(now + 10 * minute)];
}
