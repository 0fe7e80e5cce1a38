import type { Client } from 'pg';
import { z } from 'zod';
import type { ColumnPlan, KeyPlan, TablePlan } from '../mirror/plan.ts';
import { tableText } from '../mirror/table-pattern.ts';
import type { Column, Relation } from './catalogue.ts';

/**
 * Which primary and foreign keys BigQuery may be told of. It enforces none, but plans queries by them: "you must ensure that
 * your data conforms to them", or answers are wrong. So a key is left out, with its reason, wherever the mirrored values
 * might not keep it.
 */

const Constraint = z.object({
  table: z.coerce.number(),
  name: z.string(),
  type: z.enum(['p', 'f']),
  columns: z.array(z.string()),
  referenced: z.coerce.number(),
  referencedName: z.string().nullable(),
  referencedColumns: z.array(z.string()).nullable(),
  kept: z.boolean(),
  period: z.boolean(),
  full: z.boolean(),
});
export type Constraint = z.infer<typeof Constraint>;

/** Primary and foreign keys of `oids`. A partition's own copies of its root's constraints are none. */
export async function constraintsOf(client: Client, oids: readonly number[]): Promise<Constraint[]> {
  const { rows } = await client.query(CONSTRAINTS, [oids]);
  return z.array(Constraint).parse(rows);
}

// conenforced and conperiod came with PostgreSQL 18.
const CONSTRAINTS = `
  SELECT k.conrelid AS "table", k.conname AS name, k.contype AS type, k.confrelid AS referenced,
         k.confrelid::regclass::text AS "referencedName",
         (SELECT json_agg(a.attname ORDER BY n) FROM unnest(k.conkey) WITH ORDINALITY AS u(num, n)
            JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num) AS columns,
         (SELECT json_agg(a.attname ORDER BY n) FROM unnest(k.confkey) WITH ORDINALITY AS u(num, n)
            JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num) AS "referencedColumns",
         k.convalidated AND coalesce((to_jsonb(k) ->> 'conenforced')::bool, true) AS kept,
         coalesce((to_jsonb(k) ->> 'conperiod')::bool, false) AS period, k.confmatchtype = 'f' AS "full"
  FROM pg_constraint k
  WHERE k.conrelid = ANY($1::oid[]) AND k.contype IN ('p', 'f') AND k.conparentid = 0
  ORDER BY k.conrelid, k.contype DESC, k.conname`;

/** A planned table with what the catalogue says of it. */
export type Planned = { relation: Relation; columns: readonly Column[]; plan: TablePlan };

/** "Primary keys cannot exceed 16 columns"; "a table can contain up to 64 foreign keys". */
const PRIMARY_COLUMNS = 16;
const FOREIGN_KEYS = 64;
/** "Primary keys and foreign keys must be of one of the following types." */
const KEY_TYPES = new Set(['BIGNUMERIC', 'BOOL', 'DATE', 'DATETIME', 'INT64', 'NUMERIC', 'STRING', 'TIMESTAMP']);

/** The keys of every planned table, by its warehouse name. */
export function planKeys(tables: readonly Planned[], constraints: readonly Constraint[]): Map<string, KeyPlan> {
  const byOid = new Map(tables.map((planned) => [planned.relation.oid, planned]));
  const keys = new Map(tables.map(({ plan }) => [plan.warehouseTable, noKeys()]));
  const owned = constraints.flatMap((constraint) => {
    const table = byOid.get(constraint.table);
    const plan = table && keys.get(table.plan.warehouseTable);
    return table && plan ? [{ constraint, table, plan }] : [];
  });
  for (const { constraint, table, plan } of owned.filter(({ constraint }) => constraint.type === 'p')) {
    const reason = columnsFault(table, constraint.columns) ?? widthFault(constraint);
    if (reason === undefined) plan.primaryKey = constraint.columns.map((column) => nameOf(table, column));
    else plan.leftOut.push({ key: constraint.name, reason });
  }
  for (const { constraint, table, plan } of owned.filter(({ constraint }) => constraint.type === 'f')) {
    const target = byOid.get(constraint.referenced);
    const reason = foreignFault(constraint, table, target, target && keys.get(target.plan.warehouseTable));
    if (reason !== undefined || !target) {
      plan.leftOut.push({ key: constraint.name, reason: reason ?? 'its table is not mirrored' });
    } else if (plan.foreignKeys.length === FOREIGN_KEYS) {
      plan.leftOut.push({ key: constraint.name, reason: `BigQuery allows ${FOREIGN_KEYS} foreign keys in a table` });
    } else {
      plan.foreignKeys.push({
        key: constraint.name,
        columns: constraint.columns.map((column) => nameOf(table, column)),
        table: target.plan.warehouseTable,
        referenced: (constraint.referencedColumns ?? []).map((column) => nameOf(target, column)),
      });
    }
  }
  return keys;
}

export const noKeys = (): KeyPlan => ({ primaryKey: [], foreignKeys: [], leftOut: [] });

const widthFault = ({ columns }: Constraint): string | undefined =>
  columns.length > PRIMARY_COLUMNS ? `it has ${columns.length} columns; BigQuery allows ${PRIMARY_COLUMNS}` : undefined;

function columnsFault(table: Planned, columns: readonly string[]): string | undefined {
  for (const column of columns) {
    const planned = find(table, column);
    if (!planned) return `${tableText(table.relation)}.${column} is not mirrored`;
    if (!KEY_TYPES.has(planned.bigquery)) {
      return `${tableText(table.relation)}.${column} is ${planned.bigquery}; BigQuery's keys may be ${[...KEY_TYPES].join(', ')}`;
    }
  }
  return undefined;
}

/** Why a foreign key cannot stand in BigQuery, or might not hold there; undefined where it can. */
function foreignFault(
  constraint: Constraint,
  table: Planned,
  target: Planned | undefined,
  targetKeys: KeyPlan | undefined,
): string | undefined {
  const { columns, referencedColumns } = constraint;
  if (!constraint.kept) return 'PostgreSQL has not checked it';
  if (constraint.period) return 'it is over a period';
  if (constraint.referenced === constraint.table) return 'BigQuery allows none within a table';
  if (!target || !targetKeys) return `${constraint.referencedName} is not mirrored`;
  const fault = columnsFault(table, columns) ?? columnsFault(target, referencedColumns ?? []);
  if (fault !== undefined) return fault;
  const referenced = (referencedColumns ?? []).map((column) => nameOf(target, column));
  if (referenced.toSorted().join('\n') !== targetKeys.primaryKey.toSorted().join('\n')) {
    return `it refers to (${(referencedColumns ?? []).join(', ')}), which is not the primary key of ${tableText(target.relation)} in BigQuery`;
  }
  // MATCH SIMPLE: with one NULL in it, the other columns may hold anything.
  const isNullable = columns.some((column) => !find(table, column)?.required);
  if (columns.length > 1 && isNullable && !constraint.full) return 'a part of it may be NULL';
  for (const [i, column] of columns.entries()) {
    const pair = pairFault(table, column, target, referencedColumns?.[i] ?? '');
    if (pair !== undefined) return pair;
  }
  return undefined;
}

/** Values that are equal in PostgreSQL must be the same in BigQuery. */
function pairFault(table: Planned, column: string, target: Planned, referenced: string): string | undefined {
  const [from, to] = [find(table, column)?.bigquery, find(target, referenced)?.bigquery];
  if (from !== to) return `${column} is ${from}, ${referenced} is ${to}`;
  if (from !== 'STRING') return undefined;
  const [one, other] = [catalogued(table, column), catalogued(target, referenced)];
  const isAlike =
    one?.postgresType === other?.postgresType || (PLAIN.has(one?.type.name ?? '') && PLAIN.has(other?.type.name ?? ''));
  const isTold = one?.isTextual === true && other?.isTextual === true;
  return isAlike && isTold ? undefined : `equal values of ${column} and ${referenced} may be written differently`;
}

const PLAIN = new Set(['text', 'varchar', 'name']);

const find = ({ plan }: Planned, column: string): ColumnPlan | undefined =>
  plan.columns.find(({ source }) => source === column);
const catalogued = ({ columns }: Planned, name: string): Column | undefined =>
  columns.find(({ column }) => column === name);
const nameOf = (table: Planned, column: string): string => find(table, column)?.name ?? column;
