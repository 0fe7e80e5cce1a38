import { availableParallelism } from 'node:os';
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { openSlots } from './slots.ts';
import { installFunctions, type Installed } from './sql/functions.ts';

const parallelBytes = 64_000_000;

/**
 * BigQuery's functions are made for each connection, and that takes a tenth of a second: what runs queries or reads files asks for
 * a connection that has them, of which there are few.
 */
export type ConnectionNeeds = 'tables' | 'functions';

/** The connections of a DuckDB file, kept for whoever asks next, and how many threads work for them. */
export function openConnections(instance: DuckDBInstance) {
  const idle: Record<ConnectionNeeds, DuckDBConnection[]> = { tables: [], functions: [] };
  const functionSlots = openSlots(4);
  const installed: Installed = { scalars: new Set() };
  const ready = new WeakSet<DuckDBConnection>();
  let large = 0;

  return {
    /** The functions of JavaScript that the database has. */
    registered: installed.scalars,
    withConnection,
    warm,
    withThreads,
    close: (): void => {
      for (const connection of [...idle.tables, ...idle.functions]) connection.closeSync();
    },
  };

  async function withConnection<T>(
    work: (connection: DuckDBConnection) => Promise<T>,
    needs: ConnectionNeeds = 'tables',
  ): Promise<T> {
    if (needs === 'functions') return functionSlots(() => withIdle(idle.functions, work));
    return withIdle(idle.tables, work);
  }

  async function withIdle<T>(pool: DuckDBConnection[], work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    const connection = pool.pop() ?? (await instance.connect());
    try {
      if (pool === idle.functions && !ready.has(connection)) {
        await installFunctions(connection, installed);
        ready.add(connection);
      }
      return await work(connection);
    } finally {
      pool.push(connection);
    }
  }

  /** Makes so many connections with BigQuery's functions before anybody waits for one. */
  async function warm(count: number): Promise<void> {
    if (count === 0) return;
    const { promise: all, resolve } = Promise.withResolvers<void>();
    let made = 0;
    const hold = (): Promise<void> => {
      made += 1;
      if (made === count) resolve();
      return all;
    };
    await Promise.all(Array.from({ length: count }, () => withConnection(hold, 'functions')));
  }

  /** Runs `work`, by as many threads as the machine has cores if it is of so many bytes that it pays. */
  async function withThreads<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    if (bytes < parallelBytes) return work();
    large += 1;
    try {
      await setThreads(availableParallelism());
      return await work();
    } finally {
      large -= 1;
      if (large === 0) await setThreads(1);
    }
  }

  /** Of the whole instance. On a connection of its own: in a transaction that has failed DuckDB takes no statement any more. */
  function setThreads(count: number): Promise<void> {
    return withConnection(async (connection) => {
      await connection.run(`SET threads = ${count}`);
    });
  }
}
