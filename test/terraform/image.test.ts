import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../free-port.ts';
import { serve } from '../../local/http.ts';
import { openStorage } from '../../local/storage/index.ts';
import { makeImage, type Image } from './dockerfile.ts';
import { nested, readTerraform, resource } from './hcl.ts';

/** The image's file set, made as the Dockerfile says, in a clean directory; started by its own command. */

const project = fileURLToPath(new URL('../..', import.meta.url));
let directory = '';
let node = '';
let image: Image;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'image-'));
  await chmod(directory, 0o755);
  image = await makeImage(project, directory);
  node = path.join(directory, 'node');
  await copyFile(process.execPath, node);
});

after(() => rm(directory, { recursive: true, force: true }));

test('holds production packages only, the native one among them, and no packaged Node', async () => {
  const packages = await readdir(path.join(image.app, 'node_modules'));
  const unwanted = ['typescript', 'oxlint', 'prettier', 'esbuild', 'draft-js', 'googleapis'];
  assert.deepEqual(
    packages.filter(
      (name) => unwanted.includes(name) || name.startsWith('node-linux') || name.startsWith('node-darwin'),
    ),
    [],
  );
  const native = await readdir(path.join(image.app, 'node_modules', '@node-rs'));
  assert.ok(native.includes(`crc32-${process.platform}-${process.arch}-gnu`), native.join(', '));
  assert.deepEqual((await readdir(image.app)).toSorted(), ['dist', 'mirror.yaml', 'node_modules', 'package.json']);
});

test('answers a CloudEvent as a user without rights', async (t) => {
  assert.equal(image.user, 'node');
  const storage = await openStorage({ directory: path.join(directory, 'storage'), publish: async () => {} });
  const server = await serve(storage.handle);
  t.after(async () => {
    await server.close();
    await storage.close();
  });
  const port = await freePort();
  const child = start(image.command, { ...environment(server.url), FUNCTION_TARGET: 'views', PORT: String(port) });
  t.after(() => child.kill('SIGKILL'));
  const answer = await pushed(port, { step: 'sli', runId: '20261122T030000Z', shard: '20261122' });
  assert.equal(answer, 204, child.output());
});

test('transform finds the text that it carries into BigQuery beside itself', async () => {
  const dist = path.join(image.app, 'dist');
  const names = await readdir(dist);
  const texts = await Promise.all(
    names.filter((name) => name.endsWith('.js')).map((name) => readFile(path.join(dist, name), 'utf8')),
  );
  assert.equal(texts.filter((text) => text.includes('new URL("./draft/", import.meta.url)')).length, 1);
  assert.deepEqual(
    await readdir(path.join(dist, 'draft')),
    await readdir(new URL('../../functions/transform/draft/', import.meta.url)),
  );
});

test("the export starts by the job's command, and names what is missing in its environment", async () => {
  const task = nested(
    resource(readTerraform(), 'google_cloud_run_v2_job', 'export'),
    'template',
    'template',
    'containers',
  );
  const [command, args] = ['command', 'args'].map((name) => JSON.parse(task.values.get(name) ?? '[]') as string[]);
  const child = start([...(command ?? []), ...(args ?? [])], {});
  const [code] = (await once(child.process, 'exit')) as [number | null];
  assert.equal(code, 1);
  const line = JSON.parse(child.output().trim().split('\n').at(-1) ?? '') as { severity: string; message: string };
  assert.equal(line.severity, 'ERROR');
  assert.match(line.message, /^The environment has faults:\n {2}GOOGLE_CLOUD_PROJECT: /u);
});

const environment = (storage: string): Record<string, string> => ({
  GOOGLE_CLOUD_PROJECT: 'commons-test',
  BIGQUERY_LOCATION: 'US',
  DATA_BUCKET: 'commons-test-mirror-data',
  LEDGER_BUCKET: 'commons-test-mirror-ledger',
  KMS_KEY: 'google-managed',
  STORAGE_ENDPOINT: storage,
  METADATA_SERVER_DETECTION: 'none',
});

/** Starts the image's command as `nobody` where this test may choose, and else as whoever runs it. */
function start([, ...args]: string[], variables: Record<string, string>) {
  const account = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  const child = spawn(node, args, {
    cwd: image.app,
    env: { ...image.environment, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...account,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += String(data)));
  return { process: child, output: () => output, kill: (signal: NodeJS.Signals) => child.kill(signal) };
}

/** Pushes as Pub/Sub does, once the server listens, at most 20 s. */
async function pushed(port: number, body: object): Promise<number> {
  const data = Buffer.from(JSON.stringify(body)).toString('base64');
  for (let tries = 0; ; tries++) {
    try {
      const { status } = await fetch(`http://127.0.0.1:${port}/projects/commons-test/topics/mirror-completions`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ message: { messageId: '1', data, attributes: {} }, subscription: 'views' }),
      });
      return status;
    } catch (error) {
      if (tries === 200) throw error;
      await sleep(100);
    }
  }
}
