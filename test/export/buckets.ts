import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { Storage } from '@google-cloud/storage';
import { serve } from '../../local/http.ts';
import { openStorage } from '../../local/storage/index.ts';

/**
 * The two buckets, for a whole test file: the environment is read once in a process. Call it at the file's top level;
 * what it gives is usable within tests.
 */
export function buckets(): { read: (object: string) => Promise<Buffer>; list: (prefix: string) => Promise<string[]> } {
  let client: Storage | undefined;
  let close = async (): Promise<void> => {};
  let locate: (object: string) => Promise<string> = () =>
    Promise.reject(new Error('The buckets are there within tests'));
  before(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'export-'));
    const local = await openStorage({ directory, publish: async () => {} });
    const server = await serve(local.handle);
    close = async () => {
      await server.close();
      await local.close();
      await rm(directory, { recursive: true });
    };
    locate = (object) => local.locate('data', object);
    client = new Storage({ apiEndpoint: server.url, projectId: 'commons-test' });
    await client.createBucket('data');
    await client.createBucket('ledger');
    Object.assign(process.env, {
      GOOGLE_CLOUD_PROJECT: 'commons-test',
      BIGQUERY_LOCATION: 'US',
      DATA_BUCKET: 'data',
      LEDGER_BUCKET: 'ledger',
      KMS_KEY: 'google-managed',
      STORAGE_ENDPOINT: server.url,
    });
  });
  after(() => close());
  return {
    read: async (object) => readFile(await locate(object)),
    list: async (prefix) => {
      const [files] = (await client?.bucket('data').getFiles({ prefix })) ?? [[]];
      return files.map(({ name }) => name);
    },
  };
}
