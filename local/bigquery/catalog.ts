import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import * as z from 'zod';
import { ApiError } from '../http.ts';
import { openSlots } from './slots.ts';
import { installFunctions, type Installed } from './sql/functions.ts';
import type { Field } from './sql/types.ts';

/** What the stand-in itself keeps in the DuckDB file, beside one schema per dataset. */
export const privateSchema = '_commons_mirror';

const parallelBytes = 64_000_000;

/** How tables are stored: 2 has BIGNUMERIC as text. A file of another layout is refused, for what it holds can be loaded again. */
const layoutVersion = 2;

export type TableKey = { project: string; dataset: string; table: string };

export type Table = {
  id: string;
  /** Its name in DuckDB, which cannot tell `Person` from `person`: the second one has a suffix. */
  name: string;
  fields: Field[];
  /** What a view reads: its query, and the tables and views named in it. */
  view?: { query: string; references: TableKey[] } | undefined;
  created: number;
  modified: number;
  expires?: number | undefined;
  /** Unknown after DML, until somebody asks. */
  size?: { rows: number; bytes: number } | undefined;
  /** What clients set and get back as it is: description, labels, tableConstraints, encryptionConfiguration, … */
  metadata: Record<string, unknown>;
};

export type Dataset = {
  project: string;
  id: string;
  /** Its schema's name in DuckDB. */
  name: string;
  location: string;
  created: number;
  modified: number;
  metadata: Record<string, unknown>;
};

/** A change of tables and of what is known about them: all of it becomes visible at its commit, or none. */
export type Transaction = {
  connection: DuckDBConnection;
  putDataset: (dataset: Dataset) => Promise<void>;
  removeDataset: (dataset: Dataset) => Promise<void>;
  putTable: (key: TableKey, table: Table) => Promise<void>;
  removeTable: (key: TableKey) => Promise<void>;
  /** Keeps the resource of a job that has ended, once; the catalogue in memory does not hold it. */
  putJob: (id: string, resource: Record<string, unknown>) => Promise<void>;
  removeJob: (id: string) => Promise<void>;
};

/**
 * BigQuery's functions are made for each connection, and that takes a tenth of a second: what runs queries or reads files asks for
 * a connection that has them, of which there are few.
 */
export type ConnectionNeeds = 'tables' | 'functions';

export type Catalog = Awaited<ReturnType<typeof openCatalog>>;

/**
 * Opens the DuckDB file and what the private schema says about it. Only one process can have it open.
 * @throws Error for a file of another layout, with the directory to delete
 */
export async function openCatalog(file: string, now: () => number) {
  const instance = await DuckDBInstance.create(file, {
    // A second thread often finds nothing to do, one file being read by one alone, and asks for it without a pause. Large work
    // has more while it lasts.
    threads: '1',
    // Rows of a table have no order in BigQuery; loads and copies run in parallel for it.
    preserve_insertion_order: 'false',
    temp_directory: `${file}.tmp`,
    // A checkpoint compresses what is new: better once at the end than while a run waits for it.
    wal_autocheckpoint: '256MB',
  });
  const datasets = new Map<string, Dataset>();
  const tables = new Map<string, Map<string, Table>>();
  const held = new Map<string, Promise<void>>();
  const idle: Record<ConnectionNeeds, DuckDBConnection[]> = { tables: [], functions: [] };
  const functionSlots = openSlots(4);
  let large = 0;
  const installed: Installed = { scalars: new Set() };
  const ready = new WeakSet<DuckDBConnection>();

  try {
    await withConnection(async (connection) => {
      await checkLayout(connection, file);
      // Trying how texts compress best takes a fifth of a load's time and half of a copy's; the file is thrice as large
      // instead. Among the options above DuckDB would not hear of it.
      await connection.run("SET GLOBAL disabled_compression_methods = 'fsst,dict_fsst,dictionary'");
    });
  } catch (error) {
    for (const connection of idle.tables) connection.closeSync();
    instance.closeSync();
    throw error;
  }
  await withConnection(async (connection) => {
    for (const kind of ['datasets', 'tables', 'jobs']) {
      // No key: an index would make two jobs conflict that touch different rows. Uniqueness is the locks' work.
      await connection.run(
        `CREATE TABLE IF NOT EXISTS ${privateSchema}.${kind} (id VARCHAR NOT NULL, resource JSON NOT NULL)`,
      );
    }
    for (const [, resource] of await readAll(connection, 'datasets')) {
      const dataset = JSON.parse(resource) as Dataset;
      datasets.set(datasetKey(dataset.project, dataset.id), dataset);
    }
    for (const [id, resource] of await readAll(connection, 'tables')) {
      const key = JSON.parse(id) as [string, string, string];
      tablesOf(key[0], key[1]).set(key[2], JSON.parse(resource) as Table);
    }
  });

  return {
    now,
    /** The functions of JavaScript that the database has. */
    registered: installed.scalars,
    /** A connection for reading, closed behind `work`. */
    withConnection,
    warm,
    withThreads,
    transaction,
    locked,
    findDataset: (project: string, id: string): Dataset | undefined => datasets.get(datasetKey(project, id)),
    getDataset,
    listDatasets: (project: string): Dataset[] => [...datasets.values()].filter((each) => each.project === project),
    findTable,
    getTable,
    listTables: (project: string, dataset: string): Table[] =>
      [...tablesOf(project, dataset).values()].filter((table) => !isExpired(table)),
    expiredTables,
    /** The table of that id if it has expired and is still stored. */
    expiredTable: (key: TableKey): Table | undefined => {
      const table = tablesOf(key.project, key.dataset).get(key.table);
      return table !== undefined && isExpired(table) ? table : undefined;
    },
    freeSchemaName,
    freeTableName,
    readJobs: (): Promise<[string, string][]> => withConnection((connection) => readAll(connection, 'jobs')),
    close: async (): Promise<void> => {
      // Everything goes into the one file, so that plain DuckDB opens it without a write-ahead log.
      await withConnection((connection) => connection.run('CHECKPOINT'));
      for (const connection of [...idle.tables, ...idle.functions]) connection.closeSync();
      instance.closeSync();
      await rm(`${file}.tmp`, { recursive: true, force: true });
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

  /** Runs `work` in a transaction; what it put into the catalogue shows in memory once it has committed. */
  async function transaction<T>(
    work: (transaction: Transaction) => Promise<T>,
    needs: ConnectionNeeds = 'tables',
  ): Promise<T> {
    return withConnection(async (connection) => {
      const effects: (() => void)[] = [];
      const remove = async (kind: string, id: string): Promise<void> => {
        await connection.run(`DELETE FROM ${privateSchema}.${kind} WHERE id = $1`, [id]);
      };
      const put = async (kind: string, id: string, resource: unknown, known: boolean): Promise<void> => {
        if (known) await remove(kind, id);
        await connection.run(`INSERT INTO ${privateSchema}.${kind} VALUES ($1, $2)`, [id, JSON.stringify(resource)]);
      };
      const touched = new Set<string>();
      await connection.run('BEGIN');
      let committed = false;
      try {
        const result = await work({
          connection,
          putDataset: async (dataset) => {
            const key = datasetKey(dataset.project, dataset.id);
            await put('datasets', key, dataset, true);
            effects.push(() => datasets.set(key, dataset));
          },
          removeDataset: async (dataset) => {
            const key = datasetKey(dataset.project, dataset.id);
            await remove('datasets', key);
            effects.push(() => {
              datasets.delete(key);
              tables.delete(key);
            });
          },
          putTable: async (key, table) => {
            const id = tableId(key);
            await put('tables', id, table, touched.has(id) || tablesOf(key.project, key.dataset).has(key.table));
            touched.add(id);
            effects.push(() => tablesOf(key.project, key.dataset).set(key.table, table));
          },
          removeTable: async (key) => {
            await remove('tables', tableId(key));
            effects.push(() => tablesOf(key.project, key.dataset).delete(key.table));
          },
          putJob: (id, resource) => put('jobs', id, resource, false),
          removeJob: (id) => remove('jobs', id),
        });
        await connection.run('COMMIT');
        committed = true;
        for (const effect of effects) effect();
        return result;
      } finally {
        // After some errors DuckDB has rolled back by itself, and says so.
        if (!committed) await connection.run('ROLLBACK').catch(() => undefined);
      }
    }, needs);
  }

  /** Runs `work` while nobody else changes the tables, in any case of their names. */
  async function locked<T>(keys: TableKey[], work: () => Promise<T>): Promise<T> {
    // All jobs take their locks in one order, so none waits for another that waits for it.
    const names = [...new Set(keys.map((key) => tableId(key).toLowerCase()))].sort();
    const releases: (() => void)[] = [];
    try {
      for (const name of names) {
        for (let holder = held.get(name); holder !== undefined; holder = held.get(name)) await holder;
        const { promise, resolve } = Promise.withResolvers<void>();
        held.set(name, promise);
        releases.push(() => {
          held.delete(name);
          resolve();
        });
      }
      return await work();
    } finally {
      for (const release of releases) release();
    }
  }

  function tablesOf(project: string, dataset: string): Map<string, Table> {
    const key = datasetKey(project, dataset);
    const found = tables.get(key) ?? new Map<string, Table>();
    tables.set(key, found);
    return found;
  }

  function getDataset(project: string, id: string): Dataset {
    const dataset = datasets.get(datasetKey(project, id));
    if (dataset === undefined) throw new ApiError(404, 'notFound', `Not found: Dataset ${project}:${id}`);
    return dataset;
  }

  function findTable(key: TableKey): Table | undefined {
    const table = tablesOf(key.project, key.dataset).get(key.table);
    return table === undefined || isExpired(table) ? undefined : table;
  }

  function getTable(key: TableKey): Table {
    getDataset(key.project, key.dataset);
    const table = findTable(key);
    if (table === undefined) throw new ApiError(404, 'notFound', `Not found: Table ${tableName(key)}`);
    return table;
  }

  function isExpired(table: Table): boolean {
    return table.expires !== undefined && table.expires <= now();
  }

  function expiredTables(): TableKey[] {
    return [...datasets.values()].flatMap(({ project, id }) =>
      [...tablesOf(project, id).values()].filter(isExpired).map((table) => ({ project, dataset: id, table: table.id })),
    );
  }

  function freeSchemaName(id: string): string {
    const taken = [
      'main',
      'information_schema',
      'pg_catalog',
      privateSchema,
      ...[...datasets.values()].map((each) => each.name),
    ];
    return freeName(id, taken);
  }

  function freeTableName(project: string, dataset: string, id: string): string {
    const all = [...tablesOf(project, dataset).values()];
    return (
      all.find((table) => table.id === id)?.name ??
      freeName(
        id,
        all.map((table) => table.name),
      )
    );
  }
}

/** The next change's time: later than the last one's, for the etag is made from it. */
export function changeTime(before: { modified: number } | undefined, now: number): number {
  return before === undefined ? now : Math.max(now, before.modified + 1);
}

/** A name for the state of a dataset or table: the same for the same state, another after each change. */
export function etagOf(resource: Dataset | Table): string {
  return createHash('sha256')
    .update(JSON.stringify([resource.id, resource.created, resource.modified]))
    .digest('base64url')
    .slice(0, 22);
}

/** BigQuery's own name for a table in ids and messages. */
export function tableName(key: TableKey): string {
  return `${key.project}:${key.dataset}.${key.table}`;
}

function tableId(key: TableKey): string {
  return JSON.stringify([key.project, key.dataset, key.table]);
}

function datasetKey(project: string, dataset: string): string {
  return `${project}:${dataset}`;
}

function freeName(id: string, taken: string[]): string {
  const used = new Set(taken.map((name) => name.toLowerCase()));
  if (!used.has(id.toLowerCase())) return id;
  for (let suffix = 2; ; suffix++) {
    if (!used.has(`${id}_${suffix}`.toLowerCase())) return `${id}_${suffix}`;
  }
}

/** Makes the private schema of a new file, and refuses one that another version has written. */
async function checkLayout(connection: DuckDBConnection, file: string): Promise<void> {
  const found = await connection.runAndReadAll(
    `SELECT table_name FROM duckdb_tables() WHERE schema_name = '${privateSchema}'`,
  );
  const tables = found.getRowsJS().flat();
  if (tables.length === 0) {
    await connection.run(`CREATE SCHEMA IF NOT EXISTS ${privateSchema}`);
    await connection.run(`CREATE TABLE ${privateSchema}.layout AS SELECT ${layoutVersion} AS version`);
    return;
  }
  const versions = tables.includes('layout')
    ? (await connection.runAndReadAll(`SELECT version FROM ${privateSchema}.layout`)).getRowsJS()
    : [[1]];
  const version = Number(versions[0]?.[0]);
  if (version === layoutVersion) return;
  throw new Error(
    `The local BigQuery's file ${file} has layout ${version}, and this version reads layout ${layoutVersion} only: ` +
      `delete the directory ${dirname(file)} and start again, which mirrors everything anew.`,
  );
}

async function readAll(connection: DuckDBConnection, kind: string): Promise<[string, string][]> {
  const rows = (await connection.runAndReadAll(`SELECT id, resource FROM ${privateSchema}.${kind}`)).getRowsJS();
  return z.array(z.tuple([z.string(), z.string()])).parse(rows);
}
