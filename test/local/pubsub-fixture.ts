import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PubSub, v1 } from '@google-cloud/pubsub';
import { credentials } from '@grpc/grpc-js';
import { z } from 'zod';
import { readBody, serve } from '../../local/http.ts';
import { openPubSub } from '../../local/pubsub/index.ts';

process.env['METADATA_SERVER_DETECTION'] = 'none';

export const TOPIC = 'projects/p/topics/orders';
export const DEAD = 'projects/p/topics/dead';

/** A full subscription name. */
export function sub(name: string): string {
  return `projects/p/subscriptions/${name}`;
}

export async function directoryFor(t: TestContext): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'pubsub-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** The real clients against an endpoint: the one that applications use, and the two that map to the API one to one. */
export function clients(t: TestContext, endpoint: string) {
  const pubsub = new PubSub({ projectId: 'p', apiEndpoint: endpoint });
  const [host, port] = endpoint.split(':');
  const options = {
    projectId: 'p',
    servicePath: host ?? '',
    port: Number(port),
    sslCreds: credentials.createInsecure(),
  };
  const publisher = new v1.PublisherClient(options);
  const subscriber = new v1.SubscriberClient(options);
  t.after(() => Promise.all([pubsub.close(), publisher.close(), subscriber.close()]));
  return {
    pubsub,
    publisher,
    subscriber,
    publish: async (text: string, topic = TOPIC) => {
      const [{ messageIds }] = await publisher.publish({ topic, messages: [{ data: Buffer.from(text) }] });
      return messageIds?.[0] ?? '';
    },
    /** What a pull has at once: text, id to acknowledge, and attempt. */
    pull: async (subscription: string, maxMessages = 10) => {
      const [{ receivedMessages }] = await subscriber.pull({ subscription, maxMessages, returnImmediately: true });
      return (receivedMessages ?? []).map(({ ackId, message, deliveryAttempt }) => ({
        text: Buffer.from(message?.data ?? '').toString(),
        attributes: message?.attributes ?? {},
        ackId: ackId ?? '',
        attempt: deliveryAttempt ?? 0,
      }));
    },
  };
}

/** An open stand-in with its clients, and the topics `orders` and `dead`. */
export async function open(t: TestContext, directory?: string) {
  const opened = await openPubSub({ directory: directory ?? (await directoryFor(t)) });
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= opened.close());
  t.after(close);
  const connected = clients(t, opened.endpoint);
  if (directory === undefined) {
    await connected.publisher.createTopic({ name: TOPIC });
    await connected.publisher.createTopic({ name: DEAD });
  }
  return { ...opened, ...connected, close };
}

const envelopeSchema = z.object({
  subscription: z.string(),
  deliveryAttempt: z.number().optional(),
  message: z.looseObject({
    data: z.string().optional(),
    attributes: z.record(z.string(), z.string()).optional(),
    messageId: z.string(),
  }),
});

export type Push = z.infer<typeof envelopeSchema> & { text: string; at: number; url: string; body: unknown };

/** A push endpoint that records what comes and answers by `answer`; without one, 204. */
export async function endpoint(
  t: TestContext,
  answer: (push: Push, response: ServerResponse) => void | Promise<void> = (_, response) => {
    response.writeHead(204).end();
  },
) {
  const pushes: Push[] = [];
  const server = await serve(async (request, response) => {
    const body: unknown = JSON.parse((await readBody(request)).toString());
    const envelope = envelopeSchema.parse(body);
    const text = Buffer.from(envelope.message.data ?? '', 'base64').toString();
    const push = { ...envelope, body, text, at: performance.now(), url: request.url ?? '' };
    pushes.push(push);
    await answer(push, response);
  });
  t.after(server.close);
  return { pushes, pushEndpoint: `${server.url}/projects/p/topics/orders` };
}

/** Waits until `condition` holds; fails after three seconds with what it waits for. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const end = Date.now() + 3000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`Waited 3 s in vain until ${what}`);
    await sleep(5);
  }
}

/** A port that nothing listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => {
    server.close(resolve);
  });
  if (address === null || typeof address === 'string') throw new Error('The server has no port');
  return address.port;
}
