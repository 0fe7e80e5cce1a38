import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Storage } from '@google-cloud/storage';
import { serve } from '../../local/http.ts';
import { openStorage } from '../../local/storage/index.ts';

export type Published = { topic: string; attributes: Record<string, string>; data: Record<string, unknown> };

/** A served storage with one bucket, `data`; all of it is gone with the test. */
export async function open(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'storage-'));
  const published: Published[] = [];
  const local = await openStorage({
    directory,
    publish: async (topic, { attributes, data }) => {
      published.push({ topic, attributes, data: data.length > 0 ? parse(data.toString()) : {} });
    },
  });
  const server = await serve(local.handle);
  t.after(async () => {
    await server.close();
    await local.close();
    await rm(directory, { recursive: true });
  });
  const client = new Storage({ apiEndpoint: server.url, projectId: 'p' });
  const [bucket] = await client.createBucket('data');
  return { bucket, client, local, server, published, directory };
}

export function parse(text: string): Record<string, unknown> {
  return JSON.parse(text) as Record<string, unknown>;
}

/** All that was published, once there are `count` messages. */
export async function publishedSoon(published: Published[], count: number): Promise<Published[]> {
  await until(() => published.length >= count);
  assert.equal(published.length, count);
  return published;
}

/** Waits for `condition`, at most 5 s; what it is for is asserted by the caller. */
export async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition() && waited < 5_000; waited += 10) await wait(10);
}
