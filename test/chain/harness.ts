import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { BigQuery, type TableMetadata } from '@google-cloud/bigquery';
import { PubSub } from '@google-cloud/pubsub';
import { PassThroughClient } from 'google-auth-library';
import { Client, type QueryResultRow } from 'pg';
import { parseConfig } from '../../functions/mirror/config.ts';
import { openChain, type Chain } from '../../local/chain.ts';
import { openDataDirectory } from '../../local/data-directory.ts';
import { makeReport, type Report } from '../../local/report.ts';
import type { SlackMessage } from '../../local/slack.ts';
import { SUBSCRIPTIONS, SUBSCRIPTION_SETTINGS, type EventFunction } from '../../local/topology.ts';
import { openProxy, PATIENCE_MS, type Answer, type Passing, type Proxy } from './proxy.ts';

/** The chain on the real stack, with a proxy on each way that a test may want to disturb. */
export type Harness = {
  chain: Chain;
  directory: string;
  /** Pub/Sub's pushes to the functions. */
  push: Proxy;
  /** The functions' calls of BigQuery, and of Slack. The harness itself goes straight. */
  services: Proxy;
  /** Mirrors `sourceUrl` by `yaml`, to the run's end. */
  run: (sourceUrl: string, yaml: string) => Promise<Report>;
  /** The same, given back as soon as the run has its id. */
  begin: (sourceUrl: string, yaml: string) => Promise<{ runId: string; ended: Promise<Report> }>;
  query: (sql: string) => Promise<Record<string, unknown>[]>;
  /** A table's or view's metadata; undefined where there is none. */
  table: (id: string, dataset?: string) => Promise<TableMetadata | undefined>;
  tables: (dataset?: string) => Promise<string[]>;
  deleteTable: (id: string, dataset: string) => Promise<void>;
  /** Loads into a table of the loading dataset, as a person would. Gives its rows. */
  load: (id: string, configuration: object) => Promise<number>;
  /** Ids and labels of every job. */
  jobLabels: () => Promise<[id: string | undefined, labels: unknown][]>;
  publish: (topic: string, body: object, attributes?: Record<string, string>) => Promise<void>;
  slack: () => Promise<SlackMessage[]>;
  /** Objects of a bucket: name to text. */
  objects: (bucket: string, prefix?: string) => Promise<Map<string, string>>;
  log: () => Promise<string>;
  /** `commons-mirror` with these arguments and this stack as its target. */
  command: (...args: string[]) => Promise<Ended>;
  /** Resolves when no function has a message, waiting or in delivery. */
  idle: () => Promise<void>;
  close: () => Promise<void>;
};

export type Ended = { code: number | null; stdout: string; stderr: string };

export const PROJECT = 'commons-local';
export const LEDGER = `${PROJECT}-mirror-ledger`;
export const DATA = `${PROJECT}-mirror-data`;

/** A mirror.yaml around what a test is about. */
export const mirrorYaml = (rest: string): string =>
  `project: ${PROJECT}\nregion: us-central1\nlocation: US\ndataset: commons\n${rest}`;

/** Deliveries come again after so long; in production it is ten seconds. */
const BACKOFF_MS = 100;

/** Opens a chain in a temporary directory. One per process: the functions' modules read the environment once. */
export async function openHarness(): Promise<Harness> {
  const directory = await mkdtemp(path.join(tmpdir(), 'mirror-chain-'));
  const opened: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const end of opened.splice(0).toReversed()) await end();
  };
  try {
    const push = await openProxy();
    opened.push(push.close);
    const services = await openProxy();
    opened.push(services.close);
    const configFile = path.join(directory, 'mirror.yaml');
    const config = parseConfig(mirrorYaml('chunks: [{ name: all, tables: ["*.*"] }]'), configFile).config;
    const data = await openDataDirectory(path.join(directory, 'data'));
    const chain = await openChain({
      project: PROJECT,
      data,
      port: 0,
      config,
      configFile,
      pubsubEndpoint: process.env['TEST_PUBSUB_ENDPOINT'],
      environment: { BIGQUERY_ENDPOINT: services.url, SLACK_WEBHOOK_URL: `${services.url}/slack` },
    });
    let closed: Promise<void> | undefined;
    const closeChain = chain.close;
    chain.close = () => (closed ??= closeChain());
    opened.push(chain.close);
    // As `start` announces its stack to the other commands.
    const announcement = { pid: process.pid, dataset: 'commons', environment: chain.environment };
    await writeFile(data.path('stack.json'), JSON.stringify(announcement));
    services.route('/', `${chain.stack.url}/`);
    const pubsub = new PubSub({ projectId: PROJECT });
    opened.push(() => pubsub.close());
    await pushThrough(push, pubsub, chain);
    const stopped = new AbortController();
    const runs: Promise<unknown>[] = [];
    opened.push(async () => {
      stopped.abort();
      await Promise.allSettled(runs);
    });
    const run = (sourceUrl: string): Promise<string> => {
      const running = chain.run({ SOURCE_URL: sourceUrl }, stopped.signal, () => {});
      runs.push(running);
      return running;
    };
    const isIdle = process.env['TEST_PUBSUB_ENDPOINT'] === undefined ? chain.stack.idle : watchDeliveries(push);
    return { ...operations(chain, run, isIdle, directory, configFile, pubsub), push, services, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Leads every subscription's pushes through the proxy, and has failed deliveries come again soon. */
async function pushThrough(proxy: Proxy, pubsub: PubSub, chain: Chain): Promise<void> {
  for (const [name, topic] of Object.entries(SUBSCRIPTIONS)) {
    proxy.route(`/${name}/`, `${chain.functions.urls[name as EventFunction]}/`);
    const subscription = pubsub.subscription(name);
    await subscription.modifyPushConfig({ pushEndpoint: `${proxy.url}/${name}/projects/${PROJECT}/topics/${topic}` });
    const backoff = { seconds: 0, nanos: BACKOFF_MS * 1_000_000 };
    await subscription.setMetadata({
      retryPolicy: { minimumBackoff: backoff, maximumBackoff: { seconds: 1 } },
      ackDeadlineSeconds: SUBSCRIPTION_SETTINGS.ackDeadlineSeconds,
    });
  }
}

/** A message that was just published may still be on its way to its first delivery. */
const QUIET_MS = 2000;

/** Whether no function has a message, told by the deliveries alone: a foreign Pub/Sub does not tell. */
function watchDeliveries(proxy: Proxy): () => boolean {
  const unacknowledged = new Set<string>();
  let lastChange = Date.now();
  const follow = async (delivery: Passing, answer: Promise<Answer>): Promise<void> => {
    const { to, id } = pushed(delivery);
    unacknowledged.add(`${to} ${id}`);
    lastChange = Date.now();
    const { status } = await answer;
    lastChange = Date.now();
    if (status >= 200 && status < 300) unacknowledged.delete(`${to} ${id}`);
  };
  proxy.observe((delivery, answer) => void follow(delivery, answer));
  return () => unacknowledged.size === 0 && Date.now() - lastChange > QUIET_MS;
}

function operations(
  chain: Chain,
  runChain: (sourceUrl: string) => Promise<string>,
  isIdle: () => boolean | undefined,
  directory: string,
  configFile: string,
  pubsub: PubSub,
): Omit<Harness, 'push' | 'services' | 'close'> {
  const { stack } = chain;
  const authClient = new PassThroughClient();
  const bigquery = new BigQuery({ projectId: PROJECT, location: 'US', apiEndpoint: stack.bigquery, authClient });
  const objects = async (bucket: string, prefix = ''): Promise<Map<string, string>> => {
    const api = `${stack.storage}/storage/v1/b/${bucket}/o`;
    const list = (await (await fetch(`${api}?prefix=${encodeURIComponent(prefix)}`)).json()) as {
      items?: { name: string }[];
    };
    const found = new Map<string, string>();
    for (const { name } of list.items ?? []) {
      const answer = await fetch(`${api}/${encodeURIComponent(name)}?alt=media`);
      if (answer.ok) found.set(name, await answer.text());
    }
    return found;
  };
  const run = async (sourceUrl: string, yaml: string): Promise<Report> => {
    await writeFile(configFile, yaml);
    const runId = await runChain(sourceUrl);
    return makeReport(runId, 0);
  };
  return {
    chain,
    directory,
    run,
    begin: async (sourceUrl, yaml) => {
      const before = new Set(await runIds());
      const ended = run(sourceUrl, yaml);
      // Whoever awaits the run's end hears of its failure.
      ended.catch(() => {});
      const runId = await until('the run has an id', async () => (await runIds()).find((id) => !before.has(id)));
      // The export has read mirror.yaml by the time that the plan stands.
      await until('the run has a plan', async () => {
        const names = await objects(LEDGER, `runs/${runId}/plan.json`);
        return names.size > 0 || undefined;
      });
      return { runId, ended };
    },
    query: async (sql) => {
      const [rows] = await bigquery.query({ query: sql, location: 'US' });
      return rows as Record<string, unknown>[];
    },
    table: async (id, dataset = 'commons') => {
      try {
        const [metadata] = await bigquery.dataset(dataset).table(id).getMetadata();
        return metadata as TableMetadata;
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 404) return undefined;
        throw error;
      }
    },
    tables: async (dataset = 'commons') => {
      const [tables] = await bigquery.dataset(dataset).getTables();
      return tables.map(({ id }) => id ?? '').sort();
    },
    deleteTable: async (id, dataset) => {
      await bigquery.dataset(dataset).table(id).delete();
    },
    load: async (id, configuration) => {
      const destinationTable = { projectId: PROJECT, datasetId: 'commons_loading', tableId: id };
      const [job] = await bigquery.createJob({ configuration: { load: { ...configuration, destinationTable } } });
      await job.promise();
      const [metadata] = await bigquery.dataset('commons_loading').table(id).getMetadata();
      return Number((metadata as TableMetadata).numRows);
    },
    jobLabels: async () => {
      const [jobs] = await bigquery.getJobs();
      return jobs.map(({ id, metadata }) => [
        id,
        (metadata as { configuration?: { labels?: unknown } }).configuration?.labels,
      ]);
    },
    publish: async (topic, body, attributes = {}) => {
      await pubsub.topic(topic, { batching: { maxMessages: 1 } }).publishMessage({ json: body, attributes });
    },
    slack: stack.slackMessages,
    objects,
    log: () => readFile(chain.logFile, 'utf8'),
    command: (...args) => commonsMirror([...args, '--data', path.join(directory, 'data')]),
    idle: async () => {
      await until('no function has a message', () => isIdle() || undefined);
    },
  };
}

/** Runs the real command to its end. */
export async function commonsMirror(args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [LAUNCH, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended: Ended = { code: null, stdout: '', stderr: '' };
  child.stdout.on('data', (text: Buffer) => (ended.stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (ended.stderr += text.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { ...ended, code };
}

export const LAUNCH = fileURLToPath(new URL('../../cli/launch.js', import.meta.url));

async function runIds(): Promise<string[]> {
  const { runIds: list } = await import('../../functions/ledger/status.ts');
  return list();
}

/** Asks until there is an answer. */
export async function until<T>(what: string, ask: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) throw new Error(`Waited ${PATIENCE_MS / 1000} s in vain: ${what}`);
    await sleep(25);
  }
}

/** The body of the Pub/Sub message that a push carries, and what it is for. */
export function pushed(request: Passing): { to: string; id: string; body: Record<string, unknown> } {
  const envelope = JSON.parse(request.body) as { message: { messageId: string; data?: string } };
  const text = Buffer.from(envelope.message.data ?? '', 'base64').toString();
  const [, to = ''] = request.path.split('/');
  return { to, id: envelope.message.messageId, body: JSON.parse(text || '{}') as Record<string, unknown> };
}

/** Rows of a query on the source. */
export async function select(url: string, sql: string): Promise<QueryResultRow[]> {
  const client = new Client(url);
  await client.connect();
  try {
    const { rows } = await client.query<QueryResultRow>(sql);
    return rows;
  } finally {
    await client.end();
  }
}

/** A Slack message with everything that a person sees. */
export const slackText = ({ text, blocks = [] }: SlackMessage): string =>
  [text, ...blocks.map((block) => block.text?.text ?? '')].join('\n');
