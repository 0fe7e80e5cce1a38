import type { EndReason, SubscriptionState } from './broker.ts';
import { type Delivery, sizeOf } from './message.ts';
import { notFound } from './names.ts';
import { StatusError } from './status.ts';

/** How long a pull without `returnImmediately` waits for a first message; then the answer is empty and the client asks again. */
const PULL_WAIT_MS = 20_000;

/** A response that a client's gRPC can surely take: the service's own limit for one. */
const RESPONSE_BYTES = 10_000_000;

/** Throws FAILED_PRECONDITION when the subscription pushes. */
export function checkPulls(state: SubscriptionState): void {
  if (state.resource.pushConfig.pushEndpoint) throw pushes();
}

/** Leases up to `maxMessages`: what is ready, else what comes first, else none. Ends early, with none, when `signal` aborts. */
export function pull(
  state: SubscriptionState,
  options: { maxMessages: number; returnImmediately: boolean; signal: AbortSignal },
): Promise<Delivery[]> {
  const { queue, pullers } = state;
  const take = () =>
    queue.take({
      maxMessages: Math.min(options.maxMessages, 1000),
      maxBytes: RESPONSE_BYTES,
      leaseMs: state.resource.ackDeadlineSeconds * 1000,
    });
  const now = take();
  if (now.length > 0 || options.returnImmediately) return Promise.resolve(now);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => settle(() => resolve([])), PULL_WAIT_MS);
    const settle = (answer: () => void) => {
      clearTimeout(timer);
      queue.consumers.delete(consumer);
      pullers.delete(end);
      options.signal.removeEventListener('abort', abort);
      answer();
    };
    const consumer = () => {
      const taken = take();
      if (taken.length > 0) settle(() => resolve(taken));
      return taken.length > 0;
    };
    const end = (reason: EndReason) => settle(() => reject(ended(state, reason)));
    const abort = () => settle(() => resolve([]));
    queue.consumers.add(consumer);
    pullers.add(end);
    options.signal.addEventListener('abort', abort);
    // A caller that left before it came to this would otherwise be waited for.
    if (options.signal.aborted) abort();
  });
}

export type Stream = {
  /** Sends a batch; false while the transport is full, until `resume` is called. */
  send: (deliveries: Delivery[]) => boolean;
  /** The subscription has gone: the stream must end with this error. */
  fail: (error: Error) => void;
};

/** Sends messages to a streaming pull as they come, within the limits that the client set on what it has not yet settled. */
export function streamPull(
  state: SubscriptionState,
  options: { ackDeadlineSeconds: number; maxOutstandingMessages: number; maxOutstandingBytes: number },
  stream: Stream,
) {
  const { queue, pullers } = state;
  let { ackDeadlineSeconds } = options;
  let outstanding = 0;
  let outstandingBytes = 0;
  let writable = true;

  function consume(): boolean {
    const messages = remaining(options.maxOutstandingMessages, outstanding);
    const bytes = remaining(options.maxOutstandingBytes, outstandingBytes);
    if (!writable || messages <= 0 || bytes <= 0) return false;
    const deliveries = queue.take({
      // Small turns share the messages among the open streams.
      maxMessages: Math.min(messages, 100),
      maxBytes: Math.min(bytes, RESPONSE_BYTES),
      leaseMs: ackDeadlineSeconds * 1000,
      ended({ message }) {
        outstanding -= 1;
        outstandingBytes -= sizeOf(message);
      },
    });
    if (deliveries.length === 0) return false;
    outstanding += deliveries.length;
    for (const { message } of deliveries) outstandingBytes += sizeOf(message);
    writable = stream.send(deliveries);
    return true;
  }

  function end(reason: EndReason): void {
    close();
    stream.fail(ended(state, reason));
  }

  function close(): void {
    queue.consumers.delete(consume);
    pullers.delete(end);
  }

  queue.consumers.add(consume);
  pullers.add(end);
  queue.offer();
  return {
    setDeadline(secondsFromNow: number): void {
      ackDeadlineSeconds = secondsFromNow;
    },
    resume(): void {
      writable = true;
      queue.offer();
    },
    /** Ends the sending; leases run on until their deadlines. */
    close,
  };
}

/** "If the value is 0 or less, there is no limit." */
function remaining(limit: number, used: number): number {
  return limit <= 0 ? Infinity : limit - used;
}

function ended(state: SubscriptionState, reason: EndReason): StatusError {
  if (reason === 'deleted') return notFound(state.resource.name);
  if (reason === 'pushes') return pushes();
  // Clients take this for a passing trouble and try again.
  return new StatusError('UNAVAILABLE', 'The local Pub/Sub is closing.');
}

function pushes(): StatusError {
  return new StatusError('FAILED_PRECONDITION', 'This method is not supported for this subscription type.');
}
