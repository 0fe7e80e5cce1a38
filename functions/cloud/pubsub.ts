import type { PubSub } from '@google-cloud/pubsub';
import { environment } from '../environment.ts';
import { SafeError, safeText } from '../mirror/errors.ts';

let client: PubSub | undefined;

/** Publishes one message at once; resolves when the service has it. */
export async function publish(topic: string, body: object, attributes: Record<string, string> = {}): Promise<void> {
  if (!client) {
    // Half of a cold start would be the loading of this client, which is needed only when a step is done.
    const { PubSub: Client } = await import('@google-cloud/pubsub');
    // It honours PUBSUB_EMULATOR_HOST by itself.
    client ??= new Client({ projectId: environment().GOOGLE_CLOUD_PROJECT });
  }
  try {
    await client.topic(topic, { batching: { maxMessages: 1 } }).publishMessage({ json: body, attributes });
  } catch (error) {
    throw new SafeError(`Pub/Sub: could not publish to ${topic}: ${safeText(error)}`, { cause: error });
  }
}

/** Ends the connection, so that a process may end. */
export async function closePubSub(): Promise<void> {
  await client?.close();
  client = undefined;
}
