import { execFile } from 'node:child_process';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';

/**
 * Stand-ins for the command lines of Google, Docker and Terraform: each call is recorded, and answered with what the test
 * says about a call of that beginning; by default with success and nothing.
 * With Terraform's plan and apply the image is recorded that they have from the environment.
 */
export type Answer = { stdout?: string; fails?: boolean };

const TOOLS = ['gcloud', 'bq', 'docker', 'terraform'];

/** Makes the tools in `directory`/bin. `answers`: beginning of a call → answer; the longest beginning counts. */
export async function fakeTools(directory: string, answers: Record<string, Answer>): Promise<NodeJS.ProcessEnv> {
  const bin = path.join(directory, 'bin');
  await mkdir(bin, { recursive: true });
  await writeFile(path.join(directory, 'answers.json'), JSON.stringify(answers));
  await writeFile(path.join(directory, 'calls.jsonl'), '');
  await writeFile(path.join(directory, 'tool.cjs'), TOOL);
  await writeFile(path.join(bin, 'any'), `#!/bin/sh\nexec '${process.execPath}' "$FAKES/tool.cjs" "$0" "$@"\n`, {
    mode: 0o755,
  });
  for (const tool of TOOLS) await symlink('any', path.join(bin, tool)).catch(ignoreExisting);
  // Without a level, bash takes a pipe for a remote login and reads its startup files.
  return { PATH: `${bin}:/usr/bin:/bin`, FAKES: directory, SHLVL: '1' };
}

const TOOL = `
const { appendFileSync, readFileSync } = require('node:fs');
const { basename } = require('node:path');
const [, , file, ...args] = process.argv;
const call = [basename(file), ...args].join(' ');
const image = /^terraform (?:plan|apply)/u.test(call) && process.env.TF_VAR_image;
const told = image ? call + ' (TF_VAR_image=' + image + ')' : call;
appendFileSync(process.env.FAKES + '/calls.jsonl', JSON.stringify(told) + '\\n');
const answers = JSON.parse(readFileSync(process.env.FAKES + '/answers.json', 'utf8'));
const [found] = Object.keys(answers).filter((start) => call.startsWith(start)).sort((a, b) => b.length - a.length);
const { stdout = '', fails = false } = answers[found] ?? {};
process.stdout.write(stdout);
process.exitCode = fails ? 1 : 0;
`;

/** What has been called, in order. */
export async function calls(directory: string): Promise<string[]> {
  const text = await readFile(path.join(directory, 'calls.jsonl'), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as string);
}

export type Ended = { code: number; stdout: string; stderr: string };

/** Runs a command to its end, whatever that is. */
export function run(command: string, args: string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr });
    });
  });
}

function ignoreExisting(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
}
