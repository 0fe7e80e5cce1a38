import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import type { Api } from '../../functions/export/aptible/answers.ts';
import { openApi } from '../../functions/export/aptible/request.ts';
import { serve } from '../../local/http.ts';
import { DATABASE, ENVIRONMENT, openLocalAptible, type LocalAptible } from '../../local/aptible/index.ts';
import { clusterVolumes, volumeDirectory, type Volumes } from '../../local/aptible/volumes.ts';
import { startPostgres } from '../../local/postgres/index.ts';
import { openStorage } from '../../local/storage/index.ts';
import { parseConfig } from '../../functions/mirror/config.ts';
import type { AptibleConfig } from '../../functions/export/aptible/index.ts';

export const PROJECT = 'commons-test';
const LEDGER = 'test-ledger';

/** A ledger on the local Cloud Storage. One per process: the functions' modules read the environment once. */
export async function openLedger(bucket = LEDGER): Promise<{ close: () => Promise<void> }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'aptible-ledger-'));
  const storage = await openStorage({ directory, publish: async () => {} });
  const server = await serve(storage.handle);
  Object.assign(process.env, {
    GOOGLE_CLOUD_PROJECT: PROJECT,
    BIGQUERY_LOCATION: 'US',
    DATA_BUCKET: 'test-data',
    LEDGER_BUCKET: bucket,
    KMS_KEY: 'google-managed',
    STORAGE_ENDPOINT: server.url,
  });
  for (const name of [bucket, 'test-data']) {
    const made = await fetch(`${server.url}/storage/v1/b?project=${PROJECT}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name, location: 'US' }),
    });
    assert.equal(made.status, 200);
  }
  return {
    close: async () => {
      await server.close();
      await storage.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A stopped cluster whose database `commons` was filled by `sql`, and copies of it that run. */
export async function makeVolumes(sql: string): Promise<{ volumes: Volumes; remove: () => Promise<void> }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'aptible-volumes-'));
  await chmod(directory, 0o711);
  const original = await volumeDirectory(path.join(directory, 'original'));
  const postgres = await startPostgres({ directory: original });
  try {
    await execute(postgres.url, 'CREATE DATABASE commons');
    await execute(postgres.url.replace(/\/postgres$/u, '/commons'), sql);
  } finally {
    await postgres.stop();
  }
  return {
    volumes: clusterVolumes(original, path.join(directory, 'restored'), 'commons'),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new Client(url);
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Where no database is read: a restore that is there at once. */
export const noVolumes: Volumes = {
  restore: async () => ({ port: 1, user: 'postgres', password: 'secret', database: 'commons', stop: async () => {} }),
};

/** The client as the export makes it, with shorter pauses. */
export function clientOf({ environment, access }: LocalAptible, more: { otp?: string; password?: string } = {}): Api {
  return openApi(
    { auth: environment.APTIBLE_AUTH_ROOT_URL ?? '', api: environment.APTIBLE_API_ROOT_URL ?? '' },
    { type: 'password', username: access.username, password: more.password ?? access.password, otp: more.otp },
    [10, 20, 40],
  );
}

export function configOf(more = ''): AptibleConfig {
  const yaml = `project: ${PROJECT}
region: us-central1
location: US
dataset: commons
source: { type: aptible, environment: ${ENVIRONMENT}, database: ${DATABASE}${more} }
chunks: [{ name: all, tables: ['*.*'] }]
`;
  const { source } = parseConfig(yaml, 'mirror.yaml').config;
  assert(source.type === 'aptible');
  return source;
}

/** Opens it, and checks after the test that nothing is left on it. */
export async function openAptible(
  t: { after: (end: () => Promise<void>) => void },
  volumes: Volumes = noVolumes,
): Promise<LocalAptible> {
  const aptible = await openLocalAptible({ volumes });
  t.after(async () => {
    const left = [...aptible.world.databases.values()].map(({ handle }) => handle);
    const sessions = aptible.portal.sessions();
    await aptible.close();
    assert.deepEqual({ left, sessions }, { left: [DATABASE], sessions: 0 });
  });
  return aptible;
}
