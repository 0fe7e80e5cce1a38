import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { openDataDirectory } from '../../local/data-directory.ts';
import { toolCommands } from '../../local/google-tools.ts';
import { openStack, type Stack } from '../../local/stack.ts';

export const PROJECT = 'commons-local';

/** For a test's `skip`: what is missing, or false. */
export function without(tool: 'bq' | 'gcloud' | 'gsutil'): string | false {
  const { status } = spawnSync('sh', ['-c', `command -v ${tool}`]);
  return status === 0 ? false : `${tool}, of the Google Cloud SDK, is not installed`;
}

export type Ran = { code: number; stdout: string; stderr: string };

/** An empty directory for Google's tools to call home, and a shell in it which knows nothing else of this machine's user. */
export async function openShell(t: TestContext, more: Record<string, string> = {}) {
  const directory = await mkdtemp(path.join(tmpdir(), 'google-tools-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const home = path.join(directory, 'home');
  await mkdir(home);
  const env = {
    PATH: process.env['PATH'],
    HOME: home,
    CLOUDSDK_CONFIG: path.join(home, 'gcloud'),
    // The installation is not ours: it is neither asked for updates nor reported about.
    CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: 'true',
    CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK: 'true',
    LC_ALL: 'C.UTF-8',
    ...more,
  };
  /** Runs a line as if it were pasted into a terminal. */
  const run = (line: string): Promise<Ran> =>
    new Promise((resolve) => {
      const shell = execFile('sh', ['-c', line], { env, cwd: directory }, (error, stdout, stderr) => {
        resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr });
      });
      shell.stdin?.end();
    });
  /** The same for a line that must succeed; gives what it writes. */
  const ask = async (line: string): Promise<string> => {
    const { code, stdout, stderr } = await run(line);
    assert.equal(code, 0, `${line}\n${stdout}\n${stderr}`);
    return stdout;
  };
  return { directory, home, run, ask };
}

/** The stack as `npm start` opens it, and a shell. */
export async function openTools(t: TestContext) {
  process.env['METADATA_SERVER_DETECTION'] = 'none';
  const shell = await openShell(t);
  const data = await openDataDirectory(path.join(shell.directory, 'data'));
  const stack: Stack = await openStack({ project: PROJECT, data, port: 0 });
  t.after(() => stack.close());
  const endpoints = { ...stack, project: PROJECT };
  const commands = toolCommands(endpoints);
  assert.ok(commands.gsutil);
  return { ...shell, stack, endpoints, bq: commands.bq, gcloud: commands.gcloud, gsutil: commands.gsutil };
}
