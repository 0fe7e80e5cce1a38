import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import type { Broker } from './broker.ts';
import type { Operations } from './operations.ts';
import { empty, pageProto, receivedProto, subscriptionProto, topicProto } from './proto.ts';
import { statusOf, StatusError } from './status.ts';
import { serveStreamingPull } from './streaming.ts';

/**
 * Serves the API over gRPC on loopback, with the message definitions that the client library ships. What is not listed here
 * answers UNIMPLEMENTED with the method's name, as gRPC does by itself. Rejects when the port is taken.
 */
export async function serveGrpc(
  broker: Broker,
  operations: Operations,
  port: number,
): Promise<{ port: number; close: () => Promise<void> }> {
  const server = new Server({
    // The service's limits are checked, and refused in its words, after the message has been read.
    'grpc.max_receive_message_length': 64 * 1024 * 1024,
    'grpc.max_send_message_length': -1,
  });
  const [publisher, subscriber] = serviceDefinitions();
  server.addService(publisher, {
    createTopic: unary(operations.createTopic, topicProto),
    getTopic: unary(operations.getTopic, topicProto),
    updateTopic: unary(operations.updateTopic, topicProto),
    deleteTopic: unary(operations.deleteTopic, empty),
    listTopics: unary(operations.listTopics, pageProto('topics', topicProto)),
    listTopicSubscriptions: unary(operations.listTopicSubscriptions, pageProto('subscriptions', String)),
    publish: unary(operations.publish, (answer) => answer),
  });
  server.addService(subscriber, {
    createSubscription: unary(operations.createSubscription, subscriptionProto),
    getSubscription: unary(operations.getSubscription, subscriptionProto),
    updateSubscription: unary(operations.updateSubscription, subscriptionProto),
    listSubscriptions: unary(operations.listSubscriptions, pageProto('subscriptions', subscriptionProto)),
    deleteSubscription: unary(operations.deleteSubscription, empty),
    modifyPushConfig: unary(operations.modifyPushConfig, empty),
    pull: unary(operations.pull, ({ state, deliveries }) => ({
      receivedMessages: deliveries.map((delivery) => receivedProto(state.resource, delivery)),
    })),
    streamingPull: (call: ServerDuplexStream<unknown, unknown>) => serveStreamingPull(broker, operations, call),
    acknowledge: unary(operations.acknowledge, empty),
    modifyAckDeadline: unary(operations.modifyAckDeadline, empty),
  });

  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (cause, actual) => {
      if (!cause) return resolve(actual);
      const problem = `Pub/Sub cannot listen on 127.0.0.1:${port}: is the port taken? Give a free one, or 0 for any.`;
      reject(new Error(problem, { cause }));
    });
  });
  return {
    port: bound,
    close: () =>
      new Promise((resolve) => {
        // Calls that are being answered get their answers; a client that holds on to its stream does not hold this up.
        const impatience = setTimeout(() => server.forceShutdown(), 500);
        server.tryShutdown(() => {
          clearTimeout(impatience);
          resolve();
        });
      }),
  };
}

function unary<T>(operation: (request: unknown, signal: AbortSignal) => T | Promise<T>, render: (answer: T) => object) {
  async function answer(call: ServerUnaryCall<unknown, unknown>, callback: sendUnaryData<unknown>): Promise<void> {
    const cancelled = new AbortController();
    call.on('cancelled', () => cancelled.abort());
    try {
      callback(null, render(await operation(call.request, cancelled.signal)));
    } catch (error) {
      const { grpc, message } = statusOf(error);
      callback({ code: grpc, details: message });
    }
  }
  return (call: ServerUnaryCall<unknown, unknown>, callback: sendUnaryData<unknown>): void =>
    void answer(call, callback);
}

function serviceDefinitions(): [ServiceDefinition, ServiceDefinition] {
  const file = fileURLToPath(import.meta.resolve('@google-cloud/pubsub/build/protos/protos.json'));
  const json: Parameters<typeof fromJSON>[0] = JSON.parse(readFileSync(file, 'utf8'));
  const definitions = fromJSON(json, { longs: Number, enums: String, arrays: false, defaults: false });
  const service = (name: string): ServiceDefinition => {
    const definition = definitions[`google.pubsub.v1.${name}`];
    if (!definition || 'format' in definition)
      throw new StatusError(
        'INTERNAL',
        `${file} has no service google.pubsub.v1.${name}; @google-cloud/pubsub 6.3 has it`,
      );
    return definition;
  };
  return [service('Publisher'), service('Subscriber')];
}
