import { randomBytes } from 'node:crypto';
import { after, type TestContext } from 'node:test';
import { Client } from 'pg';
import { startTestCluster } from './test-cluster.ts';

let cluster: Promise<{ url: string; stop: () => Promise<void> }> | undefined;
const drops: Promise<void>[] = [];

after(async () => {
  await Promise.all(drops);
  await (await cluster)?.stop();
});

/**
 * An empty database of the test's own, filled by `sql` if given, and dropped after the test. It is made in the cluster of
 * TEST_POSTGRES_URL, else in one that serves this test file and ends with it.
 */
export async function testDatabase(t: TestContext, sql?: string): Promise<{ url: string }> {
  const maintenance = process.env['TEST_POSTGRES_URL'] ?? (await (cluster ??= startTestCluster())).url;
  const name = `test_${randomBytes(8).toString('hex')}`;
  await query(maintenance, `CREATE DATABASE ${name} TEMPLATE template1`);
  // Not t.after: hooks run in the order of their registration, so this one would drop the database under the connections that
  // the test closes in its own. The signal fires behind them all.
  t.signal.addEventListener('abort', () => {
    drops.push(query(maintenance, `DROP DATABASE ${name} WITH (FORCE)`));
  });
  const url = new URL(maintenance);
  url.pathname = `/${name}`;
  if (sql !== undefined) await query(url.href, sql);
  return { url: url.href };
}

async function query(url: string, sql: string): Promise<void> {
  const client = new Client(url);
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
