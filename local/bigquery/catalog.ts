import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { ApiError } from '../http.ts';
import { openChangeLog, privateSchema, type Change } from './change-log.ts';
import { openConnections, type ConnectionNeeds } from './connections.ts';
import { openLocks } from './locks.ts';
import type { Field } from './sql/types.ts';

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

/** What is to become of datasets, tables and jobs; the catalogue in memory does not hold the jobs. */
export type Changes = {
  putDataset: (dataset: Dataset) => void;
  removeDataset: (dataset: Dataset) => void;
  putTable: (key: TableKey, table: Table) => void;
  removeTable: (key: TableKey) => void;
  /** Whose rows a table shows, where they are not its own. */
  putRows: (key: TableKey, owner: TableKey | undefined) => void;
  /** Keeps the resource of a job that has ended, once. */
  putJob: (id: string, resource: Record<string, unknown>) => void;
  removeJob: (id: string) => void;
};

/** A change of tables and of what is known about them: all of it becomes visible at its commit, or none. */
export type Transaction = Changes & {
  connection: DuckDBConnection;
  /** As this transaction sees it: the table whose rows `key` shows, where they are not its own. */
  rowsOf: (key: TableKey) => TableKey | undefined;
  /** The tables that show the rows of `key`. */
  sharersOf: (key: TableKey) => TableKey[];
};

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
  const shares = new Map<string, string>();
  const connections = openConnections(instance);
  const { withConnection } = connections;
  let log: Awaited<ReturnType<typeof openChangeLog>>;

  try {
    log = await withConnection(async (connection) => {
      // Trying how texts compress best takes a fifth of a load's time and half of a copy's; the file is thrice as large
      // instead. Among the options above DuckDB would not hear of it.
      await connection.run("SET GLOBAL disabled_compression_methods = 'fsst,dict_fsst,dictionary'");
      return openChangeLog(connection, file);
    });
  } catch (error) {
    connections.close();
    instance.closeSync();
    throw error;
  }
  const keptJobs: string[] = [];
  for (const { kind, id, resource } of log.kept) {
    if (kind === 'job') keptJobs.push(resource);
    else if (kind === 'dataset') datasets.set(id, JSON.parse(resource) as Dataset);
    else if (kind === 'rows') shares.set(id, JSON.parse(resource) as string);
    else {
      const { project, dataset, table } = keyOf(id);
      tablesOf(project, dataset).set(table, JSON.parse(resource) as Table);
    }
  }

  return {
    now,
    registered: connections.registered,
    /** A connection for reading. */
    withConnection,
    warm: connections.warm,
    withThreads: connections.withThreads,
    transaction,
    record,
    /** Runs `work` while nobody else changes the tables, in any case of their names. */
    locked: openLocks(lockNames),
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
    /** The table whose rows `key` shows, where they are not its own. */
    rowsOf: (key: TableKey): TableKey | undefined => rowsIn(shares, key),
    /** The resources of jobs that earlier processes have kept. */
    keptJobs,
    close: async (): Promise<void> => {
      // Everything goes into the one file, so that plain DuckDB opens it without a write-ahead log.
      await withConnection((connection) => connection.run('CHECKPOINT'));
      connections.close();
      instance.closeSync();
      await rm(`${file}.tmp`, { recursive: true, force: true });
    },
  };

  /** Runs `work` in a transaction; what it put into the catalogue shows in memory once it has committed. */
  async function transaction<T>(
    work: (transaction: Transaction) => Promise<T>,
    needs: ConnectionNeeds = 'tables',
  ): Promise<T> {
    return withConnection(async (connection) => {
      const { changes, entries, show, shares: shown } = collectChanges();
      await connection.run('BEGIN');
      let committed = false;
      try {
        const result = await work({
          ...changes,
          connection,
          rowsOf: (key) => rowsIn(shown, key),
          sharersOf: (key) => sharersIn(shown, key),
        });
        await connection.run(entries.length > 0 ? `${log.insert(entries)}; COMMIT` : 'COMMIT');
        committed = true;
        show();
        return result;
      } finally {
        // After some errors DuckDB has rolled back by itself, and says so.
        if (!committed) await connection.run('ROLLBACK').catch(() => undefined);
      }
    }, needs);
  }

  /** Changes nothing but the catalogue: one statement, where a transaction is three. */
  async function record(work: (changes: Changes) => void): Promise<void> {
    const { changes, entries, show } = collectChanges();
    work(changes);
    await withConnection((connection) => connection.run(log.insert(entries)));
    show();
  }

  function collectChanges(): { changes: Changes; entries: Change[]; show: () => void; shares: Map<string, string> } {
    const entries: Change[] = [];
    const changedShares = new Map(shares);
    const effects: (() => void)[] = [];
    const note = (kind: Change['kind'], id: string, resource: unknown, effect: () => void = () => {}): void => {
      entries.push({ kind, id, resource: resource === undefined ? undefined : JSON.stringify(resource) });
      effects.push(effect);
    };
    const changes: Changes = {
      putDataset: (dataset) => {
        const key = datasetKey(dataset.project, dataset.id);
        note('dataset', key, dataset, () => datasets.set(key, dataset));
      },
      removeDataset: (dataset) => {
        const key = datasetKey(dataset.project, dataset.id);
        note('dataset', key, undefined, () => {
          datasets.delete(key);
          tables.delete(key);
        });
      },
      putTable: (key, table) =>
        note('table', tableId(key), table, () => tablesOf(key.project, key.dataset).set(key.table, table)),
      removeTable: (key) => {
        note('table', tableId(key), undefined, () => tablesOf(key.project, key.dataset).delete(key.table));
        changes.putRows(key, undefined);
      },
      putRows: (key, owner) => {
        const [id, of] = [tableId(key), owner && tableId(owner)];
        if (changedShares.get(id) === of) return;
        if (of === undefined) changedShares.delete(id);
        else changedShares.set(id, of);
        note('rows', id, of, () => (of === undefined ? shares.delete(id) : shares.set(id, of)));
      },
      putJob: (id, resource) => note('job', id, resource),
      removeJob: (id) => note('job', id, undefined),
    };
    return { changes, entries, show: () => effects.forEach((effect) => effect()), shares: changedShares };
  }

  /** The locks of tables, and of all that share rows with them, of whom there may come to be more. */
  function lockNames(keys: TableKey[]): string[] {
    const all = keys.flatMap((key) => {
      const owner = rowsIn(shares, key) ?? key;
      return [key, owner, ...sharersIn(shares, owner)];
    });
    return [...new Set(all.map((key) => tableId(key).toLowerCase()))].sort();
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

function keyOf(id: string): TableKey {
  const [project, dataset, table] = JSON.parse(id) as [string, string, string];
  return { project, dataset, table };
}

function rowsIn(shares: Map<string, string>, key: TableKey): TableKey | undefined {
  const owner = shares.get(tableId(key));
  return owner === undefined ? undefined : keyOf(owner);
}

function sharersIn(shares: Map<string, string>, key: TableKey): TableKey[] {
  const owner = tableId(key);
  return [...shares].filter(([, of]) => of === owner).map(([id]) => keyOf(id));
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
