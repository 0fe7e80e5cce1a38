import type { Handler } from '../http.ts';
import { openBroker } from './broker.ts';
import { serveGrpc } from './grpc.ts';
import { createOperations } from './operations.ts';
import { createRest } from './rest.ts';

/**
 * Opens the local Pub/Sub over what `directory` holds: at-least-once delivery by pull, streaming pull and push, retry and
 * dead-letter policies, filters. Ordering, exactly-once delivery, schemas, snapshots, seek, and exports to other services
 * are refused as UNIMPLEMENTED. One process per directory. `port` 0, the default, takes any free one.
 *
 * - `endpoint`: host and port of the gRPC server, what `PUBSUB_EMULATOR_HOST` and the client's `apiEndpoint` take.
 * - `handle`: the same state as JSON under `/v1/projects/…`, what `gcloud pubsub` speaks.
 * - `idle`: true when no push subscription holds a message, waiting or in delivery.
 * - `close`: ends the deliveries under way and resolves when none is; unacknowledged messages wait for the next open.
 *
 * Rejects when the port is taken or the state on disk is damaged.
 */
export async function openPubSub(options: { directory: string; port?: number }): Promise<{
  endpoint: string;
  handle: Handler;
  idle: () => boolean;
  close: () => Promise<void>;
}> {
  const broker = openBroker(options.directory);
  try {
    const operations = createOperations(broker);
    const grpc = await serveGrpc(broker, operations, options.port ?? 0);
    return {
      endpoint: `127.0.0.1:${grpc.port}`,
      handle: createRest(operations),
      idle: broker.idle,
      async close() {
        broker.endPulls();
        await grpc.close();
        await broker.close();
      },
    };
  } catch (error) {
    await broker.close();
    throw error;
  }
}
