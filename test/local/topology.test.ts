import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { Storage } from '@google-cloud/storage';
import { PassThroughClient } from 'google-auth-library';
import { parseConfig } from '../../functions/mirror/config.ts';
import { ApiError, serve } from '../../local/http.ts';
import { openPubSub } from '../../local/pubsub/index.ts';
import { openStorage } from '../../local/storage/index.ts';
import { openBigQuery } from '../../local/bigquery/index.ts';
import { makeTopology } from '../../local/topology.ts';

const PUSH = { load: 'http://l', transform: 'http://t', sli: 'http://s', views: 'http://v', alert: 'http://a' };
const { config } = parseConfig(
  'project: elsewhere\nregion: us-central1\nlocation: US\ndataset: commons\nsource: { type: url }\nchunks: [{ name: all, tables: [public.a] }]',
  'mirror.yaml',
);

/** Our services, with somebody in front of Cloud Storage and BigQuery who says no to what `refuses`. */
async function services(
  t: TestContext,
  refuses: (asked: string) => boolean,
): Promise<{ storage: string; bigquery: string; pubsub: string }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'topology-test-'));
  const pubsub = await openPubSub({ directory: path.join(directory, 'pubsub') });
  process.env['PUBSUB_EMULATOR_HOST'] = pubsub.endpoint;
  const storage = await openStorage({ directory: path.join(directory, 'buckets'), publish: async () => {} });
  const bigquery = await openBigQuery({
    file: path.join(directory, 'warehouse.duckdb'),
    locate: () => Promise.reject(new Error('nothing is loaded')),
  });
  const server = await serve(async (request, response) => {
    const asked = `${request.method} ${request.url}`;
    if (refuses(asked)) throw new ApiError(500, 'internalError', 'not implemented: versioning');
    await (asked.includes('/bigquery/') ? bigquery.handle : storage.handle)(request, response);
  });
  t.after(async () => {
    await server.close();
    await Promise.all([bigquery.close(), storage.close(), pubsub.close()]);
    await rm(directory, { recursive: true, force: true });
  });
  return { storage: server.url, bigquery: server.url, pubsub: pubsub.endpoint };
}

test('a Cloud Storage that knows no versions gets a ledger without them', async (t) => {
  const asked: string[] = [];
  const endpoints = await services(t, (request) => {
    if (!request.startsWith('POST /storage/v1/b?')) return false;
    asked.push(request);
    return asked.length === 1;
  });
  await makeTopology(config, endpoints, PUSH, undefined);
  const client = new Storage({
    projectId: 'elsewhere',
    apiEndpoint: endpoints.storage,
    authClient: new PassThroughClient(),
  });
  const [buckets] = await client.getBuckets();
  assert.deepEqual(
    buckets.map(({ name, metadata }) => [name, metadata.versioning?.enabled ?? false]),
    [
      ['elsewhere-mirror-data', false],
      ['elsewhere-mirror-ledger', false],
    ],
  );
  // The same again finds everything there.
  await makeTopology(config, endpoints, PUSH, undefined);
});

test('a service that does not make what the chain needs is named in one line', async (t) => {
  const endpoints = await services(t, (request) => request.startsWith('POST /bigquery/'));
  await assert.rejects(makeTopology(config, endpoints, PUSH, undefined), {
    name: 'SafeError',
    message:
      `BigQuery at ${endpoints.bigquery} does not make what the chain needs: not implemented: versioning. ` +
      'Next: see what the service itself logs, or leave its option out',
  });
});
