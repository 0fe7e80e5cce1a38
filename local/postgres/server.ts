import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Account, spawnAs } from './account.ts';
import { whyNotStarted } from './start-error.ts';

const LONGEST_START_MS = 60_000;

export type Launch = {
  postgres: string;
  data: string;
  settings: Record<string, string>;
  log: string;
  account: Account;
};

/** Starts the server on `port` of loopback and resolves when it takes connections. Rejects with `StartError`. */
export async function launch(what: Launch, port: number) {
  // Heard from the first moment: a server that fails at once has ended before any promise could be waited for.
  const server = spawnServer(what, port);
  const ended = new Promise<string>((resolve) => {
    server.once('error', (error) => resolve(error.message));
    server.once('exit', (code, signal) => resolve(`postgres ended with ${String(signal ?? code)}`));
  });
  const watchdog = stopWithThisProcess(server, what.account);
  const gone = ended.then(async (ending) => {
    await watchdog.dismiss();
    return ending;
  });

  const deadline = Date.now() + LONGEST_START_MS;
  while (!(await isReady(what.data, server.pid))) {
    const late = Date.now() > deadline;
    if (late) server.kill('SIGQUIT');
    const ending = await Promise.race([gone, ...(late ? [] : [sleep(10)])]);
    if (ending === undefined) continue;
    const reason = late ? `not ready after ${LONGEST_START_MS / 1000} s` : ending;
    throw whyNotStarted({ data: what.data, log: what.log, text: await readFile(what.log, 'utf8'), ending: reason });
  }
  return {
    port,
    stop: async (mode: 'fast' | 'immediate' = 'fast') => {
      server.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
      await gone;
    },
  };
}

function spawnServer({ postgres, data, settings, log, account }: Launch, port: number): ChildProcess {
  const all = {
    ...settings,
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: data,
    logging_collector: 'off',
  };
  const set = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const file = openSync(log, 'w', 0o600);
  try {
    return spawn(postgres, ['-D', data, ...set], { ...spawnAs(account), stdio: ['ignore', file, file] });
  } finally {
    closeSync(file);
  }
}

/** The server's own word: the first line of postmaster.pid is its process, the eighth its state (utils/pidfile.h). */
async function isReady(data: string, pid: number | undefined): Promise<boolean> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const lines = text.split('\n');
  return lines[0] === String(pid) && lines[7]?.trim() === 'ready';
}

/**
 * Stops the server when this process ends without having done so: the pipe's only writer is this process, so `read` returns
 * when it ends, also by kill -9. PostgreSQL itself does not notice the end of its parent.
 */
function stopWithThisProcess(server: ChildProcess, account: Account) {
  const child = spawn('/bin/sh', ['-c', 'read -r never; kill -INT "$1"', 'sh', String(server.pid)], {
    ...spawnAs(account),
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => {
      server.kill('SIGQUIT');
      resolve();
    });
  });
  return {
    dismiss: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
