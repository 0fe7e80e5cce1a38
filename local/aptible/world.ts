import { setTimeout as sleep } from 'node:timers/promises';
import type { Faults } from './faults.ts';
import type { Authority } from '../x509.ts';
import type { Running, Volumes } from './volumes.ts';

/** What there is on the local Aptible, and what its operations do to it. */

export type Account = { id: number; handle: string };
export type Database = {
  id: number;
  handle: string;
  account: Account;
  status: string;
  credential: number;
  running: Running | undefined;
  /** Its operations run one after the other. */
  queue: Promise<void>;
};
export type Backup = {
  id: number;
  database: Database;
  createdAt: Date;
  manual: boolean;
  copiedFrom: number | undefined;
  madeBy: number | undefined;
  purged: boolean;
};
export type Operation = {
  id: number;
  type: string;
  status: 'queued' | 'running' | 'succeeded' | 'failed';
  handle: string | undefined;
  createdAt: Date;
  on: { kind: 'databases' | 'backups' | 'database_credentials'; id: number };
  /** Its resource is gone, and so is it. */
  gone: boolean;
  /** Why it failed: what a person would read in its log. */
  why: unknown;
};

export type World = {
  accounts: Account[];
  databases: Map<number, Database>;
  deleted: Map<number, Database>;
  backups: Map<number, Backup>;
  operations: Map<number, Operation>;
  nextId: () => number;
  operate: (type: string, on: Operation['on'], more: { handle?: string; account?: Account }) => Operation;
  addDatabase: (handle: string, account: Account, status: string) => Database;
  addBackup: (database: Database, more?: Partial<Backup>) => Backup;
  /** Ends every server that is left. */
  close: () => Promise<void>;
};

export type WorldOptions = {
  volumes: Volumes;
  faults: Faults;
  authority: Authority;
  tlsName: string;
  /** How long an operation is queued before it runs. */
  queuedMs: number;
};

export function makeWorld({ volumes, faults, authority, tlsName, queuedMs }: WorldOptions): World {
  let last = 1000;
  let closing = false;
  const nextId = (): number => ++last;
  const world: World = {
    accounts: [],
    databases: new Map(),
    deleted: new Map(),
    backups: new Map(),
    operations: new Map(),
    nextId,
    operate,
    addDatabase,
    addBackup,
    close: async () => {
      closing = true;
      await Promise.allSettled(pending);
      for (const { running } of world.databases.values()) await running?.stop();
    },
  };
  const pending = new Set<Promise<void>>();
  return world;

  function addDatabase(handle: string, account: Account, status: string): Database {
    const database = {
      id: nextId(),
      handle,
      account,
      status,
      credential: nextId(),
      running: undefined,
      queue: Promise.resolve(),
    };
    world.databases.set(database.id, database);
    return database;
  }

  function addBackup(database: Database, more: Partial<Backup> = {}): Backup {
    const backup = {
      id: nextId(),
      database,
      createdAt: new Date(),
      manual: false,
      copiedFrom: undefined,
      madeBy: undefined,
      purged: false,
      ...more,
    };
    world.backups.set(backup.id, backup);
    return backup;
  }

  function operate(type: string, on: Operation['on'], more: { handle?: string; account?: Account }): Operation {
    const operation: Operation = {
      id: nextId(),
      type,
      status: 'queued',
      handle: more.handle,
      createdAt: new Date(),
      on,
      gone: false,
      why: undefined,
    };
    world.operations.set(operation.id, operation);
    if (type === 'tunnel') {
      // Created as succeeded: there is nothing to run.
      operation.status = 'succeeded';
      return operation;
    }
    const database = world.databases.get(on.id);
    const before = database?.queue ?? Promise.resolve();
    const work = before.then(() => run(operation, more));
    if (database) database.queue = work;
    pending.add(work);
    void work.finally(() => pending.delete(work));
    return operation;
  }

  async function run(operation: Operation, more: { handle?: string; account?: Account }): Promise<void> {
    await sleep(queuedMs);
    if (closing) return;
    operation.status = 'running';
    const isToFail = faults.failOperation === operation.type;
    if (isToFail) faults.failOperation = undefined;
    try {
      if (operation.type === 'restore') await restore(more.handle ?? '', more.account, isToFail);
      else if (isToFail) throw new Error('it is to fail');
      else if (operation.type === 'backup') await backUp(operation);
      else if (operation.type === 'deprovision') await deprovision(operation);
      else if (operation.type === 'purge') purge(operation);
      operation.status = 'succeeded';
    } catch (error) {
      operation.status = 'failed';
      operation.why = error;
    }
  }

  async function restore(handle: string, account: Account | undefined, isToFail: boolean): Promise<void> {
    if (!account) throw new Error('no account');
    const database = addDatabase(handle, account, 'provisioning');
    const work = provision(database, isToFail);
    // Whatever else is asked of it comes after.
    database.queue = work.catch(() => {});
    await work;
  }

  async function provision(database: Database, isToFail: boolean): Promise<void> {
    try {
      await sleep(queuedMs);
      if (isToFail) throw new Error('it is to fail');
      database.running = await volumes.restore(database.handle, authority.issue(tlsName));
      database.status = 'provisioned';
    } catch (error) {
      database.status = 'provision_failed';
      throw error;
    }
  }

  async function backUp(operation: Operation): Promise<void> {
    const database = world.databases.get(operation.on.id);
    if (!database) throw new Error('no database');
    await sleep(queuedMs);
    addBackup(database, { manual: true, madeBy: operation.id });
  }

  async function deprovision(operation: Operation): Promise<void> {
    const database = world.databases.get(operation.on.id);
    if (!database) throw new Error('no database');
    database.status = 'deprovisioning';
    await sleep(queuedMs);
    await database.running?.stop();
    database.running = undefined;
    database.status = 'deprovisioned';
    world.databases.delete(database.id);
    world.deleted.set(database.id, database);
    if (faults.keepFinalBackup) addBackup(database);
    operation.gone = true;
  }

  function purge(operation: Operation): void {
    const backup = world.backups.get(operation.on.id);
    if (backup) backup.purged = true;
    world.backups.delete(operation.on.id);
    operation.gone = true;
  }
}
