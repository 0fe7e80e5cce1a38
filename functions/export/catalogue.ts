import type { Client } from 'pg';
import { z } from 'zod';
import type { SourceType } from '../mirror/types.ts';

/** What the database says of its own tables. */

const KINDS = {
  r: 'table',
  p: 'partitioned table',
  m: 'materialized view',
  v: 'view',
  f: 'foreign table',
} as const;

const Relation = z
  .object({
    oid: z.coerce.number(),
    schema: z.string(),
    table: z.string(),
    relkind: z.enum(['r', 'p', 'm', 'v', 'f']),
    /** It, or a partition of it. */
    unlogged: z.boolean(),
    /** Unlogged on a replica: PostgreSQL "cannot access temporary or unlogged relations during recovery". */
    onPrimaryOnly: z.boolean(),
    readable: z.boolean(),
    filtered: z.boolean(),
    description: z.string().nullable(),
    leaves: z.array(
      z.object({
        oid: z.coerce.number(),
        schema: z.string(),
        table: z.string(),
        relkind: z.string(),
        heap: z.boolean(),
        readable: z.boolean(),
        pages: z.coerce.number(),
        bytes: z.coerce.number(),
        rows: z.coerce.number(),
      }),
    ),
  })
  .transform(({ relkind, ...rest }) => ({ ...rest, kind: KINDS[relkind] }));

export type Relation = z.infer<typeof Relation>;

/**
 * Every relation of the user's schemas that may hold rows; a partition is not by itself, but a leaf of its root. A table
 * is its own leaf. Sizes are the file's, in bytes and in blocks; row counts are the planner's estimate.
 */
export async function relations(client: Client): Promise<Relation[]> {
  const { rows } = await client.query(RELATIONS);
  return z.array(Relation).parse(rows);
}

const RELATIONS = `
  SELECT c.oid, n.nspname AS schema, c.relname AS "table", c.relkind, coalesce(leaf.unlogged, false) AS unlogged,
         pg_is_in_recovery() AND coalesce(leaf.unlogged, false) AS "onPrimaryOnly",
         -- of a table that is being dropped they say NULL
         coalesce(has_schema_privilege(n.oid, 'USAGE')
           AND (has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT')), false) AS readable,
         -- whether row-level security would hide rows from this role
         row_security_active(c.oid) AS filtered,
         obj_description(c.oid, 'pg_class') AS description,
         coalesce(leaf.list, '[]') AS leaves
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN LATERAL (
    SELECT bool_or(l.relpersistence = 'u') AS unlogged, json_agg(json_build_object(
             'oid', l.oid, 'schema', ln.nspname, 'table', l.relname, 'relkind', l.relkind,
             'heap', l.relkind IN ('r', 'm') AND coalesce(am.amname, '') = 'heap',
             'readable', coalesce(has_schema_privilege(ln.oid, 'USAGE') AND has_table_privilege(l.oid, 'SELECT')
               AND NOT row_security_active(l.oid), false),
             'bytes', size.bytes, 'pages', size.bytes / current_setting('block_size')::int8,
             'rows', greatest(l.reltuples, 0)) ORDER BY ln.nspname, l.relname) AS list
    FROM (SELECT c.oid AS relid WHERE c.relkind <> 'p'
          UNION ALL
          -- not pg_partition_tree, which knows nothing of the transaction's snapshot
          (WITH RECURSIVE tree AS (
             SELECT c.oid AS relid WHERE c.relkind = 'p'
             UNION ALL
             SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.relid
             WHERE NOT coalesce((to_jsonb(i) ->> 'inhdetachpending')::bool, false))
           SELECT relid FROM tree)) AS leaves
    JOIN pg_class l ON l.oid = leaves.relid
    JOIN pg_namespace ln ON ln.oid = l.relnamespace
    LEFT JOIN pg_am am ON am.oid = l.relam
    CROSS JOIN LATERAL (
      SELECT CASE WHEN l.relkind IN ('r', 'm') THEN pg_relation_size(l.oid) ELSE 0 END AS bytes) AS size
    -- a partitioned table without partitions is its own leaf, without rows
    WHERE l.relkind <> 'p'
  ) AS leaf ON true
  WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND NOT c.relispartition
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  ORDER BY n.nspname, c.relname`;

const Column = z.object({
  oid: z.coerce.number(),
  column: z.string(),
  position: z.number(),
  type: z.string(),
  notNull: z.boolean(),
  isTextual: z.boolean(),
  description: z.string().nullable(),
  readable: z.boolean(),
  baseName: z.string(),
  baseSchema: z.string(),
  baseKind: z.string(),
  isArray: z.boolean(),
  typmod: z.number(),
  decimals: z.boolean(),
  inside: z
    .object({ json: z.boolean(), arrays: z.boolean(), composites: z.boolean(), ownJson: z.boolean() })
    .nullable(),
  defaultText: z.string().nullable(),
  generated: z.string(),
  identity: z.string(),
});

/** A column, its type resolved through any domains. */
export type Column = {
  column: string;
  position: number;
  postgresType: string;
  type: SourceType;
  notNull: boolean;
  /** Values are equal where their texts are, and only there. */
  isTextual: boolean;
  description: string | null;
  readable: boolean;
  default: string | null;
  generated: boolean;
  identity: boolean;
};

/** The columns of each of `oids`, in the table's order; dropped ones are none. */
export async function columnsOf(client: Client, oids: readonly number[]): Promise<Map<number, Column[]>> {
  const { rows } = await client.query(COLUMNS, [oids]);
  const byTable = new Map<number, Column[]>(oids.map((oid) => [oid, []]));
  for (const row of z.array(Column).parse(rows)) {
    byTable.get(row.oid)?.push({
      column: row.column,
      position: row.position,
      postgresType: row.type,
      type: sourceType(row),
      notNull: row.notNull,
      isTextual: row.isTextual,
      description: row.description,
      readable: row.readable,
      default: row.defaultText,
      generated: row.generated !== '',
      identity: row.identity !== '',
    });
  }
  return byTable;
}

const COLUMNS = `
  SELECT a.attrelid AS oid, a.attname AS "column", a.attnum AS position, format_type(a.atttypid, a.atttypmod) AS type,
         -- since PostgreSQL 18 a NOT NULL may be declared without being checked
         a.attnotnull AND NOT EXISTS (
           SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND NOT k.convalidated
             AND k.conkey = ARRAY[a.attnum]) AS "notNull",
         (b.typtype = 'e' OR b.typname IN ('text', 'varchar', 'bpchar', 'name', 'uuid', 'inet', 'cidr', 'macaddr', 'macaddr8'))
           AND coalesce(c.collisdeterministic, true) AS "isTextual",
         col_description(a.attrelid, a.attnum) AS description,
         coalesce(has_column_privilege(a.attrelid, a.attnum, 'SELECT'), false) AS readable,
         b.typname AS "baseName", bn.nspname AS "baseSchema", b.typtype AS "baseKind",
         b.typcategory = 'A' AS "isArray", base.typmod,
         b.typname IN ('geometry', 'geography') AND EXISTS (
           SELECT FROM pg_proc p WHERE p.pronamespace = b.typnamespace AND p.proname = 'st_asewkt' AND p.pronargs = 2) AS decimals,
         inside.facts AS inside, pg_get_expr(d.adbin, d.adrelid) AS "defaultText",
         a.attgenerated AS generated, a.attidentity AS identity
  FROM pg_attribute a
  CROSS JOIN LATERAL (
    -- a domain may rest on a domain; the innermost typmod that is set counts
    WITH RECURSIVE chain AS (
      SELECT t.oid, t.typtype, t.typbasetype, a.atttypmod AS typmod, t.typtypmod
      FROM pg_type t WHERE t.oid = a.atttypid
      UNION ALL
      SELECT t.oid, t.typtype, t.typbasetype, CASE WHEN chain.typmod = -1 THEN chain.typtypmod ELSE chain.typmod END, t.typtypmod
      FROM chain JOIN pg_type t ON t.oid = chain.typbasetype WHERE chain.typtype = 'd')
    SELECT oid, typmod FROM chain WHERE typtype <> 'd') AS base
  JOIN pg_type b ON b.oid = base.oid
  JOIN pg_namespace bn ON bn.oid = b.typnamespace
  LEFT JOIN LATERAL (
    -- every type that an array or a composite has in it, at any depth; UNION ends where a type has been met
    WITH RECURSIVE met AS (
      SELECT b.oid, false AS below
      UNION
      SELECT part.oid, true
      FROM met JOIN pg_type t ON t.oid = met.oid
      CROSS JOIN LATERAL (
        SELECT t.typelem WHERE t.typcategory = 'A'
        UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd'
        UNION ALL SELECT f.atttypid FROM pg_attribute f
                  WHERE t.typtype = 'c' AND f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped) AS part(oid))
    SELECT json_build_object(
             'json', bool_or(t.oid = 'pg_catalog.json'::regtype), 'arrays', bool_or(t.typcategory = 'A'),
             'composites', bool_or(t.typtype = 'c'),
             -- to_json prefers such a cast; that of hstore is exact
             'ownJson', bool_or(t.typname <> 'hstore' AND EXISTS (
               SELECT FROM pg_cast k WHERE k.castsource = t.oid AND k.casttarget = 'pg_catalog.json'::regtype
                 AND k.castmethod = 'f' AND t.oid >= 16384))) AS facts
    FROM met JOIN pg_type t ON t.oid = met.oid WHERE met.below
  ) AS inside ON b.typtype = 'c' OR b.typcategory = 'A'
  LEFT JOIN pg_collation c ON c.oid = a.attcollation
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
  ORDER BY a.attrelid, a.attnum`;

function sourceType(row: z.infer<typeof Column>): SourceType {
  const name = row.baseName;
  const inside = row.inside ?? undefined;
  if (row.isArray) return { name, schema: row.baseSchema, kind: 'array', inside };
  switch (row.baseKind) {
    case 'e':
      return { name, schema: row.baseSchema, kind: 'enum' };
    case 'c':
      return { name, schema: row.baseSchema, kind: 'composite', inside };
    case 'r':
    case 'm':
      return { name, schema: row.baseSchema, kind: 'range' };
    default:
      return {
        name,
        schema: row.baseSchema,
        kind: 'base',
        ...(name === 'numeric' && numericParameters(row.typmod)),
        ...(row.decimals && { decimals: true }),
      };
  }
}

/** PostgreSQL packs `numeric(p,s)` as ((p << 16) | (s & 0x7ff)) + 4, the scale in eleven bits with its sign. */
function numericParameters(typmod: number): { precision?: number; scale?: number } {
  if (typmod < 4) return {};
  const packed = typmod - 4;
  return { precision: (packed >> 16) & 0xffff, scale: ((packed & 0x7ff) ^ 1024) - 1024 };
}
