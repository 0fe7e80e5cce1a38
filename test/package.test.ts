import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Report } from '../local/report.ts';
import { mirrorYaml, type Ended } from './chain/harness.ts';

/** The package, as `npm pack` makes it, installed in a clean directory: what is in it, and that its command works. */

const project = fileURLToPath(new URL('..', import.meta.url));
const SKIPPED =
  'the npm registry cannot be reached, and its cache does not have all: the installed package was NOT tested';

let root = '';
let files: string[] = [];
let installed: Ended;
/** Node 22 from the registry, which starts the command as an older Node of the user's would. */
let node22: Ended;

before(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'package-'));
  // PostgreSQL's account must get in where this runs as root.
  await chmod(root, 0o755);
  const older = `node-${process.platform}-${process.arch}@22`;
  // Asked once: an installation would go through all of npm's retries for each of its packages.
  const isReachable = (await npm(root, 'view', older, 'version', '--fetch-retries=0')).code === 0;
  const packed = await npm(project, 'pack', '--json', '--pack-destination', root);
  assert.equal(packed.code, 0, packed.stderr);
  const [tarball] = JSON.parse(packed.stdout) as [{ filename: string; files: { path: string }[] }];
  files = tarball.files.map((file) => file.path);
  [installed, node22] = await Promise.all([
    install('app', path.join(root, tarball.filename), isReachable),
    install('node22', older, isReachable),
  ]);
});

after(() => rm(root, { recursive: true, force: true }));

test('holds what runs, as JavaScript, and what that reads; no test, and nothing of the machine', () => {
  const isCompiled = (file: string): boolean => /^build\/(?:cli|functions|local)\/.*\.js$/u.test(file);
  assert.deepEqual(files.filter((file) => !isCompiled(file)).toSorted(), [
    'LICENSE',
    'README.md',
    'build/functions/transform/draft/content.ts',
    'build/functions/transform/draft/entities.ts',
    'build/functions/transform/draft/groups.ts',
    'build/functions/transform/draft/html.ts',
    'build/functions/transform/draft/index.ts',
    'build/functions/transform/draft/markdown-inline.ts',
    'build/functions/transform/draft/markdown.ts',
    'build/functions/transform/draft/runs.ts',
    'build/functions/transform/draft/strings.ts',
    'build/functions/transform/draft/tokens.ts',
    'build/local/sample/audit.sql',
    'build/local/sample/builder.sql',
    'build/local/sample/care.sql',
    'build/local/sample/dice.sql',
    'build/local/sample/keys.sql',
    'build/local/sample/legacy.sql',
    'build/local/sample/members.sql',
    'build/local/sample/messaging.sql',
    'build/mirror.yaml',
    'build/package.json',
    'cli/launch.js',
    'docs/operations.md',
    'docs/types.md',
    'mirror.schema.json',
    'package.json',
  ]);
  for (const entry of ['cli/index', 'local/function-process', 'local/job-process', 'functions/export/main'])
    assert.ok(files.includes(`build/${entry}.js`), entry);
});

test('npx runs its command', async (t) => {
  if (isSkipped(t, installed)) return;
  const { version } = JSON.parse(await readFile(path.join(project, 'package.json'), 'utf8')) as { version: string };
  const told = await npx('--version');
  assert.deepEqual([told.code, told.stdout], [0, `${version}\n`], told.stderr);
  const unknown = await npx('mirror');
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /^commons-mirror: unknown command mirror; allowed: start, plan, [^\n]+, help$/mu);
});

test('mirrors a part of the sample, rich text included', async (t) => {
  if (isSkipped(t, installed)) return;
  const data = path.join(root, 'data');
  const report = path.join(root, 'report.json');
  const config = path.join(root, 'mirror.yaml');
  await writeFile(
    config,
    mirrorYaml(
      'chunks: [{ name: care, tables: [care.notes] }]\nbuilder: [builder.fields]\n' +
        'transforms: [{ transformer: draftjs, table: care.notes, columns: { content: [text] } }]\n',
    ),
  );
  const args = ['start', '--once', '--port', '0', '--data', data, '--config', config, '--json', report];
  const { code, stdout, stderr } = await launch(process.execPath, ...args);
  assert.equal(stderr, '', stdout);
  assert.equal(code, 0);
  const { state, coverage, tables, transforms, views } = JSON.parse(await readFile(report, 'utf8')) as Report;
  assert.deepEqual(
    {
      state,
      coverage,
      tables: tables.map(({ warehouseTable, exported, loaded, errors }) => [warehouseTable, exported, loaded, errors]),
      transforms: transforms.map(({ name, output, rows }) => [name, output, rows]),
      views: views.map(({ view }) => view).toSorted(),
    },
    {
      state: 'published',
      coverage: 1,
      tables: [
        ['care__notes', 6000, 6000, 0],
        ['builder__fields', 400, 400, 0],
      ],
      transforms: [['draftjs', 'care__notes_transformed', 6000]],
      views: ['builder__fields', 'care__notes', 'care__notes_transformed'],
    },
  );
});

test('started by Node 22, runs on the Node 24 that it has packaged', async (t) => {
  if (isSkipped(t, installed) || isSkipped(t, node22)) return;
  const older = path.join(root, 'node22/node_modules/.bin/node');
  const { stdout } = await execute(older, ['--version'], root);
  assert.match(stdout, /^v22\./u);
  const newer = await launch(older, '--node', '--print', 'process.version');
  assert.match(newer.stdout, /^v24\./u, newer.stderr);
  const help = await launch(older, 'help');
  assert.deepEqual([help.code, help.stderr], [0, '']);
  assert.match(help.stdout, /^Mirrors a PostgreSQL database into BigQuery\.$/mu);
});

test('without the optional packages, helps, and says what start lacks', async (t) => {
  if (isSkipped(t, installed)) return;
  const packages = path.join(root, 'app/node_modules');
  await rename(path.join(packages, '@duckdb'), path.join(root, '@duckdb'));
  t.after(() => rename(path.join(root, '@duckdb'), path.join(packages, '@duckdb')));
  const help = await npx('help');
  assert.equal(help.code, 0, help.stderr);
  assert.match(help.stdout, /^ {2}commons-mirror start$/mu);
  const start = await launch(process.execPath, 'start');
  assert.equal(
    start.stderr,
    "The local stack is not installed: Cannot find package '@duckdb/node-api'. Next: install again without --omit=optional.\n",
  );
  assert.equal(start.code, 1);
});

/** The installed command, started by `node`. */
const launch = (node: string, ...args: string[]): Promise<Ended> => {
  const app = path.join(root, 'app');
  return execute(node, [path.join(app, 'node_modules/commons-mirror/cli/launch.js'), ...args], app);
};

const npx = (...args: string[]): Promise<Ended> =>
  execute('npx', ['--no-install', 'commons-mirror', ...args], path.join(root, 'app'));

const npm = (directory: string, ...args: string[]): Promise<Ended> => execute('npm', args, directory);

/**
 * Installs into a directory of its own. Without install scripts, the harder case: the local stack makes PostgreSQL's links
 * by itself then, and ssh2 has no native code, as everywhere in this project.
 */
async function install(directory: string, what: string, isReachable: boolean): Promise<Ended> {
  const at = path.join(root, directory);
  await mkdir(at);
  await writeFile(path.join(at, 'package.json'), '{}');
  const cache = isReachable ? '--prefer-offline' : '--offline';
  return npm(at, 'install', '--no-audit', '--no-fund', '--ignore-scripts', cache, what);
}

/** Where npm could reach no registry, and has not all in its cache, says so and skips; any other failure is one. */
function isSkipped(t: TestContext, { code, stderr }: Ended): boolean {
  if (code === 0) return false;
  assert.match(stderr, /^npm error code ENOTCACHED$/mu);
  console.error(`\n!!! SKIPPED: ${SKIPPED}\n`);
  t.skip(SKIPPED);
  return true;
}

/** Runs a program to its end, without what the npm and the test runner around this test tell their own. */
function execute(program: string, args: string[], cwd: string): Promise<Ended> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_|^NODE_TEST/u.test(name)));
  return new Promise((resolve) => {
    const child = execFile(program, args, { cwd, env, maxBuffer: 2 ** 26 }, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr });
    });
  });
}
