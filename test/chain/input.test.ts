import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { Client } from 'pg';
import type { Report } from '../../local/report.ts';
import { testDatabase } from '../postgres.ts';
import { commonsMirror, LAUNCH, mirrorYaml, select, until, type Ended } from './harness.ts';

/** The real command: what it says of bad input, how it ends, and that nothing of it is left behind. */

/** A place for one start of the command: its data, its temporary files, its report. */
type Place = {
  root: string;
  data: string;
  report: string;
  /** Writes a mirror.yaml. Gives its path. */
  config: (yaml: string) => Promise<string>;
  /** What was started here; a test that fails leaves none of it. */
  children: ChildProcess[];
};

async function place(t: TestContext): Promise<Place> {
  const root = await mkdtemp(path.join(tmpdir(), 'mirror-input-'));
  // PostgreSQL's account must get in where this runs as root.
  await chmod(root, 0o755);
  await mkdir(path.join(root, 'tmp'), { mode: 0o777 });
  const children: ChildProcess[] = [];
  t.after(async () => {
    for (const child of children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)) {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    }
    await rm(root, { recursive: true, force: true });
  });
  const at = (name: string): string => path.join(root, name);
  return {
    root,
    children,
    data: at('data'),
    report: at('report.json'),
    config: async (yaml) => {
      await writeFile(at('mirror.yaml'), yaml);
      return at('mirror.yaml');
    },
  };
}

type Running = {
  /** Resolves when the command has written `text`. */
  says: (text: string) => Promise<void>;
  signal: (name: NodeJS.Signals, toGroup?: boolean) => void;
  ended: Promise<Ended>;
};

/** Starts `commons-mirror start` on any free port, with its temporary files in the place. */
function start({ root, data, children }: Place, ...args: string[]): Running {
  const child = spawn(process.execPath, [LAUNCH, 'start', '--port', '0', '--data', data, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: path.join(root, 'tmp') },
    // A group of its own, as a shell gives to what it runs in the foreground.
    detached: true,
  });
  children.push(child);
  const said: Ended = { code: null, stdout: '', stderr: '' };
  child.stdout.on('data', (text: Buffer) => (said.stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (said.stderr += text.toString()));
  const ended = once(child, 'close').then(([code]: unknown[]) => ({
    ...said,
    code: typeof code === 'number' ? code : null,
  }));
  return {
    ended,
    says: async (text) => {
      await until(`the command says ${text}`, () => {
        if (said.stdout.includes(text)) return true;
        if (child.exitCode !== null) throw new Error(`It has ended:\n${said.stdout}${said.stderr}`);
        return undefined;
      });
    },
    signal: (name, toGroup = false) => {
      if (child.pid !== undefined) process.kill(toGroup ? -child.pid : child.pid, name);
    },
  };
}

const run = (where: Place, ...args: string[]): Promise<Ended> => start(where, '--once', ...args).ended;

/** Processes that know of the place, by their arguments or their environment. */
async function processesOf({ root }: Place): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/u.test(name))) {
    const texts = await Promise.all(
      ['cmdline', 'environ'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')),
    );
    if (texts.some((text) => text.includes(root))) found.push(`${pid} ${texts[0]?.replaceAll('\0', ' ')}`);
  }
  return found;
}

/** Nothing runs any more, no temporary file is there, and the data directory is free for the next start. */
async function assertNothingIsLeft(where: Place): Promise<void> {
  assert.deepEqual(await processesOf(where), []);
  assert.deepEqual(await readdir(path.join(where.root, 'tmp')), []);
  const inRoot = await readdir(where.root);
  assert.deepEqual(
    inRoot.filter((name) => name.endsWith('.tmp')),
    [],
  );
  const inData = await readdir(where.data).catch((): string[] => []);
  for (const name of ['lock', 'stack.json', 'downloads']) assert.ok(!inData.includes(name), `${name} is left`);
}

const reportOf = async ({ report }: Place): Promise<Report> => JSON.parse(await readFile(report, 'utf8')) as Report;

const slackOf = async ({ data }: Place): Promise<string[]> => {
  const lines = await readFile(path.join(data, 'slack', 'messages.jsonl'), 'utf8').catch(() => '');
  return lines
    .split('\n')
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { text: string }).text);
};

/** Tables and views of the dataset that analysts read, as plain DuckDB has them; of a copy, since it locks what it opens. */
async function publishedIn({ root, data }: Place): Promise<string[]> {
  const copy = path.join(root, 'copy.duckdb');
  await copyFile(path.join(data, 'warehouse.duckdb'), copy);
  const instance = await DuckDBInstance.create(copy, { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  try {
    const reader = await connection.runAndReadAll(
      `SELECT table_name FROM information_schema.tables WHERE table_schema = 'commons' ORDER BY 1`,
    );
    return reader.getRows().map(([name]) => String(name));
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

const ALL = mirrorYaml('chunks: [{ name: all, tables: [public.*] }]');

test('wrong usage is told before anything starts', async (t) => {
  const where = await place(t);
  const both = ['--aptible', '--source', 'postgres://nobody@127.0.0.1:1/none'];
  const wrong = ['--frequency', 'daily', '--storage-endpoint', 'localhost:1', ...both, '--port', 'ten', '--json'];
  const { code, stdout, stderr } = await run(where, ...wrong);
  assert.equal(code, 2);
  assert.equal(stdout, '');
  assert.match(
    stderr,
    /^commons-mirror start:\n {2}--frequency: unknown option; allowed: --source, [^\n]+\n {2}--storage-endpoint: wants http:\/\/HOST:PORT; found localhost:1\n {2}--port: wants a whole number from 0 to 65535; found ten\n {2}--json: wants a value, FILE\n {2}--aptible and --source exclude each other\n {2}not understood: daily\nNext: commons-mirror help\n$/u,
  );
  const unknown = await commonsMirror(['mirror']);
  assert.equal(unknown.code, 2);
  assert.match(
    unknown.stderr,
    /^commons-mirror: unknown command mirror; allowed: start, plan, status, [^\n]+, help\n$/u,
  );
  const target = await commonsMirror(['query', '--data', 'd', '--config', 'c', '--format', 'xml']);
  assert.equal(
    target.stderr,
    'commons-mirror query:\n  --format: wants one of table, csv, json; found xml\n  --data and --config exclude each other\n' +
      '  missing: SQL\nNext: commons-mirror help\n',
  );
  assert.equal(target.code, 2);
  assert.deepEqual(await readdir(where.root), ['tmp']);
});

test('faults of mirror.yaml are told before anything starts', async (t) => {
  const where = await place(t);
  const config = await where.config(
    'project: commons-local\nregion: us-central1\nlocation: US\nchunks: [{ nam: x }]\n',
  );
  const { code, stdout, stderr } = await run(where, '--config', config, '--json', where.report);
  assert.equal(
    stderr,
    `${config} has 4 faults:\n  line 1: dataset: missing; wanted: text\n  line 4: chunks[0].name: missing; wanted: text\n` +
      '  line 4: chunks[0].tables: missing; wanted: a list\n  line 4: chunks[0].nam: unknown key; allowed: name, tables, except\n',
  );
  assert.equal(stdout, '');
  assert.equal(code, 2);
  const absent = await run(where, '--config', path.join(where.root, 'none.yaml'));
  assert.equal(
    absent.stderr,
    `${path.join(where.root, 'none.yaml')} cannot be read. Next: name an existing mirror.yaml with --config\n`,
  );
  assert.equal(absent.code, 2);
  assert.deepEqual((await readdir(where.root)).sort(), ['mirror.yaml', 'tmp']);
});

test('a data directory of another version, or in use, is left alone', async (t) => {
  const where = await place(t);
  const config = await where.config(ALL);
  await mkdir(where.data);
  await writeFile(path.join(where.data, 'VERSION'), '99\n');
  const older = await run(where, '--config', config, '--source', 'postgres://nobody@127.0.0.1:1/none');
  assert.equal(
    older.stderr,
    `The data directory ${where.data} is of version "99"; this program reads version 1. Next: name another one with --data, or delete it.\n`,
  );
  assert.equal(older.code, 1);
  assert.deepEqual(await readdir(where.data), ['VERSION']);

  await writeFile(path.join(where.data, 'VERSION'), '1\n');
  await writeFile(path.join(where.data, 'lock'), String(process.pid));
  const used = await run(where, '--config', config, '--source', 'postgres://nobody@127.0.0.1:1/none');
  assert.equal(
    used.stderr,
    `The data directory ${where.data} is in use by process ${process.pid}. Next: stop it with Ctrl-C, or name another one with --data.\n`,
  );
  assert.equal(used.code, 1);
  assert.deepEqual((await readdir(where.data)).sort(), ['VERSION', 'lock']);
});

test('a port that is taken is told', async (t) => {
  const where = await place(t);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const config = await where.config(ALL);
  const source = 'postgres://nobody@127.0.0.1:1/none';
  const { code, stderr } = await run(where, '--config', config, '--source', source, '--port', String(port));
  assert.equal(stderr, `Port ${port} is taken. Next: choose another one with --port, or --port 0 for any free one.\n`);
  assert.equal(code, 1);
  await assertNothingIsLeft(where);
});

/** A run that fails in its export: exit code and message, the report, one Slack message, and nothing published. */
async function assertExportFails(
  where: Place,
  args: string[],
  wanted: { code: number; reason: string },
): Promise<void> {
  const { code, stdout, stderr } = await run(where, '--json', where.report, ...args);
  assert.equal(stderr, '');
  const report = await reportOf(where);
  assert.equal(report.state, 'failed');
  assert.equal(report.reason, `export: ${wanted.reason}`);
  assert.deepEqual([report.tables, report.views, report.transforms, report.coverage], [[], [], [], null]);
  assert.ok(stdout.includes(`\nRun ${report.runId}: failed\nexport: ${wanted.reason}\n`), stdout);
  assert.equal(code, wanted.code);
  assert.deepEqual(await slackOf(where), [`Commons Mirror: export of run ${report.runId} failed`]);
  assert.deepEqual(await publishedIn(where), []);
  await assertNothingIsLeft(where);
}

test('a source that cannot be reached fails the run', async (t) => {
  const where = await place(t);
  await assertExportFails(where, ['--source', 'postgres://nobody@127.0.0.1:1/none'], {
    code: 1,
    reason:
      'PostgreSQL at 127.0.0.1:1/none: nothing listens there (ECONNREFUSED). Next: start it, or correct host and port.',
  });
});

test('a wrong password fails the run, and is told nowhere', async (t) => {
  const where = await place(t);
  const { url } = await testDatabase(t);
  const wrong = new URL(url);
  wrong.password = 'hunter2-secret';
  const name = `${wrong.host}${wrong.pathname}`;
  await assertExportFails(where, ['--source', wrong.href], {
    code: 1,
    reason: `PostgreSQL at ${name}: the password was refused. Next: correct the user or the password of SOURCE_URL.`,
  });
  for (const entry of await readdir(where.data, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const text = await readFile(path.join(entry.parentPath, entry.name), 'latin1');
    assert.ok(!text.includes('hunter2-secret'), entry.name);
  }
});

test('an unknown database fails the run', async (t) => {
  const where = await place(t);
  const { url } = await testDatabase(t);
  const wrong = new URL(url);
  wrong.pathname = '/nowhere';
  await assertExportFails(where, ['--source', wrong.href, '--config', await where.config(ALL)], {
    code: 1,
    reason: `PostgreSQL at ${wrong.host}/nowhere: the database does not exist. Next: correct the database name of SOURCE_URL.`,
  });
});

test('a role without rights fails the run', async (t) => {
  const where = await place(t);
  const { url } = await testDatabase(t, 'CREATE TABLE shut (id int); CREATE TABLE open (id int, hidden text)');
  const role = `reader_${path.basename(new URL(url).pathname)}`;
  await select(url, `CREATE ROLE ${role} LOGIN PASSWORD 'r'; GRANT SELECT (id) ON open TO ${role}`);
  t.after(() => select(url, `DROP OWNED BY ${role}; DROP ROLE ${role}`));
  const as = new URL(url);
  as.username = role;
  as.password = 'r';
  await assertExportFails(where, ['--source', as.href, '--config', await where.config(ALL)], {
    code: 1,
    reason:
      'The role may not read all that mirror.yaml lists:\n' +
      '  public.open: no SELECT right on hidden. Next: GRANT it, or except the columns\n' +
      '  public.shut: no right. Next: GRANT SELECT ON "public"."shut", and USAGE ON SCHEMA "public", TO the role',
  });
});

test('a missing Builder table fails the run by its line in mirror.yaml', async (t) => {
  const where = await place(t);
  const { url } = await testDatabase(t, 'CREATE SCHEMA builder; CREATE TABLE builder.forms (id int)');
  const config = await where.config(mirrorYaml('builder:\n  - builder.forms\n  - builder.fields\n'));
  await assertExportFails(where, ['--source', url, '--config', config], {
    code: 2,
    reason: `${config} has a fault:\n  line 7: builder[1]: the Builder table builder.fields is missing in the database`,
  });
});

test('--once ends with 0 where the views have moved, and 1 where a person must decide', async (t) => {
  const where = await place(t);
  const { url } = await testDatabase(t, `CREATE TABLE days (on_day date); INSERT INTO days VALUES ('2026-01-01')`);
  const config = await where.config(ALL);
  const good = await run(where, '--source', url, '--config', config, '--json', where.report);
  assert.equal(good.stderr, '');
  assert.equal(good.code, 0);
  const first = await reportOf(where);
  assert.equal(first.state, 'published');
  const published = [`commons_mirror_errors_${first.shard}`, 'commons_mirror_sli', 'days', `days_${first.shard}`];
  assert.deepEqual(await publishedIn(where), published);
  await assertNothingIsLeft(where);

  // The same directory again: what was published stays, as the day's second run is blocked.
  await select(url, `INSERT INTO days VALUES ('infinity')`);
  const blocked = await run(where, '--source', url, '--config', config, '--json', where.report);
  assert.equal(blocked.stderr, '');
  assert.equal(blocked.code, 1);
  const second = await reportOf(where);
  assert.equal(second.state, 'blocked');
  const reason = `table public.days: coverage 0.5, wanted 0.99, 1 error rows\ntotal: coverage 0.5, wanted 0.999, 1 error rows`;
  assert.equal(second.reason, reason);
  assert.ok(blocked.stdout.includes(`\nRun ${second.runId}: blocked\n${reason}\n`), blocked.stdout);
  assert.deepEqual(await publishedIn(where), published);
  assert.deepEqual(await slackOf(where), [`Commons Mirror: run ${second.runId} is blocked`]);
  await assertNothingIsLeft(where);
});

test('Ctrl-C while PostgreSQL starts leaves nothing behind', async (t) => {
  const where = await place(t);
  const running = start(where, '--once', '--json', where.report);
  await running.says('Starting PostgreSQL');
  running.signal('SIGINT');
  const { code, stderr } = await running.ended;
  assert.equal(stderr, '');
  assert.equal(code, 130);
  await assertNothingIsLeft(where);
  await assert.rejects(readFile(where.report), { code: 'ENOENT' });
});

test('Ctrl-C while tables are exported leaves nothing behind', async (t) => {
  const where = await place(t);
  const { url } = await testDatabase(t, 'CREATE TABLE locked (id int)');
  const config = await where.config(ALL);
  const holder = new Client(url);
  await holder.connect();
  t.after(() => holder.end());
  await holder.query('BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE');
  const running = start(where, '--once', '--source', url, '--config', config, '--json', where.report);
  const waiting = `SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'commons-mirror %' AND wait_event_type = 'Lock'`;
  await until('the export waits for the table', async () =>
    (await select(url, waiting)).length > 0 ? true : undefined,
  );
  running.signal('SIGINT');
  const { code, stderr } = await running.ended;
  assert.equal(stderr, '');
  assert.equal(code, 130);
  await assertNothingIsLeft(where);
  await assert.rejects(readFile(where.report), { code: 'ENOENT' });
  await holder.query('ROLLBACK');
  const left = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'commons-mirror %'`;
  await until('its connections are gone', async () => ((await select(url, left)).length === 0 ? true : undefined));
});

test('Ctrl-C while tables are loaded leaves nothing behind, and the next start goes on', async (t) => {
  const where = await place(t);
  const { url } = await testDatabase(
    t,
    `CREATE TABLE many (id int, text text); INSERT INTO many SELECT n, repeat('x', 100) FROM generate_series(1, 50000) AS n`,
  );
  const config = await where.config(ALL);
  const running = start(where, '--once', '--source', url, '--config', config, '--json', where.report);
  // Not the line on the screen: that is drawn now and then, when a small run may be over.
  const log = path.join(where.data, 'logs/mirror.log');
  await until('the manifest is written', async () => {
    const lines = await readFile(log, 'utf8').catch(() => '');
    return lines.includes('"Chunk all is exported"') || undefined;
  });
  running.signal('SIGINT');
  const { code, stderr } = await running.ended;
  assert.equal(stderr, '');
  assert.equal(code, 130);
  await assertNothingIsLeft(where);
  await assert.rejects(readFile(where.report), { code: 'ENOENT' });

  const again = await run(where, '--source', url, '--config', config, '--json', where.report);
  assert.equal(again.stderr, '');
  assert.equal(again.code, 0, again.stdout);
  const report = await reportOf(where);
  assert.deepEqual(
    report.tables.map(({ table, exported, loaded }) => [table, exported, loaded]),
    [['many', 50_000, 50_000]],
  );
  await assertNothingIsLeft(where);
});

test('while it serves, the other commands find it; Ctrl-C ends it with the code of its run', async (t) => {
  const where = await place(t);
  const { url } = await testDatabase(
    t,
    'CREATE TABLE things (id int PRIMARY KEY, name text); INSERT INTO things VALUES (1)',
  );
  const config = await where.config(ALL);
  const running = start(where, '--source', url, '--config', config, '--json', where.report);
  await running.says('Serving until Ctrl-C.');
  const { runId, shard } = await reportOf(where);
  const command = (...args: string[]): Promise<Ended> => commonsMirror([...args, '--data', where.data]);

  const list = await command('status');
  assert.equal(list.stdout, `${runId}  published   ${shard}  manual     coverage 1\n`);
  const one = await command('status', runId);
  assert.match(
    one.stdout,
    new RegExp(
      `^${runId}  published   ${shard}  manual     coverage 1\\n` +
        '  export +done +\\d+\\.\\d s\\n  load +all +done +\\d+\\.\\d s\\n  sli +done +\\d+\\.\\d s\\n  views +done +\\d+\\.\\d s\\n$',
      'u',
    ),
  );
  const nowhere = await command('status', '20200101T000000Z');
  assert.equal(
    nowhere.stderr,
    `There is no run 20200101T000000Z; the latest is ${runId}. Next: commons-mirror status\n`,
  );
  assert.equal(nowhere.code, 2);
  const wrongChunk = await command('retry', runId, 'load', 'some');
  assert.equal(wrongChunk.stderr, `commons-mirror retry ${runId} load: wants a chunk, one of all; found some\n`);
  assert.equal(wrongChunk.code, 2);
  const published = await command('publish', runId);
  assert.equal(published.stdout, `Run ${runId} is published already: 1 views. Nothing was done.\n`);
  assert.equal(published.code, 0);
  const unnamed = await commonsMirror(['plan', '--config', config]);
  assert.equal(
    unnamed.stderr,
    `commons-mirror plan: the source of ${config} is reached by its URL, which no file holds. ` +
      'Next: name it with --source URL, or in the variable SOURCE_URL\n',
  );
  assert.equal(unnamed.code, 2);
  const plan = await commonsMirror(['plan', '--source', url, '--config', config]);
  assert.equal(
    plan.stdout.replaceAll(/about \d+ rows, \d+\.\d MB/gu, 'SIZE'),
    `Shard ${shard} of commons-local.commons: 1 tables in 1 chunks\nchunk all\n` +
      '  public.things → things (table, SIZE, at least 1 part)\n    id: integer → INT64 REQUIRED\n    name: text → STRING\n    primary key: id\n',
  );

  // As a terminal does it: to the whole group.
  running.signal('SIGINT', true);
  const { code, stderr } = await running.ended;
  assert.equal(stderr, '');
  assert.equal(code, 0);
  await assertNothingIsLeft(where);
  const gone = await command('status');
  assert.equal(
    gone.stderr,
    `No local stack runs with the data directory ${where.data}. Next: npx commons-mirror start --data ${where.data}\n`,
  );
  assert.equal(gone.code, 2);
});
