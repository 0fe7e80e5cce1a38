import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { freePort } from '../test/free-port.ts';
import type { Completion, Failure } from '../functions/mirror/messages.ts';
import type { Plan } from '../functions/mirror/plan.ts';
import { parseConfig } from '../functions/mirror/config.ts';
import { serve } from '../local/http.ts';
import { openStorage } from '../local/storage/index.ts';
import { median, rounded } from './figures.ts';

/**
 * From a process' start to its first event answered, per function, against a bare function on the same framework; and, where
 * /proc tells it, the processor time of that, which a busy machine does not change. Started
 * as the image starts it. Each event is what a function's first one mostly is: it reads the ledger (the local Cloud
 * Storage) and finds nothing to do yet. In rounds, since the machine's speed drifts: `--runs 10`. Another set of files,
 * such as the image's: `--app DIR`, and its module with `--source FILE`. NODE_COMPILE_CACHE is handed on.
 */
export async function bench(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: {
      runs: { type: 'string', default: '10' },
      app: { type: 'string', default: fileURLToPath(new URL('..', import.meta.url)) },
      source: { type: 'string', default: 'functions/index.ts' },
    },
  });
  const directory = await mkdtemp(path.join(tmpdir(), 'commons-bench-'));
  const storage = await openStorage({ directory, publish: async () => {} });
  const server = await serve(storage.handle);
  try {
    await fillLedger(server.url);
    const times = new Map<Target, Start[]>(TARGETS.map((target) => [target, []]));
    for (let run = 0; run < Number(values.runs); run++) {
      for (const target of TARGETS) {
        const source = target === 'bare' ? BARE : path.join(values.app, values.source);
        times.get(target)?.push(await coldStart(target, values.app, source, server.url));
      }
    }
    return report(times);
  } finally {
    await server.close();
    await storage.close();
    await rm(directory, { recursive: true });
  }
}

const TARGETS = ['bare', 'load', 'transform', 'sli', 'views', 'alert', 'status'] as const;
type Target = (typeof TARGETS)[number];

const BARE = fileURLToPath(new URL('./cold-start-bare.ts', import.meta.url));

/** What a function may take longer than the bare one. */
const GOAL_MS = 400;

type Start = { wall: number; processor: number };

function report(times: Map<Target, Start[]>): object {
  const middle = (target: Target, what: keyof Start): number =>
    rounded(median((times.get(target) ?? []).map((start) => start[what])), 0);
  const functions = TARGETS.map((target) => {
    const [wall, processor] = [middle(target, 'wall'), middle(target, 'processor')];
    const more = wall - middle('bare', 'wall');
    const verdict = target === 'bare' ? '' : `, ${more} ms more than the bare one${more < GOAL_MS ? '' : ': too slow'}`;
    console.log(`${target.padEnd(10)} ${wall} ms${verdict}; processor ${processor} ms`);
    return [target, { wall, more, processor }] as const;
  });
  const isMet = functions.every(([, { more }]) => more < GOAL_MS);
  const runs = times.get('bare')?.length;
  return { bench: 'cold-start', runs, goal: GOAL_MS, isMet, functions: Object.fromEntries(functions) };
}

async function coldStart(target: Target, app: string, source: string, storage: string): Promise<Start> {
  const port = await freePort();
  const begin = performance.now();
  const child = spawn(process.execPath, ['node_modules/@google-cloud/functions-framework/build/src/main.js'], {
    cwd: app,
    env: environmentOf(target, source, port, storage),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += String(data)));
  const exited = once(child, 'exit');
  try {
    while (!(await isListening(port))) {
      if (child.exitCode !== null) throw new Error(`The function ${target} ended while starting: ${output}`);
      await sleep(1);
    }
    const status = await firstEvent(target, port);
    if (status !== (target === 'status' ? 200 : 204)) {
      throw new Error(`The function ${target} answered ${status}: ${output}`);
    }
    return { wall: performance.now() - begin, processor: await processorTime(child.pid) };
  } finally {
    child.kill('SIGKILL');
    await exited;
  }
}

/** User and system time so far, in ms, in Linux' steps of 10 ms; NaN elsewhere. */
async function processorTime(pid: number | undefined): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field, the name in brackets, may hold blanks; utime and stime are the 14th and 15th.
  const [user, system] = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return 10 * (Number(user) + Number(system));
}

function environmentOf(target: Target, source: string, port: number, storage: string): NodeJS.ProcessEnv {
  const { PATH, NODE_COMPILE_CACHE } = process.env;
  return {
    PATH,
    ...(NODE_COMPILE_CACHE && { NODE_COMPILE_CACHE }),
    NODE_ENV: 'production',
    PORT: String(port),
    FUNCTION_TARGET: target,
    FUNCTION_SOURCE: source,
    FUNCTION_SIGNATURE_TYPE: 'cloudevent',
    GOOGLE_CLOUD_PROJECT: PROJECT,
    BIGQUERY_LOCATION: 'US',
    DATA_BUCKET,
    LEDGER_BUCKET,
    KMS_KEY: 'google-managed',
    STORAGE_ENDPOINT: storage,
    SLACK_WEBHOOK_URL: 'http://127.0.0.1:9/never-called',
    METADATA_SERVER_DETECTION: 'none',
  };
}

/** Sends the event as Pub/Sub pushes it; the page's is a request. Gives the answer's status. */
async function firstEvent(target: Target, port: number): Promise<number> {
  const url = `http://127.0.0.1:${port}`;
  if (target === 'status') return (await fetch(url)).status;
  const data = Buffer.from(JSON.stringify(EVENTS[target])).toString('base64');
  const { status } = await fetch(`${url}/projects/${PROJECT}/topics/any`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ message: { messageId: '1', data, attributes: {} }, subscription: 'any' }),
  });
  return status;
}

const PROJECT = 'commons-bench';
const DATA_BUCKET = 'bench-data';
const LEDGER_BUCKET = 'bench-ledger';
const RUN = '20261122T030000Z';
const FAULT = `${RUN}/load/members/g0/original`;

const done: Completion = { step: 'load', runId: RUN, shard: '20261122', chunk: 'members' };
const failure: Failure = {
  step: 'load',
  runId: RUN,
  chunk: 'members',
  fault: FAULT,
  kind: 'failed',
  what: '',
  attempts: 3,
};
const EVENTS: Record<Exclude<Target, 'status'>, object> = {
  bare: {},
  // A manifest of an attempt that has been given up.
  load: { bucket: DATA_BUCKET, name: `chunks/${RUN}/1/members.json` },
  transform: done,
  sli: done,
  views: done,
  alert: failure,
};

async function fillLedger(storage: string): Promise<void> {
  const { config } = parseConfig(
    `{ project: ${PROJECT}, region: us-central1, location: US, dataset: commons, chunks: [{ name: members, tables: ['public.*'] }] }`,
    'bench',
  );
  const plan: Plan = {
    version: 1,
    runId: RUN,
    shard: '20261122',
    attempt: 0,
    trigger: 'manual',
    startedAt: '2026-11-22T03:00:00.000Z',
    config,
    serverVersion: 180000,
    nullToken: 'none',
    chunks: [{ name: 'members', tables: [] }],
    leftOut: [],
    warnings: [],
  };
  const told = `told/${createHash('sha256').update(FAULT).digest('hex')}.json`;
  await post(`${storage}/storage/v1/b?project=${PROJECT}`, { name: LEDGER_BUCKET });
  await upload(storage, `runs/${RUN}/plan.json`, plan);
  await upload(storage, told, { state: 'told', at: 0, by: 'bench' });
}

const upload = (storage: string, name: string, value: object): Promise<void> =>
  post(`${storage}/upload/storage/v1/b/${LEDGER_BUCKET}/o?uploadType=media&name=${encodeURIComponent(name)}`, value);

async function post(url: string, value: object): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(value),
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
