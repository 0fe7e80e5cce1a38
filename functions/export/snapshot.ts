import type { Client } from 'pg';
import { PermanentError } from '../mirror/errors.ts';
import type { ConfigFile } from '../mirror/config.ts';
import { tableText } from '../mirror/table-pattern.ts';
import { relations, type Relation } from './catalogue.ts';
import { makePlan, type Run } from './make-plan.ts';
import { qualified } from './ranges.ts';
import { selectTables, type Selection } from './select-tables.ts';
import { queryError, type Source } from './source.ts';
import type { Plan } from '../mirror/plan.ts';

/** A moment of the database, held by one open transaction: the plan made in it, and its name for other connections. */
export type Snapshot = { id: string; plan: Plan; client: Client };

/** How often the tables may change under the locking before the run fails. */
const LOCK_ATTEMPTS = 5;

/**
 * Locks, then takes the snapshot, in one transaction, so that no TRUNCATE, REFRESH or rewrite can come between snapshot
 * and COPY, after which a table would read as empty while all counts agree. READ COMMITTED, since a REPEATABLE READ
 * transaction would take its snapshot with the first SELECT that locks, before the other tables are locked.
 * The caller ends `client`.
 */
export async function takeSnapshot(source: Source, file: ConfigFile, run: Run): Promise<Snapshot> {
  const client = await source.connect();
  try {
    const met = new Map<string, Relation>();
    for (let attempt = 1; ; attempt++) {
      const wanted = chosen(selectTables(file.config, await relations(client)));
      for (const relation of wanted) met.set(qualified(relation), relation);
      await client.query('BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY');
      let lost = await lock(client, wanted);
      if (lost === undefined) {
        const { rows } = await client.query<{ id: string }>('SELECT pg_export_snapshot() AS id');
        const id = rows[0]?.id ?? '';
        const planned = await within(source, id, async (reader) => {
          const selection = selectTables(file.config, await relations(reader));
          // It appeared, or took another's name, after the catalogue was read.
          const unlocked = await unlockedIn(client, selection);
          if (unlocked !== undefined) return `${unlocked} has just appeared`;
          const leftOut = [...selection.leftOut, ...vanished([...met.values()], chosen(selection))];
          return makePlan(reader, file, run, { ...selection, leftOut }, source.backup?.());
        });
        if (typeof planned !== 'string') return { id, plan: planned, client };
        lost = planned;
      }
      await client.query('ROLLBACK');
      if (attempt === LOCK_ATTEMPTS) {
        throw new PermanentError(
          `Tables keep changing while they are locked, last: ${lost}. Next: run again after the migration.`,
        );
      }
    }
  } catch (error) {
    await client.end().catch(() => {});
    throw queryError(error, 'taking the snapshot');
  }
}

/**
 * Reads by the snapshot itself: a partition may be attached or detached, and a key dropped, under the lock that a reader takes, and
 * the catalogue of another moment would not fit the rows.
 */
async function within<T>(source: Source, id: string, read: (reader: Client) => Promise<T>): Promise<T> {
  const reader = await source.connect();
  try {
    await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await reader.query(`SET TRANSACTION SNAPSHOT '${id}'`);
    return await read(reader);
  } finally {
    await reader.end().catch(() => {});
  }
}

/** A table or partition that is to be read, and that `client` has not locked. */
async function unlockedIn(client: Client, selection: Selection): Promise<string | undefined> {
  const { rows } = await client.query<{ oid: string }>(
    `SELECT relation::int8 AS oid FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted`,
  );
  const locked = new Set(rows.map(({ oid }) => Number(oid)));
  const read = chosen(selection)
    .filter(isReadable)
    .flatMap((relation) => [relation, ...relation.leaves]);
  const unlocked = read.find(({ oid }) => !locked.has(oid));
  return unlocked && tableText(unlocked);
}

const chosen = ({ chunks }: Selection): Relation[] => chunks.flatMap((chunk) => chunk.relations);

/**
 * ACCESS SHARE, what a reader takes: it keeps out only what would pull the rows away. By SELECT, since LOCK TABLE knows no
 * materialized views and wants rights on every column. Gives what was gone, if anything.
 */
async function lock(client: Client, wanted: readonly Relation[]): Promise<string | undefined> {
  const readable = wanted.filter(isReadable);
  if (readable.length === 0) return undefined;
  try {
    await client.query(readable.map((relation) => `SELECT FROM ${qualified(relation)} LIMIT 0`).join(';\n'));
    return undefined;
  } catch (error) {
    // undefined_table, invalid_schema_name
    const isGone = error instanceof Error && 'code' in error && (error.code === '42P01' || error.code === '3F000');
    if (isGone) return error.message;
    throw error;
  }
}

/** What cannot be read fails by name later. */
const isReadable = ({ readable, filtered }: Relation): boolean => readable && !filtered;

function vanished(before: readonly Relation[], now: readonly Relation[]): Selection['leftOut'] {
  const remaining = new Set(now.map(qualified));
  return before
    .filter((relation) => !remaining.has(qualified(relation)))
    .map(({ schema, table }) => ({ schema, table, reason: 'it was gone before it could be locked' }));
}
