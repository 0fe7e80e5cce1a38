import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Client, DatabaseError, escapeIdentifier } from 'pg';
import type { ArbitraryDatabase } from './arbitrary-database.ts';
import { compareRun, type Comparison } from './compare.ts';
import { LOADING, type ValuesHarness } from './harness.ts';
import { openSource } from './source.ts';
import { openWarehouse } from './warehouse.ts';

/** A database that one after the other is made in; making one anew would cost as much as mirroring it. */
export async function openSoakDatabase(maintenanceUrl: string): Promise<{ url: string; drop: () => Promise<void> }> {
  const name = `soak_${randomBytes(8).toString('hex')}`;
  const ask = (sql: string): Promise<void> => run(maintenanceUrl, async (client) => void (await client.query(sql)));
  await ask(`CREATE DATABASE ${name}`);
  const url = new URL(maintenanceUrl);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => ask(`DROP DATABASE ${name} WITH (FORCE)`) };
}

/** Makes the database, mirrors it, and throws what is wrong with what was loaded. */
export async function mirrorsAnyDatabase(
  harness: ValuesHarness,
  url: string,
  database: ArbitraryDatabase,
): Promise<Comparison> {
  await run(url, (client) => make(client, database));
  const all = 'chunks: [{ name: all, tables: ["*.*"] }]';
  const mirrored = await harness.mirror(url, database.verify ? `${all}\nverify: all` : all);
  const source = await openSource(url);
  try {
    const comparison = await compareRun(source, openWarehouse(harness.bigquery, LOADING), mirrored);
    assert.deepEqual(comparison.wrong, []);
    return comparison;
  } finally {
    await source.end();
    await harness.forget();
  }
}

async function make(client: Client, { statements, rows }: ArbitraryDatabase): Promise<void> {
  const { rows: old } = await client.query<{ nspname: string }>(
    `SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'`,
  );
  for (const { nspname } of old) await client.query(`DROP SCHEMA ${escapeIdentifier(nspname)} CASCADE`);
  for (const statement of statements) await client.query(statement);
  for (const row of rows) {
    try {
      await client.query(row);
    } catch (error) {
      // Not every generated text is a value of its type; such a row is not in the database.
      const isRefused = error instanceof DatabaseError && /^(?:22|23)/u.test(error.code ?? '');
      if (!isRefused) throw error;
    }
  }
}

async function run(url: string, work: (client: Client) => Promise<void>): Promise<void> {
  const client = new Client(url);
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
