import { type Delivery, type Message, sizeOf } from './message.ts';

/** What a queue asks of its subscription; read anew each time, for settings change under way. */
export type QueueSettings = {
  /** Delay before a message is delivered again after `attempts` deliveries, in milliseconds. */
  backoff: (attempts: number) => number;
  retentionMs: number;
};

export type QueueEvents = {
  /** These messages' next deliveries begin now: to be recorded before they leave. */
  delivered: (ids: string[]) => void;
  /** These are gone for good: acknowledged, or older than the retention. */
  removed: (ids: string[]) => void;
  /** Asked after each failed delivery: true if the message was forwarded as a dead letter, and is thus gone. */
  forwarded: (message: Message, attempts: number) => boolean;
};

/** Asked when messages are ready: takes what it can by `take` and tells whether it took any. */
export type Consumer = () => boolean;

type Held = {
  message: Message;
  /** Deliveries begun. */
  attempts: number;
  /** Set while it is delivered. */
  ackId?: string | undefined;
  timer?: NodeJS.Timeout | undefined;
  /** Tells the consumer that this lease has ended, one way or another. */
  ended?: (() => void) | undefined;
};

export type Queue = ReturnType<typeof createQueue>;

/**
 * The unacknowledged messages of one subscription. Each is ready, waiting out its backoff, or leased to a consumer until
 * its deadline. Nothing polls: publishing, a negative acknowledgement and an elapsed timer each offer the message at once.
 */
export function createQueue(name: string, settings: () => QueueSettings, events: QueueEvents) {
  const held = new Map<string, Held>();
  const leased = new Map<string, Held>();
  const ready = fifo<Held>();
  const consumers = new Set<Consumer>();

  /** Offers ready messages to the consumers in turn, until none is left or none takes any. */
  function offer(): void {
    let refusals = 0;
    while (ready.length() > 0 && refusals < consumers.size) {
      const [consumer] = consumers;
      if (!consumer) return;
      consumers.delete(consumer);
      consumers.add(consumer);
      refusals = consumer() ? 0 : refusals + 1;
    }
  }

  /** Ends a lease without an acknowledgement: the message is a dead letter now, or comes again after its backoff. */
  function fail(entry: Held): void {
    endLease(entry);
    if (events.forwarded(entry.message, entry.attempts)) {
      held.delete(entry.message.id);
      return;
    }
    const delay = settings().backoff(entry.attempts);
    if (delay === 0) makeReady(entry);
    else entry.timer = setTimeout(makeReady, delay, entry);
  }

  function makeReady(entry: Held): void {
    entry.timer = undefined;
    ready.push(entry);
    offer();
  }

  function lease(entry: Held, milliseconds: number): void {
    clearTimeout(entry.timer);
    // A push has its own clock, for it must also end the request.
    entry.timer = milliseconds === Infinity ? undefined : setTimeout(fail, milliseconds, entry);
  }

  function endLease(entry: Held): void {
    clearTimeout(entry.timer);
    entry.timer = undefined;
    if (entry.ackId !== undefined) leased.delete(entry.ackId);
    entry.ackId = undefined;
    const { ended } = entry;
    entry.ended = undefined;
    ended?.();
  }

  return {
    consumers,
    offer,
    /** Messages not yet acknowledged, leased ones included. */
    size: () => held.size,
    entries: () => [...held.values()].map(({ message, attempts }) => ({ message, attempts })),

    /** Adds a message that is already recorded; call `offer` when all of a batch are in. */
    add(message: Message, attempts = 0): void {
      const entry: Held = { message, attempts };
      held.set(message.id, entry);
      ready.push(entry);
    },

    /** After a restart: counts a delivery that was begun before it, or forgets what was removed. */
    replay(change: 'delivered' | 'removed', ids: string[]): void {
      for (const id of ids) {
        const entry = held.get(id);
        if (!entry) continue;
        if (change === 'delivered') entry.attempts += 1;
        else held.delete(id);
      }
    },

    /** After the replay: what had its last delivery under way when the process ended is a dead letter now. */
    resume(): void {
      ready.clear();
      for (const entry of held.values()) {
        if (entry.attempts > 0 && events.forwarded(entry.message, entry.attempts)) held.delete(entry.message.id);
        else ready.push(entry);
      }
      offer();
    },

    /** Leases ready messages for `leaseMs`, at most `maxMessages` and about `maxBytes`, but one however large it is. */
    take(options: {
      maxMessages: number;
      maxBytes: number;
      leaseMs: number;
      ended?: (delivery: Delivery) => void;
    }): Delivery[] {
      const oldest = Date.now() - settings().retentionMs;
      const entries: Held[] = [];
      const expired: string[] = [];
      let bytes = 0;
      while (entries.length < options.maxMessages) {
        const entry = ready.first();
        if (!entry) break;
        if (entry.message.publishTime < oldest) {
          ready.shift();
          held.delete(entry.message.id);
          expired.push(entry.message.id);
          continue;
        }
        bytes += sizeOf(entry.message);
        if (entries.length > 0 && bytes > options.maxBytes) break;
        ready.shift();
        entries.push(entry);
      }
      if (expired.length > 0) events.removed(expired);
      if (entries.length > 0) events.delivered(entries.map((entry) => entry.message.id));
      return entries.map((entry) => {
        entry.attempts += 1;
        const delivery = {
          ackId: `${name}:${entry.message.id}:${entry.attempts}`,
          message: entry.message,
          attempt: entry.attempts,
        };
        entry.ackId = delivery.ackId;
        entry.ended = () => options.ended?.(delivery);
        leased.set(delivery.ackId, entry);
        lease(entry, options.leaseMs);
        return delivery;
      });
    },

    /**
     * Removes the messages of these leases. A lease that has ended is passed over: the service honours a late
     * acknowledgement at its discretion, so a subscriber must not count on it.
     */
    acknowledge(ackIds: string[]): void {
      const entries = ackIds.map((ackId) => leased.get(ackId)).filter((entry) => entry !== undefined);
      if (entries.length === 0) return;
      events.removed(entries.map((entry) => entry.message.id));
      for (const entry of entries) {
        held.delete(entry.message.id);
        endLease(entry);
      }
      offer();
    },

    /** Gives these leases a new deadline from now; 0 ends them at once, which is a negative acknowledgement. */
    modifyDeadline(ackIds: string[], milliseconds: number): void {
      for (const ackId of ackIds) {
        const entry = leased.get(ackId);
        if (!entry) continue;
        if (milliseconds === 0) fail(entry);
        else lease(entry, milliseconds);
      }
      offer();
    },

    /** Stops all timers; nothing is offered any more. */
    close(): void {
      consumers.clear();
      for (const entry of held.values()) clearTimeout(entry.timer);
    },
  };
}

/** First in, first out, without moving what remains at each step. */
function fifo<T>() {
  let items: T[] = [];
  let head = 0;
  return {
    length: () => items.length - head,
    first: () => items[head],
    push: (item: T) => items.push(item),
    shift() {
      head += 1;
      if (head < 1024 || head * 2 < items.length) return;
      items = items.slice(head);
      head = 0;
    },
    clear() {
      items = [];
      head = 0;
    },
  };
}
