import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BigQuery } from '@google-cloud/bigquery';
import { PassThroughClient } from 'google-auth-library';
import { ApiError, serve } from '../../local/http.ts';
import { openBigQuery } from '../../local/bigquery/index.ts';

/** Google's client on a stand-in of its own, with a folder for a bucket: `gs://b/NAME` is what `put` wrote. */
export async function startBigQuery(options: { folder?: string; now?: () => number } = {}) {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'bigquery-test-')));
  const objects = new Map<string, string>();
  const file = join(folder, 'warehouse.duckdb');
  const server = await openBigQuery({
    file,
    locate: async (uri) => {
      const path = objects.get(uri);
      if (path === undefined) throw new ApiError(404, 'notFound', `No such object: ${uri}`);
      return path;
    },
    ...(options.now === undefined ? {} : { now: options.now }),
  });
  const http = await serve(server.handle);
  const client = new BigQuery({ projectId: 'p', apiEndpoint: http.url, authClient: new PassThroughClient(), autoRetry: false });
  const stop = async (): Promise<void> => {
    await http.close();
    await server.close();
  };
  return {
    client,
    url: http.url,
    folder,
    file,
    put: async (name: string, content: string | Buffer): Promise<string> => {
      const uri = `gs://b/${name}`;
      const path = join(folder, `object-${objects.size}`);
      await writeFile(path, content);
      objects.set(uri, path);
      return uri;
    },
    /** Stops the server, keeps its folder. */
    stop,
    close: async (): Promise<void> => {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
    /** A request of our own: status and body. */
    request: async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<{ status: number; body: unknown }> => {
      const response = await fetch(`${http.url}/bigquery/v2/projects/p${path}`, {
        method,
        headers: { 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
    },
  };
}
