import { PubSub } from '@google-cloud/pubsub';
import { environment } from '../environment.ts';
import { SafeError, safeText } from '../mirror/errors.ts';

let client: PubSub | undefined;

/** Publishes one message at once; resolves when the service has it. */
export async function publish(topic: string, body: object, attributes: Record<string, string> = {}): Promise<void> {
  // The client itself honours PUBSUB_EMULATOR_HOST.
  client ??= new PubSub({ projectId: environment().GOOGLE_CLOUD_PROJECT });
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
