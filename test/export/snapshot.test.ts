import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import { takeSnapshot, type Snapshot } from '../../functions/export/snapshot.ts';
import { urlSource, type Source } from '../../functions/export/source.ts';
import { parseConfig } from '../../functions/mirror/config.ts';
import { startPostgres } from '../../local/postgres/index.ts';
import { testDatabase } from '../postgres.ts';
import { startTestCluster } from '../test-cluster.ts';

const RUN = { runId: '20261122T030000Z', attempt: 1, trigger: 'manual' } as const;
const HEAD = 'project: commons-test\nregion: us-central1\nlocation: US\ndataset: d\n';
const EVERYTHING = 'chunks: [{ name: c, tables: [public.*] }]';

async function open(t: TestContext, sql: string) {
  const { url } = await testDatabase(t, sql);
  const closing: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const close of closing) await close();
  });
  const connect = async (source = urlSource(url, 'test')): Promise<pg.Client> => {
    const client = await source.connect();
    closing.push(() => client.end());
    await client.query('SET default_transaction_read_only = off');
    return client;
  };
  const snapshot = async (yaml = EVERYTHING, source: Source = urlSource(url, 'test')): Promise<Snapshot> => {
    const taken = await takeSnapshot(source, parseConfig(`${HEAD}${yaml}`, 'mirror.yaml'), RUN);
    closing.push(() => taken.client.end());
    return taken;
  };
  return { url, connect, snapshot };
}

/** The rows of a query on another connection that has joined the snapshot. */
async function within({ id }: Snapshot, client: pg.Client, sql: string): Promise<Record<string, unknown>[]> {
  await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '${id}'`);
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.query('ROLLBACK');
  }
}

const tablesIn = ({ plan }: Snapshot): string[] =>
  plan.chunks.flatMap(({ tables }) => tables.map(({ schema, table }) => `${schema}.${table}`));

const PULLING: [what: string, statement: string][] = [
  ['TRUNCATE', 'TRUNCATE public.t'],
  ['a rewrite', 'ALTER TABLE public.t ALTER COLUMN id TYPE bigint'],
  ['DROP', 'DROP TABLE public.t CASCADE'],
  ['CLUSTER', 'CLUSTER public.t USING t_pkey'],
  ['TRUNCATE of a partition', 'TRUNCATE public.p1'],
  ['TRUNCATE under a view', 'TRUNCATE care.below'],
  ['REFRESH', 'REFRESH MATERIALIZED VIEW public.m'],
  ['TRUNCATE of a table that the role may read in part', 'TRUNCATE public.partly'],
];

const OBJECTS = `
  CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
  CREATE TABLE p (id int) PARTITION BY RANGE (id);
  CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
  CREATE SCHEMA care; CREATE TABLE care.below (id int); CREATE VIEW v AS SELECT * FROM care.below;
  CREATE MATERIALIZED VIEW m AS SELECT 1 AS id;
  CREATE TABLE partly (id int, secret text);`;

test('what would pull the rows away between snapshot and COPY has to wait', async (t) => {
  const { url, connect, snapshot } = await open(
    t,
    `${OBJECTS}
     CREATE ROLE reader_${process.pid} LOGIN PASSWORD 'reader';
     GRANT SELECT ON t, p, v, m TO reader_${process.pid}; GRANT SELECT (id) ON partly TO reader_${process.pid};`,
  );
  const owner = await connect();
  const role = `reader_${process.pid}`;
  t.after(() => owner.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`).catch(() => {}));
  const reader = new URL(url);
  reader.username = role;
  reader.password = 'reader';
  const yaml = `chunks: [{ name: c, tables: [public.*, public.v, public.m], except: [public.p1] }]
columns: { public.partly: { only: [id] } }`;
  const taken = await snapshot(yaml, urlSource(reader.href, 'test'));
  assert.deepEqual(tablesIn(taken).toSorted(), ['public.m', 'public.p', 'public.partly', 'public.t', 'public.v']);
  await owner.query(`SET lock_timeout = '150ms'`);
  for (const [what, statement] of PULLING) {
    await assert.rejects(owner.query(statement), { code: '55P03' }, what);
  }
  await taken.client.query('ROLLBACK');
  await owner.query('TRUNCATE public.t');
});

test('all connections see one moment, whatever is written meanwhile', async (t) => {
  const { connect, snapshot } = await open(
    t,
    'CREATE TABLE t AS SELECT generate_series(1, 3) AS id; CREATE TABLE u (id int)',
  );
  const taken = await snapshot();
  const [writer, first, second] = await Promise.all([connect(), connect(), connect()]);
  const count = 'SELECT (SELECT count(*)::int FROM public.t) AS t, (SELECT count(*)::int FROM public.u) AS u';
  assert.deepEqual(await within(taken, first, count), [{ t: 3, u: 0 }]);
  await writer.query(
    'INSERT INTO public.t VALUES (4); DELETE FROM public.t WHERE id = 1; INSERT INTO public.u VALUES (1)',
  );
  await writer.query('DELETE FROM public.t WHERE id = 2');
  assert.deepEqual(await within(taken, first, count), [{ t: 3, u: 0 }]);
  assert.deepEqual(await within(taken, second, count), [{ t: 3, u: 0 }]);
  assert.deepEqual((await second.query(count)).rows, [{ t: 2, u: 1 }]);
});

/** Takes the snapshot while `change` is open in another transaction, and commits that once the locking waits for it. */
async function during(t: TestContext, sql: string, change: string, yaml?: string) {
  const { connect, snapshot } = await open(t, sql);
  const [writer, watcher] = await Promise.all([connect(), connect()]);
  await writer.query(`BEGIN; ${change}`);
  const taking = snapshot(yaml);
  const isWaiting = `SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
  for (let waited = 0; waited < 5000; waited += 10) {
    if ((await watcher.query<{ n: number }>(isWaiting)).rows[0]?.n) break;
    await wait(10);
  }
  await writer.query('COMMIT');
  return { taken: await taking, connect };
}

test('rows that replaced others while the locking waited are the ones in the snapshot', async (t) => {
  const { taken, connect } = await during(
    t,
    'CREATE TABLE a (id int); INSERT INTO a VALUES (1); CREATE TABLE b AS SELECT 1 AS id',
    'TRUNCATE public.b; INSERT INTO public.b VALUES (2), (3)',
  );
  assert.deepEqual(await within(taken, await connect(), 'SELECT id FROM public.b ORDER BY id'), [{ id: 2 }, { id: 3 }]);
});

test('a table that is dropped while it is being locked is named, and the others are mirrored', async (t) => {
  const { taken } = await during(t, 'CREATE TABLE a (id int); CREATE TABLE b (id int)', 'DROP TABLE public.b');
  assert.deepEqual(tablesIn(taken), ['public.a']);
  assert.deepEqual(taken.plan.leftOut, [
    { schema: 'public', table: 'b', reason: 'it was gone before it could be locked' },
  ]);
});

test('a table that takes another’s name while that is being locked is mirrored in its place', async (t) => {
  const { taken, connect } = await during(
    t,
    'CREATE TABLE a AS SELECT 1 AS id',
    'ALTER TABLE public.a RENAME TO a_old; CREATE TABLE public.a AS SELECT 2 AS id',
    'chunks: [{ name: c, tables: [public.a] }]',
  );
  assert.deepEqual(tablesIn(taken), ['public.a']);
  assert.deepEqual(await within(taken, await connect(), 'SELECT id FROM public.a'), [{ id: 2 }]);
  await assert.rejects((await connect()).query(`SET lock_timeout = '50ms'; TRUNCATE public.a`), { code: '55P03' });
});

test('a listed table that is dropped while it is being locked is a fault of the list', async (t) => {
  const yaml = 'chunks: [{ name: c, tables: [public.a] }]\nbuilder: [public.b]';
  const gone = during(t, 'CREATE TABLE a (id int); CREATE TABLE b (id int)', 'DROP TABLE public.b', yaml);
  await assert.rejects(gone, {
    name: 'ConfigurationError',
    message: 'mirror.yaml has a fault:\n  line 6: builder[0]: the Builder table public.b is missing in the database',
  });
});

test('a materialized view without content fails by name', async (t) => {
  const { snapshot } = await open(t, 'CREATE MATERIALIZED VIEW m AS SELECT 1 AS id WITH NO DATA');
  await assert.rejects(snapshot('chunks: [{ name: c, tables: [public.m] }]'), {
    name: 'SafeError',
    message: 'PostgreSQL, taking the snapshot: materialized view "m" has not been populated (SQLSTATE 55000)',
  });
});

test('a snapshot that failed leaves no connection', async (t) => {
  const { connect, snapshot } = await open(t, 'CREATE TABLE a (id int)');
  await assert.rejects(snapshot('chunks: [{ name: c, tables: [public.missing] }]'), { name: 'ConfigurationError' });
  const watcher = await connect();
  const others = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`;
  for (let waited = 0; waited < 5000 && (await watcher.query(others)).rows[0].n > 0; waited += 10) await wait(10);
  assert.deepEqual((await watcher.query(others)).rows, [{ n: 0 }]);
});

/** Does `change` right before or after the first snapshot is exported, in another transaction. */
function changing(url: string, when: 'before' | 'after', change: () => Promise<void>): Source {
  const source = urlSource(url, 'test');
  let isDone = false;
  return {
    ...source,
    connect: async () => {
      const client = await source.connect();
      const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
      const intercepted = async (...args: unknown[]): Promise<unknown> => {
        const isExport = String(args[0]).includes('pg_export_snapshot') && !isDone;
        isDone ||= isExport;
        if (isExport && when === 'before') await change();
        const result = await query(...args);
        if (isExport && when === 'after') await change();
        return result;
      };
      return Object.assign(client, { query: intercepted });
    },
  };
}

const rangesIn = ({ plan }: Snapshot): Record<string, string[]> =>
  Object.fromEntries(
    plan.chunks.flatMap(({ tables }) =>
      tables.map(({ table, ranges }) => [table, ranges.map(({ relation }) => relation)]),
    ),
  );

const PARTED = `
  CREATE TABLE p (id int) PARTITION BY LIST (id);
  CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
  CREATE TABLE lone (id int); INSERT INTO lone VALUES (3); INSERT INTO p VALUES (1), (2);`;
/** A mirrored table is locked, and cannot be attached; one that is left out can. */
const WITHOUT_LONE = 'chunks: [{ name: c, tables: [public.*], except: [public.lone] }]';
const ATTACH = 'ALTER TABLE public.p ATTACH PARTITION public.lone FOR VALUES IN (3)';
const ONE_MOMENT = ['ONLY "public"."p1"', 'ONLY "public"."p2"'];

test('a table that becomes a partition behind the snapshot is none in it', async (t) => {
  const { url, connect, snapshot } = await open(t, PARTED);
  const writer = await connect();
  const attach = async (): Promise<void> => {
    await writer.query(ATTACH);
  };
  const taken = await snapshot(WITHOUT_LONE, changing(url, 'after', attach));
  assert.deepEqual(rangesIn(taken), { p: ONE_MOMENT });
});

test('a partition that is being detached behind the snapshot is still read', async (t) => {
  const { url, connect, snapshot } = await open(t, PARTED);
  const [writer, watcher] = await Promise.all([connect(), connect()]);
  let detaching: Promise<unknown> | undefined;
  const detach = async (): Promise<void> => {
    // Its first half commits; its second waits for the readers.
    detaching = writer.query('ALTER TABLE public.p DETACH PARTITION public.p2 CONCURRENTLY');
    for (;;) {
      const { rows } = await watcher.query('SELECT FROM pg_inherits WHERE inhdetachpending');
      if (rows.length > 0) return;
      await wait(10);
    }
  };
  const taken = await snapshot(WITHOUT_LONE, changing(url, 'after', detach));
  assert.deepEqual(rangesIn(taken), { p: ONE_MOMENT });
  await taken.client.query('ROLLBACK');
  await detaching;
});

test('a table that becomes a partition between the locks and the snapshot is locked in another try', async (t) => {
  const { url, connect, snapshot } = await open(t, PARTED);
  const writer = await connect();
  const attach = async (): Promise<void> => {
    await writer.query(ATTACH);
  };
  const taken = await snapshot(WITHOUT_LONE, changing(url, 'before', attach));
  assert.deepEqual(rangesIn(taken), { p: ['ONLY "public"."lone"', ...ONE_MOMENT] });
  await writer.query(`SET lock_timeout = '150ms'`);
  await assert.rejects(writer.query('TRUNCATE public.lone'), { code: '55P03' });
});

test('more tables than the server has locks for are told with what to do', async (t) => {
  const settings = { max_connections: '5', superuser_reserved_connections: '0', max_locks_per_transaction: '10' };
  const postgres = await startTestCluster(settings);
  t.after(() => postgres.stop());
  const client = new pg.Client(postgres.url);
  await client.connect();
  await client.query(`
    DO $$ BEGIN
      FOR i IN 1 .. 3000 LOOP EXECUTE format('CREATE TABLE t%s (id int)', i); COMMIT; END LOOP;
    END $$`);
  await client.end();
  const config = parseConfig(`${HEAD}${EVERYTHING}`, 'mirror.yaml');
  await assert.rejects(takeSnapshot(urlSource(postgres.url, 'test'), config, RUN), {
    name: 'SafeError',
    message:
      'PostgreSQL, taking the snapshot: out of shared memory (SQLSTATE 53200). Every mirrored table and each of its indexes ' +
      'takes a lock until the export ends. Next: raise max_locks_per_transaction on that server, or mirror fewer tables',
  });
});

test('a replica is mirrored without what is unlogged there, which is told', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'commons-replica-'));
  // A server that goes on recovering is a replica, though it has nobody to follow.
  const settings = { wal_level: 'replica' };
  const primary = await startPostgres({ directory, settings });
  let stop = primary.stop;
  t.after(async () => {
    await stop('immediate');
    await rm(directory, { recursive: true });
  });
  const client = new pg.Client(primary.url);
  await client.connect();
  await client.query(`
    CREATE TABLE t AS SELECT 1 AS id;
    CREATE UNLOGGED TABLE u AS SELECT 1 AS id;
    CREATE TABLE p (id int) PARTITION BY LIST (id);
    CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
    CREATE UNLOGGED TABLE p2 PARTITION OF p FOR VALUES IN (2);`);
  await client.end();
  await primary.stop('fast');
  await writeFile(join(primary.socketDirectory, 'standby.signal'), '');
  const replica = await startPostgres({ directory, settings });
  stop = replica.stop;
  const source = urlSource(replica.url, 'test');

  const taken = await takeSnapshot(source, parseConfig(`${HEAD}${EVERYTHING}`, 'mirror.yaml'), RUN);
  await taken.client.end();
  assert.deepEqual(tablesIn(taken), ['public.t']);
  const reason = 'unlogged, which a replica cannot read';
  assert.deepEqual(taken.plan.leftOut, [
    { schema: 'public', table: 'p', reason },
    { schema: 'public', table: 'u', reason },
  ]);
  assert.deepEqual(taken.plan.warnings, [
    'public.p has unlogged partitions, which a replica cannot read: it is left out',
    'public.u is unlogged, which a replica cannot read: it is left out',
  ]);

  const builder = parseConfig(`${HEAD}builder: [public.t, public.u]`, 'mirror.yaml');
  await assert.rejects(takeSnapshot(source, builder, RUN), {
    message:
      'mirror.yaml has a fault:\n  line 5: builder[1]: the Builder table public.u is unlogged, which a replica cannot read',
  });
});
