import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, DatabaseError } from 'pg';

// In this order: later files refer to what earlier ones made.
const FILES = [
  'dice.sql',
  'members.sql',
  'care.sql',
  'messaging.sql',
  'builder.sql',
  'audit.sql',
  'keys.sql',
  'legacy.sql',
] as const;

const DATABASE = 'commons';

export type Sample = { url: string; created: boolean };

/**
 * The sample database `commons` in the cluster of `url` (its maintenance database, as a role that may create databases and
 * extensions; PostgreSQL 18). One that is whole and of this version and scale stays as it is, else it is dropped and made.
 * `scale` (a whole number, default 1: 65 MB as CSV) multiplies the tables that grow in real life: 16 makes 1 GB.
 */
export async function createSample(url: string, { scale = 1 }: { scale?: number } = {}): Promise<Sample> {
  if (!Number.isInteger(scale) || scale < 1)
    throw new RangeError(`The scale of the sample is ${scale}; use 1, 2, 3, …`);
  const sql = await Promise.all(FILES.map((file) => readFile(join(import.meta.dirname, file), 'utf8')));
  const mark = `Commons sample ${createHash('sha256').update(sql.join()).digest('hex').slice(0, 16)}, scale ${scale}`;
  const database = new URL(url);
  database.pathname = `/${DATABASE}`;

  return withClient(url, async (maintenance) => {
    // Two that want the sample at once: the second waits, and finds it. Released with the connection.
    await maintenance.query(`SELECT pg_advisory_lock(hashtextextended('${DATABASE}', 0))`);
    if ((await markOf(maintenance)) === mark) return { url: database.href, created: false };
    await maintenance.query(`DROP DATABASE IF EXISTS ${DATABASE} WITH (FORCE)`);
    await maintenance.query(`CREATE DATABASE ${DATABASE} TEMPLATE template0 ENCODING 'UTF8'`);
    await withClient(database.href, (client) => fill(client, sql, scale));
    // The last thing said: a database without it is one whose making was interrupted.
    await maintenance.query(`COMMENT ON DATABASE ${DATABASE} IS '${mark}'`);
    return { url: database.href, created: true };
  });
}

async function markOf(maintenance: Client): Promise<string | undefined> {
  const { rows } = await maintenance.query<{ mark: string | null }>(
    `SELECT shobj_description(oid, 'pg_database') AS mark FROM pg_database WHERE datname = $1`,
    [DATABASE],
  );
  return rows[0]?.mark ?? undefined;
}

async function fill(client: Client, sql: string[], scale: number): Promise<void> {
  // What the text forms of values in the files mean depends on these.
  await client.query(
    `SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET lc_monetary = 'C'`,
  );
  await client.query(`SELECT set_config('sample.scale', $1, false)`, [String(scale)]);
  await client.query('BEGIN');
  for (const [index, text] of sql.entries()) {
    await client.query(text).catch((error: unknown) => {
      throw new Error(`local/sample/${FILES[index]}${lineOf(error, text)}: ${String(error)}`, { cause: error });
    });
  }
  await client.query('COMMIT');
}

function lineOf(error: unknown, text: string): string {
  if (!(error instanceof DatabaseError) || error.position === undefined) return '';
  return `:${text.slice(0, Number(error.position)).split('\n').length}`;
}

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(url);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
