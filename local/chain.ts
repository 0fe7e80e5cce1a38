import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../functions/mirror/config.ts';
import { bucketsOf } from '../functions/mirror/names.ts';
import { runExport, startFunctions, type Functions } from './processes.ts';
import { openStack, type Stack, type StackOptions } from './stack.ts';
import { makeTopology } from './topology.ts';
import type { RunView } from './run-view.ts';
import { watchRun } from './watch.ts';

/** The chain on this machine: the services, what Terraform would make in them, and each function in its process. */
export type Chain = {
  stack: Stack;
  /** What every function's process has, and the commands' too; no secret of the source is in it. */
  environment: Record<string, string>;
  logFile: string;
  functions: Omit<Functions, 'close'>;
  /**
   * Runs the export job, to which `source` says by variables of its own where the rows come from, and waits for the run's
   * end. Gives the run's id.
   */
  run: (source: Record<string, string>, stopped: AbortSignal, show: (view: RunView) => void) => Promise<string>;
  /** Lets the last messages through, of which one may be the alert; a step that keeps failing is not waited for. */
  settle: (stopped: AbortSignal) => Promise<void>;
  close: () => Promise<void>;
};

export type ChainOptions = StackOptions & {
  config: Config;
  configFile: string;
  /** Over the chain's own variables: where somebody stands between a function and a service. */
  environment?: Record<string, string>;
};

const SETTLING_MS = 5000;

/** A key's name as in the cloud, so that every check of encryption is made here too. */
const kmsKey = (project: string): string => `projects/${project}/locations/us/keyRings/mirror/cryptoKeys/warehouse`;

export async function openChain(options: ChainOptions): Promise<Chain> {
  const { config, data } = options;
  const logFile = data.path('logs', 'mirror.log');
  const stack = await openStack(options);
  try {
    const environment = { ...environmentOf(options, stack, logFile), ...options.environment };
    // This process reads the ledger by the functions' own modules.
    Object.assign(process.env, environment);
    const functions = await startFunctions(environment, logFile);
    const close = async (): Promise<void> => {
      await functions.close();
      await stack.close();
    };
    try {
      stack.showPageOf(functions.urls.status);
      const { KMS_KEY } = environment;
      await makeTopology(config, stack, functions.urls, KMS_KEY === 'google-managed' ? undefined : KMS_KEY);
    } catch (error) {
      await functions.close();
      throw error;
    }
    return {
      stack,
      environment,
      logFile,
      functions,
      close,
      run: async (source, stopped, show) => {
        // The data directory's lock is ours: a lease that stands is of an export that was killed.
        if (!options.storageEndpoint) await dropLease();
        const execution = `local-${randomUUID()}`;
        const job = runExport({ ...environment, ...source, CLOUD_RUN_EXECUTION: execution }, logFile, stopped);
        try {
          return await watchRun(execution, job, logFile, stopped, show);
        } finally {
          // Stopped or not, the job's process has ended before anything that it uses does.
          await job;
        }
      },
      settle: async (stopped) => {
        const deadline = Date.now() + SETTLING_MS;
        while (stack.idle() === false && Date.now() < deadline && !stopped.aborted) await sleep(20);
      },
    };
  } catch (error) {
    await stack.close();
    throw error;
  }
}

function environmentOf(
  { config, configFile, bigqueryEndpoint }: ChainOptions,
  stack: Stack,
  logFile: string,
): Record<string, string> {
  const buckets = bucketsOf(config.project);
  return {
    GOOGLE_CLOUD_PROJECT: config.project,
    BIGQUERY_LOCATION: config.location,
    DATA_BUCKET: buckets.data,
    LEDGER_BUCKET: buckets.ledger,
    // A foreign BigQuery on this machine has no keys to give.
    KMS_KEY: bigqueryEndpoint ? 'google-managed' : kmsKey(config.project),
    LOGS_LOCATION: logFile,
    CONFIG_FILE: configFile,
    TRIGGER: 'manual',
    STORAGE_ENDPOINT: stack.storage,
    BIGQUERY_ENDPOINT: stack.bigquery,
    MONITORING_ENDPOINT: stack.url,
    PUBSUB_EMULATOR_HOST: stack.pubsub,
    SLACK_WEBHOOK_URL: `${stack.url}/slack`,
    METADATA_SERVER_DETECTION: 'none',
  };
}

async function dropLease(): Promise<void> {
  const { changeLease } = await import('../functions/ledger/lease.ts');
  await changeLease((current) => (current && current.until > 0 ? { ...current, until: 0 } : undefined));
}
