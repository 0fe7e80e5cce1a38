import { readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { parseConfig, type Config } from '../functions/mirror/config.ts';
import { ConfigurationError, PermanentError } from '../functions/mirror/errors.ts';
import { configForAptible, sampleOnAptible } from './aptible/sample.ts';
import { openChain } from './chain.ts';
import { closingText, nextCommands } from './closing.ts';
import { configForAll } from './config-for-all.ts';
import { openDataDirectory, type DataDirectory } from './data-directory.ts';
import { googleToolLines } from './google-tools.ts';
import { startPostgres } from './postgres/index.ts';
import { openProgress, type Progress } from './progress.ts';
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
  const onStop: OnStop = (stop) => void started.push(stop);
  const progress = openProgress();
  const { say } = progress;
  onStop(async () => progress.end());
  const stopped = stopSignal(say);
  try {
    // Bad input is told before anything starts.
    const given = options.configFile === undefined ? undefined : await readConfig(options.configFile);
    const data = await openDataDirectory(options.dataDirectory);
    onStop(data.release);
    const code = await mirror(options, given, { data, onStop, stopped, progress });
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
type Say = Progress['say'];
type OnStop = (stop: () => Promise<void>) => void;
type Surroundings = { data: DataDirectory; onStop: OnStop; stopped: AbortSignal; progress: Progress };

async function mirror(
  options: MirrorOptions,
  given: Given | undefined,
  { data, onStop, stopped, progress }: Surroundings,
): Promise<number> {
  const begun = Date.now();
  const { say } = progress;
  const { config, file } = given ?? (await defaultConfig(options, data, say));
  // Side by side: one waits for PostgreSQL, the other for Node to load the functions.
  const [source, opening] = await Promise.allSettled([
    startSource(options, config, data, onStop, say),
    openChain({ ...options, project: config.project, data, config, configFile: file }),
  ]);
  if (opening.status === 'rejected') throw isTaken(opening.reason) ? portTaken(options.port) : opening.reason;
  const chain = opening.value;
  onStop(chain.close);
  if (source.status === 'rejected') throw source.reason;
  const { url: sourceUrl, environment } = source.value;
  await announce(data, { ...chain.environment, ...environment }, config.dataset, onStop);
  say(`The page: ${chain.stack.url}/   Logs: ${chain.logFile}`);
  stopped.throwIfAborted();
  const jobEnvironment = { ...environment, ...(sourceUrl !== undefined && { SOURCE_URL: sourceUrl }) };
  const runId = await chain.run(jobEnvironment, stopped, progress.show).finally(progress.end);
  const report = await makeReport(runId, (Date.now() - begun) / 1000);
  if (options.reportFile !== undefined) await writeReport(options.reportFile, report);
  const { url, bigquery, storage, pubsub } = chain.stack;
  const warehouse = options.bigqueryEndpoint === undefined ? data.path('warehouse.duckdb') : undefined;
  say(closingText(report, { page: `${url}/`, warehouse, logs: chain.logFile, bigquery, storage, pubsub }));
  if (!options.once) {
    say(['Next, in another terminal:', ...nextCommands(report, options.dataDirectory)].join('\n  '));
    showGoogleTools(chain.stack, config, report, say);
  }
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

/** Where the rows come from. A URL has a password in it, which is nobody's but the export's. */
async function startSource(
  { aptible, sourceUrl }: MirrorOptions,
  config: Config,
  data: DataDirectory,
  onStop: OnStop,
  say: Say,
): Promise<{ url?: string; environment: Record<string, string> }> {
  if (aptible) return { environment: await startAptible(config, data, onStop, say) };
  return { url: sourceUrl ?? (await sampleDatabase(data, onStop, say)), environment: {} };
}

async function sampleDatabase(data: DataDirectory, onStop: OnStop, say: Say): Promise<string> {
  say('Starting PostgreSQL with the sample Commons database');
  const postgres = await startPostgres({ directory: data.path('postgres'), log: data.path('logs', 'postgres.log') });
  onStop(() => postgres.stop());
  return (await createSample(postgres.url)).url;
}

/** What the export needs to reach the local Aptible, which has the sample's backup. */
async function startAptible(
  { source }: Config,
  data: DataDirectory,
  onStop: OnStop,
  say: Say,
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
async function defaultConfig({ sourceUrl, aptible }: MirrorOptions, data: DataDirectory, say: Say): Promise<Given> {
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
  onStop: OnStop,
): Promise<void> {
  const file = data.path('stack.json');
  await writeFile(file, `${JSON.stringify({ pid: process.pid, dataset, environment }, null, 2)}\n`);
  onStop(() => rm(file, { force: true }));
}

/** One Ctrl-C may arrive more than once: from the terminal, from npm, from the launcher. */
const SAME_SIGNAL_MS = 500;

/** Ctrl-C, a supervisor's SIGTERM, a closed terminal: once stops in order, twice at once. */
function stopSignal(say: Say): AbortSignal {
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

function showGoogleTools(stack: Stack, { project, dataset }: Config, { views: [first] }: Report, say: Say): void {
  say("To ask with Google's tools, which send nobody's credentials:");
  const view = first && `${dataset}.${first.view}`;
  for (const line of googleToolLines({ ...stack, project }, view)) say(`  ${line}`);
}
