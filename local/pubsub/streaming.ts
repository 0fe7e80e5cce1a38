import type { ServerDuplexStream } from '@grpc/grpc-js';
import { z } from 'zod';
import type { Broker } from './broker.ts';
import { type Operations, parse } from './operations.ts';
import { receivedProto } from './proto.ts';
import { checkPulls, streamPull } from './pull.ts';
import { checkRange } from './resources.ts';
import { statusOf, StatusError } from './status.ts';

const requestSchema = z.object({
  subscription: z.string().default(''),
  ackIds: z.array(z.string()).default([]),
  modifyDeadlineSeconds: z.array(z.number().int()).default([]),
  modifyDeadlineAckIds: z.array(z.string()).default([]),
  streamAckDeadlineSeconds: z.number().int().default(0),
  maxOutstandingMessages: z.number().default(0),
  maxOutstandingBytes: z.number().default(0),
  protocolVersion: z.number().default(0),
});

type Request = z.infer<typeof requestSchema>;

/** Serves one StreamingPull call: the first request names the subscription, later ones settle messages or keep it alive. */
export function serveStreamingPull(
  broker: Broker,
  operations: Operations,
  call: ServerDuplexStream<unknown, unknown>,
): void {
  let open: { subscription: string; keepAlive: boolean; stream: ReturnType<typeof streamPull> } | undefined;

  function start(first: Request): void {
    const state = broker.subscription(first.subscription);
    checkPulls(state);
    checkRange('stream_ack_deadline_seconds', first.streamAckDeadlineSeconds, 10, 600);
    call.write({ subscriptionProperties: { exactlyOnceDeliveryEnabled: false, messageOrderingEnabled: false } });
    const stream = streamPull(
      state,
      { ...first, ackDeadlineSeconds: first.streamAckDeadlineSeconds },
      {
        send: (deliveries) =>
          call.write({ receivedMessages: deliveries.map((delivery) => receivedProto(state.resource, delivery)) }),
        fail,
      },
    );
    open = { subscription: first.subscription, keepAlive: first.protocolVersion >= 1, stream };
    settle(first.subscription, first);
  }

  function settle(subscription: string, request: Request): void {
    if (request.ackIds.length > 0) operations.acknowledge({ subscription, ackIds: request.ackIds });
    if (request.modifyDeadlineAckIds.length !== request.modifyDeadlineSeconds.length)
      throw new StatusError(
        'INVALID_ARGUMENT',
        `modify_deadline_ack_ids and modify_deadline_seconds must have the same length; received ${request.modifyDeadlineAckIds.length} and ${request.modifyDeadlineSeconds.length}.`,
      );
    for (const [index, ackId] of request.modifyDeadlineAckIds.entries())
      operations.modifyAckDeadline({
        subscription,
        ackIds: [ackId],
        ackDeadlineSeconds: request.modifyDeadlineSeconds[index],
      });
  }

  function receive(sent: unknown): void {
    const request = parse(requestSchema, sent);
    if (!open) {
      start(request);
      return;
    }
    if (request.streamAckDeadlineSeconds !== 0) {
      checkRange('stream_ack_deadline_seconds', request.streamAckDeadlineSeconds, 10, 600);
      open.stream.setDeadline(request.streamAckDeadlineSeconds);
    }
    settle(open.subscription, request);
    // A client of protocol version 1 takes the stream for dead when its empty request stays without a response.
    if (open.keepAlive) call.write({});
  }

  function fail(error: unknown): void {
    open?.stream.close();
    const { grpc, message } = statusOf(error);
    call.emit('error', { code: grpc, details: message });
  }

  call.on('data', (sent: unknown) => {
    try {
      receive(sent);
    } catch (error) {
      fail(error);
    }
  });
  call.on('drain', () => open?.stream.resume());
  call.on('end', () => {
    open?.stream.close();
    call.end();
  });
  call.on('cancelled', () => open?.stream.close());
}
