import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { PubSub } from '@google-cloud/pubsub';
import { openBigQuery } from './bigquery/index.ts';
import type { DataDirectory } from './data-directory.ts';
import { ApiError, serve, type Handler } from './http.ts';
import { openMonitoring } from './monitoring.ts';
import { openPubSub } from './pubsub/index.ts';
import { openSlack, type SlackMessage } from './slack.ts';
import { openStorage } from './storage/index.ts';
import { makeAuthority } from './x509.ts';

/** The services that the chain needs, on loopback: our own, or foreign ones where an endpoint is given. */
export type Stack = {
  /** The page, and every HTTP API. */
  url: string;
  storage: string;
  bigquery: string;
  /** `host:port`. */
  pubsub: string;
  /** Where Pub/Sub answers as JSON over http, beside its gRPC. */
  pubsubRest: string;
  /** The stand-in for Cloud Storage once more, by https, with the certificate authority to trust; a foreign one has none here. */
  storageTls: StorageTls | undefined;
  slackMessages: () => Promise<SlackMessage[]>;
  /** Whether no function has a message, waiting or in delivery; a foreign Pub/Sub does not tell. */
  idle: () => boolean | undefined;
  /** Where `/` leads. */
  showPageOf: (url: string) => void;
  close: () => Promise<void>;
};

/** `authority` is the path of a PEM file. */
export type StorageTls = { port: number; authority: string };

export type StackOptions = {
  project: string;
  data: DataDirectory;
  port: number;
  storageEndpoint?: string | undefined;
  pubsubEndpoint?: string | undefined;
  bigqueryEndpoint?: string | undefined;
};

type Opened = { close: () => Promise<void> };

export async function openStack(options: StackOptions): Promise<Stack> {
  const { data, project } = options;
  const opened: Opened[] = [];
  const open = async <T extends Opened>(service: Promise<T>): Promise<T> => {
    const ready = await service;
    opened.push(ready);
    return ready;
  };
  const close = async (): Promise<void> => {
    for (const service of opened.splice(0).toReversed()) await service.close();
    await rm(data.path('downloads'), { recursive: true, force: true });
  };
  let pageUrl: string | undefined;
  try {
    const routes: [prefix: RegExp, handle: Handler][] = [];
    // The port first: where it is taken, nothing else need start.
    const server = await open(
      serve(async (request, response) => {
        const route = routes.find(([prefix]) => prefix.test(request.url ?? ''));
        if (route) await route[1](request, response);
        else await showPage(pageUrl, request, response);
      }, options.port),
    );
    const pubsub = options.pubsubEndpoint ? undefined : await open(openPubSub({ directory: data.path('pubsub') }));
    const pubsubEndpoint =
      options.pubsubEndpoint?.replace(/^https?:\/\//u, '').replace(/\/$/u, '') ?? pubsub?.endpoint ?? '';
    // Google's clients learn of a Pub/Sub without TLS by this variable only.
    process.env['PUBSUB_EMULATOR_HOST'] = pubsubEndpoint;
    if (pubsub) routes.push([/^\/v1\/projects\//u, pubsub.handle]);

    const publisher = await open(openPublisher(project));
    const storage = options.storageEndpoint
      ? undefined
      : await open(openStorage({ directory: data.path('buckets'), publish: publisher.publish }));
    // The bucket's lifecycle, which runs once a day in the cloud.
    storage?.sweep(new Date());
    if (storage)
      routes.push([/^\/(?:(?:(?:resumable\/)?upload|download|batch)\/)?(?:storage\/v1|b\/|b\?)/u, storage.handle]);
    const storageUrl = options.storageEndpoint ?? server.url;
    const storageTls = storage && (await serveTls(storage.handle, data.path('storage-ca.pem'), open));

    const bigquery = options.bigqueryEndpoint
      ? undefined
      : await open(
          openBigQuery({
            file: data.path('warehouse.duckdb'),
            warm: true,
            locate: storage
              ? async (uri) => storage.locate(...objectOf(uri))
              : (uri) => downloaded(uri, storageUrl, data.path('downloads')),
          }),
        );
    if (bigquery)
      routes.push([
        /^\/(?:(?:(?:upload|resumable\/upload)\/)?(?:bigquery\/v2\/|projects\/)|\$discovery\/|discovery\/)/u,
        bigquery.handle,
      ]);

    const monitoring = await open(openMonitoring({ directory: data.path('monitoring') }));
    routes.push([/^\/v3\/projects\//u, monitoring.handle]);
    const slack = await open(openSlack({ directory: data.path('slack') }));
    routes.push([/^\/slack/u, slack.handle]);

    return {
      url: server.url,
      storage: storageUrl,
      bigquery: options.bigqueryEndpoint ?? server.url,
      pubsub: pubsubEndpoint,
      pubsubRest: pubsub ? server.url : `http://${pubsubEndpoint}`,
      storageTls,
      slackMessages: slack.messages,
      idle: () => pubsub?.idle(),
      showPageOf: (url) => {
        pageUrl = url;
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** `gsutil` speaks to a JSON endpoint by https only. Nobody is to switch its verification off for that. */
async function serveTls(
  handle: Handler,
  authority: string,
  open: <T extends Opened>(service: Promise<T>) => Promise<T>,
): Promise<StorageTls> {
  const made = makeAuthority('Commons Mirror on this machine');
  await writeFile(authority, made.certificate);
  const { port } = await open(serve(handle, 0, made.issue('127.0.0.1')));
  return { port, authority };
}

/** Publishes what the GCS stand-in notifies of, through the real client, to whichever Pub/Sub there is. */
async function openPublisher(
  projectId: string,
): Promise<Opened & { publish: Parameters<typeof openStorage>[0]['publish'] }> {
  const client = new PubSub({ projectId });
  return {
    publish: async (topic, message) => {
      await client.topic(topic, { batching: { maxMessages: 1 } }).publishMessage(message);
    },
    close: () => client.close(),
  };
}

function objectOf(uri: string): [bucket: string, object: string] {
  const [, bucket, object] = /^gs:\/\/([^/]+)\/(.+)$/su.exec(uri) ?? [];
  if (!bucket || !object) throw new ApiError(400, 'invalid', `Not a Cloud Storage URI: ${uri}`);
  return [bucket, object];
}

/** An object of a foreign GCS, brought to where DuckDB can read it. Run-unique names: one copy of each is enough. */
async function downloaded(uri: string, apiEndpoint: string, directory: string): Promise<string> {
  const [bucket, object] = objectOf(uri);
  await mkdir(directory, { recursive: true });
  const file = path.join(directory, `${createHash('sha256').update(uri).digest('hex')}-${randomUUID()}`);
  const url = `${apiEndpoint}/storage/v1/b/${bucket}/o/${encodeURIComponent(object)}?alt=media`;
  const { status, body } = await fetch(url);
  if (status === 404) throw new ApiError(404, 'notFound', `Not found: ${uri}`);
  if (status !== 200 || !body) throw new Error(`Cloud Storage at ${apiEndpoint} answers ${status} for ${uri}`);
  try {
    await pipeline(body, createWriteStream(file));
    return file;
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
}

/** The status function's page; it runs in a process of its own. */
async function showPage(url: string | undefined, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (!url) throw new ApiError(503, 'backendError', 'The status function has not started yet');
  await new Promise<void>((resolve, reject) => {
    const forward = httpRequest(`${url}${request.url ?? '/'}`, { method: request.method ?? 'GET' }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      pipeline(answer, response).then(resolve, reject);
    });
    forward.once('error', reject);
    pipeline(request, forward).catch(reject);
  });
}
