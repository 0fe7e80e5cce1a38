import { Client, escapeIdentifier } from 'pg';
import type { PostgresType } from './postgres-text.ts';

/** What a database holds, asked of its catalogue and in PostgreSQL's own text; the mirror's code has no part in it. */
export type SourceTable = { oid: number; schema: string; table: string; kind: string; columns: SourceColumn[] };
export type SourceColumn = { name: string; written: string; type: PostgresType; required: boolean };

/** A connection whose answers stay text, written as the mirror promises: UTC, ISO, shortest floats. */
export async function openSource(url: string): Promise<Client> {
  const client = new Client({ connectionString: url, types: { getTypeParser: () => (text: string) => text } });
  await client.connect();
  await client.query(
    `SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 1;
     SET bytea_output = 'hex'; SET search_path = pg_catalog; SET lc_monetary = 'C'`,
  );
  return client;
}

type Answer = Record<string, string | null>;

/** Every table of a user's schema that may hold rows; a partition is its root's. */
export async function sourceTables(client: Client): Promise<SourceTable[]> {
  const { rows } = await client.query<Answer>(
    `SELECT c.oid, nspname, relname, relkind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
     WHERE relkind IN ('r', 'p') AND NOT relispartition AND nspname !~ '^pg_' AND nspname <> 'information_schema'
     ORDER BY nspname COLLATE "C", relname COLLATE "C"`,
  );
  const types = await readTypes(client);
  const columns = await client.query<Answer>(
    `SELECT attrelid, attname, atttypid, format_type(atttypid, atttypmod) AS written,
       (attnotnull AND NOT EXISTS (SELECT FROM pg_constraint
          WHERE conrelid = attrelid AND contype = 'n' AND NOT convalidated AND conkey = ARRAY[attnum]))::text AS required
     FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped ORDER BY attrelid, attnum`,
  );
  const byTable = Map.groupBy(columns.rows, ({ attrelid }) => attrelid);
  return rows.map(({ oid = '', nspname, relname, relkind }) => ({
    oid: Number(oid),
    schema: nspname ?? '',
    table: relname ?? '',
    kind: relkind ?? '',
    columns: (byTable.get(oid) ?? []).map(({ attname, atttypid, written, required }) => ({
      name: attname ?? '',
      written: written ?? '',
      type: types(atttypid ?? ''),
      required: required === 'true',
    })),
  }));
}

/** The rows that are the table's own, each column as text. A partitioned table has its partitions' alone. */
export async function sourceRows(client: Client, { schema, table, kind, columns }: SourceTable): Promise<Row[]> {
  const list = columns.map(({ name }) => escapeIdentifier(name)).join(', ');
  const from = `${kind === 'r' ? 'ONLY ' : ''}${escapeIdentifier(schema)}.${escapeIdentifier(table)}`;
  const { rows } = await client.query<Row>({ text: `SELECT ${list} FROM ${from}`, rowMode: 'array' });
  return rows;
}
export type Row = (string | null)[];

async function readTypes(client: Client): Promise<(oid: string) => PostgresType> {
  const { rows } = await client.query<Answer>(
    `SELECT t.oid, typname, typtype, typbasetype, typelem, typdelim, typrelid, o.proname AS output
     FROM pg_type t JOIN pg_proc o ON o.oid = typoutput`,
  );
  const byOid = new Map(rows.map((row) => [row['oid'], row]));
  const attributes = await client.query<Answer>(
    `SELECT attrelid, attname, atttypid FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped ORDER BY attrelid, attnum`,
  );
  const byRelation = Map.groupBy(attributes.rows, ({ attrelid }) => attrelid);
  const typeOf = (oid: string | null | undefined): PostgresType => {
    const row = byOid.get(oid);
    if (!row) throw new Error(`No type ${oid}`);
    if (row['typtype'] === 'd') return typeOf(row['typbasetype']);
    if (row['output'] === 'array_out') {
      const delimiter = byOid.get(row['typelem'])?.['typdelim'] ?? ',';
      return { form: 'array', delimiter, element: typeOf(row['typelem']) };
    }
    if (row['typtype'] === 'c') {
      const own = byRelation.get(row['typrelid'] ?? null) ?? [];
      return {
        form: 'record',
        attributes: own.map(({ attname, atttypid }) => ({ name: attname ?? '', type: typeOf(atttypid) })),
      };
    }
    return { form: 'scalar', name: row['typname'] ?? '' };
  };
  return typeOf;
}
