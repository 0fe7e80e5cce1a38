import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync, closeSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SUBSCRIPTIONS, type EventFunction } from './topology.ts';

/** The functions and the job as processes: each with the environment that Terraform would set, logging to one file. */

const FUNCTIONS = [...(Object.keys(SUBSCRIPTIONS) as EventFunction[]), 'status'] as const;
export type FunctionName = (typeof FUNCTIONS)[number];

export type Functions = {
  urls: Record<FunctionName, string>;
  /** The function's present process. */
  pid: (name: FunctionName) => number | undefined;
  close: () => Promise<void>;
};

const REVIVAL_PAUSE_MS = 1000;

/**
 * Starts one process per function; resolves when all are listening. One that dies later is started again behind the same
 * address, as Cloud Run starts a new instance: the message that it was at comes again.
 */
export async function startFunctions(environment: Record<string, string>, logFile: string): Promise<Functions> {
  const children = new Map<FunctionName, ChildProcess>();
  const closing = new AbortController();
  const startOne = async (name: FunctionName, wantedPort: number): Promise<number> => {
    const child = start('function-process', [name, String(wantedPort)], environment, logFile);
    children.set(name, child);
    const port = await portOf(child, name, logFile);
    child.once('exit', () => void revive(name, port));
    return port;
  };
  const revive = async (name: FunctionName, port: number): Promise<void> => {
    while (!closing.signal.aborted) {
      try {
        await startOne(name, port);
        return;
      } catch {
        // Why is in the log. Its deliveries fail meanwhile, and come again.
        await sleep(REVIVAL_PAUSE_MS);
      }
    }
  };
  const close = async (): Promise<void> => {
    closing.abort();
    await Promise.all([...children.values()].map(stop));
  };
  try {
    const urls = await Promise.all(
      FUNCTIONS.map(async (name) => [name, `http://127.0.0.1:${await startOne(name, 0)}`] as const),
    );
    return {
      urls: Object.fromEntries(urls) as Record<FunctionName, string>,
      pid: (name) => children.get(name)?.pid,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function portOf(child: ChildProcess, name: string, logFile: string): Promise<number> {
  const [message] = await Promise.race([
    once(child, 'message') as Promise<unknown[]>,
    once(child, 'exit').then(() => {
      throw new Error(`The function ${name} ended while starting. Next: read ${logFile}`);
    }),
  ]);
  const port = typeof message === 'object' && message !== null && 'port' in message ? message.port : undefined;
  if (typeof port !== 'number') throw new Error(`The function ${name} told no port`);
  return port;
}

/** As Terraform sets it on the job. */
export const JOB_RETRIES = 2;

/** Runs the export job to its end, with Cloud Run's retries. True if it succeeded. `signal` stops it, as SIGTERM would. */
export async function runExport(
  environment: Record<string, string>,
  logFile: string,
  signal: AbortSignal,
): Promise<boolean> {
  for (let attempt = 0; attempt <= JOB_RETRIES && !signal.aborted; attempt++) {
    const child = start('job-process', [], { ...environment, CLOUD_RUN_TASK_ATTEMPT: String(attempt) }, logFile);
    const onAbort = (): void => void child.kill('SIGTERM');
    signal.addEventListener('abort', onAbort, { once: true });
    const exited = once(child, 'exit');
    const overdue = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => setTimeout(resolve, SIGKILL_AFTER_MS).unref(), { once: true });
    });
    await Promise.race([exited, overdue.then(() => child.kill('SIGKILL')).then(() => exited)]);
    signal.removeEventListener('abort', onAbort);
    if (child.exitCode === 0) return true;
  }
  return false;
}

/** Cloud Run: ten seconds between SIGTERM and SIGKILL. */
const SIGKILL_AFTER_MS = 10_000;

function start(name: string, args: string[], environment: Record<string, string>, logFile: string): ChildProcess {
  // TypeScript in the repository, JavaScript in the package: as this file is.
  const file = path.join(import.meta.dirname, name + path.extname(import.meta.filename));
  const log = openSync(logFile, 'a');
  try {
    return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file, ...args], {
      // Nothing of this shell's Google settings reaches a function: only what is set here.
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...environment },
      stdio: ['ignore', log, log, 'ipc'],
      // A terminal's Ctrl-C goes to the parent alone, which stops its children in order.
      detached: true,
    });
  } finally {
    closeSync(log);
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), 3000);
  await exited;
  clearTimeout(force);
}
