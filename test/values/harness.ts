import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BigQuery } from '@google-cloud/bigquery';
import { PubSub } from '@google-cloud/pubsub';
import { Storage } from '@google-cloud/storage';
import { PassThroughClient } from 'google-auth-library';
import { TOPICS } from '../../functions/mirror/messages.ts';
import { openDataDirectory } from '../../local/data-directory.ts';
import { openStack } from '../../local/stack.ts';

/**
 * The real export and load, called in this process against the local services on loopback: a database in well under a
 * second, where the chain's processes and pushes take ten. Google's clients, PostgreSQL and the CSV objects are the real ones.
 */
export type ValuesHarness = {
  /** Exports and loads every table of the database, or what `chunks` says. Throws what a step failed with. */
  mirror: (sourceUrl: string, yaml?: string) => Promise<MirroredRun>;
  /** Deletes every loaded table, which hundreds of runs would pile up. */
  forget: () => Promise<void>;
  /** Base of BigQuery's REST API, up to and with the project. */
  bigquery: string;
  close: () => Promise<void>;
};

/** The plan as it stands in the ledger, read as plain JSON. */
export type PlanDocument = {
  chunks: { name: string; tables: PlannedTable[] }[];
  leftOut: { schema: string; table: string; reason: string }[];
  warnings: string[];
};
export type PlannedTable = {
  schema: string;
  table: string;
  warehouseTable: string;
  columns: { source: string; name: string }[];
  omittedColumns: string[];
};
export type MirroredRun = { runId: string; plan: PlanDocument; marker: LoadedRows[] };
export type LoadedRows = { schema: string; table: string; exported: number; loaded: number; errors: number };

export const PROJECT = 'values-test';
export const LOADING = 'd_loading';
const HEAD = `project: ${PROJECT}\nregion: us-central1\nlocation: US\ndataset: d\n`;
const EVERYTHING = 'chunks: [{ name: all, tables: ["*.*"] }]';

/** One per process: the functions' modules read the environment once. */
export async function openValuesHarness(): Promise<ValuesHarness> {
  const directory = await mkdtemp(path.join(tmpdir(), 'mirror-values-'));
  const closing: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).toReversed()) await end();
  };
  try {
    const data = await openDataDirectory(path.join(directory, 'data'));
    const stack = await openStack({ project: PROJECT, data, port: 0 });
    closing.push(stack.close);
    Object.assign(process.env, {
      GOOGLE_CLOUD_PROJECT: PROJECT,
      BIGQUERY_LOCATION: 'US',
      DATA_BUCKET: 'data',
      LEDGER_BUCKET: 'ledger',
      KMS_KEY: 'google-managed',
      STORAGE_ENDPOINT: stack.storage,
      BIGQUERY_ENDPOINT: stack.bigquery,
      PUBSUB_EMULATOR_HOST: stack.pubsub,
      METADATA_SERVER_DETECTION: 'none',
    });
    await makePlaces(stack);
    const { closePubSub } = await import('../../functions/cloud/pubsub.ts');
    closing.push(closePubSub);
    const authClient = new PassThroughClient();
    const bigquery = new BigQuery({ projectId: PROJECT, apiEndpoint: stack.bigquery, authClient });
    let runs = 0;
    // Runs of the last hours, a second apart: a run's id is its start, and the data of an old one counts as deleted.
    const first = Date.now() - 20 * 3600_000;
    return {
      bigquery: `${stack.bigquery}/bigquery/v2/projects/${PROJECT}`,
      mirror: (sourceUrl, yaml = EVERYTHING) => {
        const start = new Date(first + 1000 * runs++).toISOString();
        return mirrorOnce(stack.storage, sourceUrl, HEAD + yaml, start.replaceAll(/[-:]|\.\d+/gu, ''));
      },
      forget: async () => {
        const [tables] = await bigquery.dataset(LOADING).getTables();
        await Promise.all(tables.map((table) => table.delete()));
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function makePlaces(stack: { storage: string; bigquery: string }): Promise<void> {
  const authClient = new PassThroughClient();
  const storage = new Storage({ projectId: PROJECT, apiEndpoint: stack.storage, authClient });
  for (const name of ['data', 'ledger']) await storage.createBucket(name);
  const bigquery = new BigQuery({ projectId: PROJECT, location: 'US', apiEndpoint: stack.bigquery, authClient });
  await bigquery.createDataset(LOADING, { location: 'US' });
  const pubsub = new PubSub({ projectId: PROJECT });
  // Nobody listens: the test itself calls the next step.
  for (const topic of Object.values(TOPICS)) await pubsub.createTopic(topic);
  await pubsub.close();
}

async function mirrorOnce(storage: string, sourceUrl: string, yaml: string, runId: string): Promise<MirroredRun> {
  // Imported late: their modules read the environment.
  const { exportRun } = await import('../../functions/export/index.ts');
  const { urlSource } = await import('../../functions/export/source.ts');
  const { load } = await import('../../functions/load/index.ts');
  const { parseConfig } = await import('../../functions/mirror/config.ts');
  const config = parseConfig(yaml, 'mirror.yaml');
  const source = urlSource(sourceUrl, 'values');
  await exportRun(source, config, { runId, attempt: 1 }, 'manual', new AbortController().signal);
  const ledger = `${storage}/storage/v1/b/ledger/o`;
  const read = async (name: string): Promise<unknown> => {
    const answer = await fetch(`${ledger}/${encodeURIComponent(`runs/${runId}/${name}`)}?alt=media`);
    if (!answer.ok) throw new Error(`${name} of run ${runId}: HTTP ${answer.status}`);
    return answer.json();
  };
  const plan = (await read('plan.json')) as PlanDocument;
  const marker: LoadedRows[] = [];
  for (const { name: chunk } of plan.chunks) {
    const body = { bucket: 'data', name: `chunks/${runId}/1/${chunk}.json` };
    await load({ data: { message: { messageId: '1', data: Buffer.from(JSON.stringify(body)).toString('base64') } } });
    const faults = (await (await fetch(`${ledger}?prefix=runs/${runId}/faults/`)).json()) as {
      items?: { name: string }[];
    };
    for (const { name } of faults.items ?? []) {
      throw new Error(JSON.stringify(await read(name.replace(`runs/${runId}/`, ''))));
    }
    const done = (await read(`done/load.${chunk}.json`)) as { result: { tables: LoadedRows[] } };
    marker.push(...done.result.tables);
  }
  return { runId, plan, marker };
}
