import type { Client } from 'pg';
import { PermanentError } from '../mirror/errors.ts';
import type { ConfigFile } from '../mirror/config.ts';
import { tableText } from '../mirror/table-pattern.ts';
import { relations } from './catalogue.ts';
import { makePlan, qualified, type Run } from './make-plan.ts';
import { selectTables, type Selection } from './select-tables.ts';
import { queryError, type Source } from './source.ts';
import type { Plan } from '../mirror/plan.ts';

/** A moment of the database, held by one open transaction: the plan made in it, and its name for other connections. */
export type Snapshot = { id: string; plan: Plan; client: Client };

/** How often the tables may change under the locking before the run fails. */
const LOCK_ATTEMPTS = 5;

/**
 * Locks, then takes the snapshot, in one transaction. PostgreSQL: a REPEATABLE READ transaction's snapshot is taken by its
 * first query, not by LOCK; so every table that the snapshot shows is locked already, and no TRUNCATE or rewrite can come
 * between snapshot and COPY, after which a table would read as empty while all counts agree. The caller ends `client`.
 */
export async function takeSnapshot(source: Source, file: ConfigFile, run: Run): Promise<Snapshot> {
  const client = await source.connect();
  try {
    const gone: Selection['leftOut'] = [];
    for (let attempt = 1; ; attempt++) {
      const wanted = selectTables(file.config, await relations(client));
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const lost = await lock(client, wanted);
      if (lost === undefined) {
        const { rows } = await client.query<{ id: string }>('SELECT pg_export_snapshot() AS id');
        const id = rows[0]?.id ?? '';
        const locked = restrict(selectTables(file.config, await relations(client)), wanted);
        const plan = await makePlan(client, file, run, { ...locked, leftOut: [...locked.leftOut, ...gone] });
        return { id, plan, client };
      }
      await client.query('ROLLBACK');
      if (attempt === LOCK_ATTEMPTS) {
        throw new PermanentError(
          `Tables keep disappearing while they are locked, last: ${lost}. Next: run again after the migration.`,
        );
      }
      gone.push(...vanished(wanted, selectTables(file.config, await relations(client))));
    }
  } catch (error) {
    await client.end().catch(() => {});
    throw queryError(error, 'taking the snapshot');
  }
}

/** ACCESS SHARE, what a reader takes: it keeps out only what would pull the rows away. Gives what was gone, if anything. */
async function lock(client: Client, selection: Selection): Promise<string | undefined> {
  const lockable = selection.chunks
    .flatMap((chunk) => chunk.relations)
    // "This operation is not supported for" foreign tables and materialized views; what cannot be read fails by name later.
    .filter(({ kind, readable }) => readable && (kind === 'table' || kind === 'partitioned table' || kind === 'view'));
  if (lockable.length === 0) return undefined;
  try {
    await client.query(`LOCK TABLE ${lockable.map(qualified).join(', ')} IN ACCESS SHARE MODE`);
    return undefined;
  } catch (error) {
    // undefined_table, invalid_schema_name
    const isGone = error instanceof Error && 'code' in error && (error.code === '42P01' || error.code === '3F000');
    if (isGone) return error.message;
    throw error;
  }
}

/** A table that appeared after the locking is not locked, and not part of this run. */
function restrict(now: Selection, locked: Selection): Selection {
  const oids = new Set(locked.chunks.flatMap((chunk) => chunk.relations.map(({ oid }) => oid)));
  return {
    ...now,
    chunks: now.chunks.map(({ name, relations }) => ({
      name,
      relations: relations.filter(({ oid }) => oids.has(oid)),
    })),
  };
}

function vanished(before: Selection, after: Selection): Selection['leftOut'] {
  const remaining = new Set(after.chunks.flatMap((chunk) => chunk.relations.map(({ oid }) => oid)));
  return before.chunks.flatMap((chunk) =>
    chunk.relations
      .filter(({ oid }) => !remaining.has(oid))
      .map((relation) => ({
        schema: relation.schema,
        table: relation.table,
        reason: `${tableText(relation)} was gone before it could be locked`,
      })),
  );
}
