import { type ClientRequest, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Delivery } from './message.ts';
import type { Queue } from './queue.ts';
import type { Subscription } from './resources.ts';

/** The service adapts the number of pushes under way; a fixed few keep one slow message from holding up the others. */
const CONCURRENCY = 8;

// "Any of these status codes acknowledges the message: 102, 200, 201, 202, 204"; all others are negative acknowledgements.
const acknowledging = new Set([102, 200, 201, 202, 204]);

/** Delivers a queue's messages by HTTP POST whenever its subscription has an endpoint. */
export function createPush(queue: Queue) {
  const underway = new Map<ClientRequest, Promise<void>>();
  let subscription: Subscription | undefined;
  let closed = false;

  function consume(): boolean {
    if (!subscription || underway.size >= CONCURRENCY) return false;
    const [delivery] = queue.take({ maxMessages: 1, maxBytes: Infinity, leaseMs: Infinity });
    if (!delivery) return false;
    start(subscription, delivery);
    return true;
  }

  function start(target: Subscription, delivery: Delivery): void {
    const request = post(target, delivery);
    underway.set(request, settle(request, delivery, target.ackDeadlineSeconds * 1000));
  }

  async function settle(request: ClientRequest, delivery: Delivery, deadlineMs: number): Promise<void> {
    const status = await answer(request, deadlineMs);
    underway.delete(request);
    // A delivery that was ended by closing is neither: the message waits on disk for the next open.
    if (closed) return;
    if (acknowledging.has(status)) queue.acknowledge([delivery.ackId]);
    else queue.modifyDeadline([delivery.ackId], 0);
  }

  return {
    /** Takes the subscription's settings; without an endpoint pushing stops, and what is under way ends by itself. */
    settings(next: Subscription): void {
      subscription = next.pushConfig.pushEndpoint ? next : undefined;
      if (subscription) queue.consumers.add(consume);
      else queue.consumers.delete(consume);
      queue.offer();
    },

    /** Ends what is under way; resolves when nothing is. */
    async close(): Promise<void> {
      closed = true;
      subscription = undefined;
      for (const request of underway.keys()) request.destroy();
      await Promise.all(underway.values());
    },
  };
}

function post(target: Subscription, delivery: Delivery): ClientRequest {
  const body = envelope(target, delivery);
  const url = new URL(target.pushConfig.pushEndpoint ?? '');
  const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
    method: 'POST',
    // A connection each: one kept open may be closed by the function just as it is used again, and that would count as
    // a failed delivery. On one machine a connection costs a fraction of a millisecond.
    agent: false,
    // With an oidcToken the service adds `authorization: Bearer` and a token that Google signed. Nobody here could sign
    // one, so none is sent: an endpoint that checks it must be told not to.
    headers: {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'user-agent': 'CloudPubSub-Google',
    },
  });
  request.end(body);
  return request;
}

/** The status of the answer; 0 when there is none within the deadline, which also ends the request. */
function answer(request: ClientRequest, deadlineMs: number): Promise<number> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => request.destroy(), deadlineMs);
    const settle = (status: number) => {
      clearTimeout(timer);
      resolve(status);
    };
    request.on('information', ({ statusCode }) => {
      if (statusCode !== 102) return;
      settle(102);
      request.destroy();
    });
    request.on('response', (response) => {
      // The body counts for nothing, but its end is when the function is done.
      response.on('error', () => settle(0)).on('end', () => settle(response.statusCode ?? 0));
      response.on('close', () => settle(0));
      response.resume();
    });
    // A connection refused or broken is a delivery failed, like any answer that does not acknowledge.
    request.on('error', () => settle(0));
    request.on('close', () => settle(0));
  });
}

/** The body of a push, with both spellings of the ids; empty fields are left out, as JSON has it for protobuf. */
function envelope(subscription: Subscription, { message, attempt }: Delivery): string {
  const publishTime = new Date(message.publishTime).toISOString();
  return JSON.stringify({
    message: {
      ...(Object.keys(message.attributes).length > 0 && { attributes: message.attributes }),
      ...(message.data.length > 0 && { data: message.data.toString('base64') }),
      messageId: message.id,
      message_id: message.id,
      ...(message.orderingKey !== '' && { orderingKey: message.orderingKey, ordering_key: message.orderingKey }),
      publishTime,
      publish_time: publishTime,
    },
    subscription: subscription.name,
    ...(subscription.deadLetterPolicy && { deliveryAttempt: attempt }),
  });
}
