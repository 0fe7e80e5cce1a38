import { readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { parseConfig, type Config } from '../functions/mirror/config.ts';
import { ConfigurationError, PermanentError } from '../functions/mirror/errors.ts';
import { configForAptible, sampleOnAptible } from './aptible/sample.ts';
import { openChain } from './chain.ts';
import { configForAll } from './config-for-all.ts';
import { openDataDirectory, type DataDirectory } from './data-directory.ts';
import { googleToolLines } from './google-tools.ts';
import { startPostgres } from './postgres/index.ts';
import { makeReport, writeReport, type Report } from './report.ts';
import { createSample } from './sample/index.ts';
import type { Stack } from './stack.ts';

export type MirrorOptions = {
  sourceUrl: string | undefined;
  /** The sample comes as a backup on the local Aptible. */
  aptible: boolean;
  configFile: string | undefined;
  dataDirectory: string;
  once: boolean;
  reportFile: string | undefined;
  port: number;
  storageEndpoint: string | undefined;
  pubsubEndpoint: string | undefined;
  bigqueryEndpoint: string | undefined;
};

const SAMPLE_CONFIG = fileURLToPath(new URL('../mirror.yaml', import.meta.url));

/**
 * The whole chain on this machine: the services, each function in its process, the export; then the run's end is waited for,
 * told and reported. Gives the exit code. Whatever happens, also Ctrl-C at any moment, everything started is stopped.
 */
export async function mirrorLocally(options: MirrorOptions): Promise<number> {
  const started: (() => Promise<void>)[] = [];
  const onStop = (stop: () => Promise<void>): void => void started.push(stop);
  const stopped = stopSignal();
  try {
    // Bad input is told before anything starts.
    const given = options.configFile === undefined ? undefined : await readConfig(options.configFile);
    const data = await openDataDirectory(options.dataDirectory);
    onStop(data.release);
    const code = await mirror(options, given, data, onStop, stopped);
    if (!options.once && code !== 2 && !stopped.aborted) {
      say('Serving until Ctrl-C.');
      await new Promise<void>((resolve) => stopped.addEventListener('abort', () => resolve(), { once: true }));
      return code;
    }
    return stopped.aborted ? INTERRUPTED : code;
  } catch (error) {
    if (stopped.aborted) return INTERRUPTED;
    throw error;
  } finally {
    for (const stop of started.toReversed()) await stop();
  }
}

/** What a shell reports of a program that Ctrl-C ended. */
const INTERRUPTED = 130;

type Given = { config: Config; file: string };

async function mirror(
  options: MirrorOptions,
  given: Given | undefined,
  data: DataDirectory,
  onStop: (stop: () => Promise<void>) => void,
  stopped: AbortSignal,
): Promise<number> {
  const begun = Date.now();
  const { config, file } = given ?? (await defaultConfig(options, data));
  const sourceUrl = options.aptible ? undefined : (options.sourceUrl ?? (await sampleDatabase(data, onStop)));
  const jobEnvironment = options.aptible ? await aptible(config, data, onStop) : {};
  stopped.throwIfAborted();

  const chain = await openChain({
    ...options,
    project: config.project,
    data,
    config,
    configFile: file,
    jobEnvironment,
  }).catch((error: unknown) => {
    throw isTaken(error) ? portTaken(options.port) : error;
  });
  onStop(chain.close);
  await announce(data, { ...chain.environment, ...jobEnvironment }, config.dataset, onStop);
  say(`The page: ${chain.stack.url}/   Logs: ${chain.logFile}`);
  stopped.throwIfAborted();
  const runId = await chain.run(sourceUrl, stopped, say);
  const report = await makeReport(runId, (Date.now() - begun) / 1000);
  if (options.reportFile !== undefined) await writeReport(options.reportFile, report);
  tell(report, chain.stack, data);
  if (!options.once) showGoogleTools(chain.stack, config, report);
  if (options.once) await chain.settle(stopped);
  if (report.state === 'published') return 0;
  return report.configuration ? 2 : 1;
}

async function readConfig(file: string): Promise<Given> {
  const text = await readFile(file, 'utf8').catch(() => {
    throw new ConfigurationError(`${file} cannot be read. Next: name an existing mirror.yaml with --config`);
  });
  return { config: parseConfig(text, file).config, file: path.resolve(file) };
}

async function sampleDatabase(data: DataDirectory, onStop: (stop: () => Promise<void>) => void): Promise<string> {
  say('Starting PostgreSQL with the sample Commons database');
  const postgres = await startPostgres({ directory: data.path('postgres'), log: data.path('logs', 'postgres.log') });
  onStop(() => postgres.stop());
  return (await createSample(postgres.url)).url;
}

/** What the export needs to reach the local Aptible, which has the sample's backup. */
async function aptible(
  { source }: Config,
  data: DataDirectory,
  onStop: (stop: () => Promise<void>) => void,
): Promise<Record<string, string>> {
  if (source.type !== 'aptible') {
    throw new ConfigurationError(`--aptible wants a mirror.yaml whose source.type is aptible; found ${source.type}`);
  }
  say('Starting the local Aptible with a backup of the sample Commons database');
  const local = await sampleOnAptible(data, source);
  onStop(local.close);
  return local.environment;
}

/** Where the tables cannot even be listed, the chain runs all the same: its export tells why, as it would in the cloud. */
const CONFIG_FOR_NOTHING = `
project: commons-local
region: us-central1
location: US
dataset: commons
chunks: [{ name: all, tables: ['*.*'] }]
`;

/** The sample's mirror.yaml; or, for somebody's own database, one that lists every table which the role can read. */
async function defaultConfig({ sourceUrl, aptible }: MirrorOptions, data: DataDirectory): Promise<Given> {
  if (aptible) {
    const file = data.path('mirror.yaml');
    await configForAptible(SAMPLE_CONFIG, file);
    return readConfig(file);
  }
  if (sourceUrl === undefined) return readConfig(SAMPLE_CONFIG);
  const file = data.path('mirror.yaml');
  const text = await configForAll(sourceUrl).catch(() => CONFIG_FOR_NOTHING);
  await writeFile(file, text);
  say(`No --config: mirroring every table that the role can read. The configuration for that: ${file}`);
  return { config: parseConfig(text, file).config, file };
}

/** For the other commands: how the running stack is reached. No secret is in it; the local Aptible's are made anew each time. */
async function announce(
  data: DataDirectory,
  environment: Record<string, string>,
  dataset: string,
  onStop: (stop: () => Promise<void>) => void,
): Promise<void> {
  const file = data.path('stack.json');
  await writeFile(file, `${JSON.stringify({ pid: process.pid, dataset, environment }, null, 2)}\n`);
  onStop(() => rm(file, { force: true }));
}

/** One Ctrl-C may arrive more than once: from the terminal, from npm, from the launcher. */
const SAME_SIGNAL_MS = 500;

/** Ctrl-C, a supervisor's SIGTERM, a closed terminal: once stops in order, twice at once. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  let first = 0;
  const stop = (): void => {
    if (controller.signal.aborted) {
      if (Date.now() - first > SAME_SIGNAL_MS) process.exit(INTERRUPTED);
      return;
    }
    first = Date.now();
    say('Stopping; again to force.');
    controller.abort(new PermanentError('Stopped'));
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
  return controller.signal;
}

const isTaken = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';

const portTaken = (port: number): PermanentError =>
  new PermanentError(`Port ${port} is taken. Next: choose another one with --port, or --port 0 for any free one.`);

function tell(report: Report, stack: Stack, data: DataDirectory): void {
  const { runId, shard, state, reason, tables, coverage, seconds } = report;
  const sum = (of: (table: Report['tables'][number]) => number): number =>
    tables.reduce((total, table) => total + of(table), 0);
  say(`Run ${runId}: ${state}${state === 'published' ? `, shard ${shard}` : ''}`);
  if (state !== 'published') say(reason);
  say(
    `${tables.length} tables, ${sum(({ exported }) => exported)} rows exported, ${sum(({ loaded }) => loaded)} loaded, ` +
      `${sum(({ errors }) => errors)} in the errors table; coverage ${coverage ?? 'not known'}`,
  );
  say(
    Object.entries(seconds)
      .map(([step, value]) => `${step} ${value === null ? '–' : `${value.toFixed(1)} s`}`)
      .join(', '),
  );
  say(`Warehouse: ${data.path('warehouse.duckdb')}   BigQuery, Cloud Storage: ${stack.url}   Pub/Sub: ${stack.pubsub}`);
}

function showGoogleTools(stack: Stack, { project, dataset }: Config, { views: [first] }: Report): void {
  say("To ask with Google's tools, which send nobody's credentials:");
  const view = first && `${dataset}.${first.view}`;
  for (const line of googleToolLines({ ...stack, project }, view)) say(`  ${line}`);
}

function say(text: string): void {
  console.log(text);
}
