import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '../free-port.ts';

/** Google's own Pub/Sub emulator, a second opinion on what our stand-in does. It comes with the Google Cloud SDK. */

const START_MS = 60_000;

/**
 * Runs the tests of another file of this folder over Google's emulator, which ends with them. Where there is none, a skipped
 * test says so.
 */
export async function overGooglePubSub(load: () => Promise<unknown>): Promise<void> {
  const program = await findEmulator();
  if (program === undefined) {
    test("over Google's Pub/Sub emulator", {
      skip: 'it is not installed: gcloud components install pubsub-emulator, and Java',
    });
    return;
  }
  const { endpoint, stop } = await startEmulator(program);
  process.env['TEST_PUBSUB_ENDPOINT'] = endpoint;
  try {
    await load();
  } catch (error) {
    await stop();
    throw error;
  }
  // Behind the file's own hooks, which close what uses it.
  after(stop);
}

/** The emulator's program in the Cloud SDK to which the `gcloud` on the path belongs. */
async function findEmulator(): Promise<string | undefined> {
  const ask = async (program: string, ...args: string[]): Promise<string | undefined> =>
    promisify(execFile)(program, args).then(
      ({ stdout }) => stdout.trim(),
      () => undefined,
    );
  const root = await ask('gcloud', 'info', '--format=value(installation.sdk_root)');
  const java = process.env['JAVA_HOME'] ?? (await ask('java', '-version'));
  if (root === undefined || java === undefined) return undefined;
  const program = path.join(root, 'platform', 'pubsub-emulator', 'bin', 'cloud-pubsub-emulator');
  return existsSync(program) ? program : undefined;
}

async function startEmulator(program: string): Promise<{ endpoint: string; stop: () => Promise<void> }> {
  const port = await freePort();
  // Its shell script becomes the JVM by exec.
  const child = spawn(program, ['--host=127.0.0.1', `--port=${port}`], { stdio: ['ignore', 'pipe', 'pipe'] });
  const stop = (): Promise<void> => end(child);
  try {
    let said = '';
    const hear = (text: Buffer): void => void (said += text.toString());
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    const deadline = Date.now() + START_MS;
    while (!said.includes('Server started, listening on')) {
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
        throw new Error(`Google's Pub/Sub emulator did not start:\n${said}`);
      }
      await sleep(50);
    }
    return { endpoint: `http://127.0.0.1:${port}`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
