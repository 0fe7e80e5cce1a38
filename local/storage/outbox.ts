import { setTimeout as wait } from 'node:timers/promises';
import type { DueMessage } from './state.ts';
import type { Store } from './store.ts';

/** Hands a message to Pub/Sub; `topic` is `projects/P/topics/T`. Rejects when the topic did not take it. */
export type Publish = (topic: string, message: { data: Buffer; attributes: Record<string, string> }) => Promise<void>;

/** A message whose topic has refused it so far. */
export type Undelivered = { topic: string; objectId: string; attempts: number; error: unknown };

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;

/**
 * Publishes what the store has due, at least once and in no order, each message again and again until its topic takes it.
 * What is left at `close` stays in the store for the next process.
 */
export function openOutbox(
  store: Store,
  publish: Publish,
): { undelivered: () => Undelivered[]; close: () => Promise<void> } {
  const closing = new AbortController();
  const deliveries = new Set<Promise<void>>();
  const refused = new Map<string, Undelivered>();

  async function deliver({ id, topic, data, attributes }: DueMessage): Promise<void> {
    for (let attempts = 1; !closing.signal.aborted; attempts++) {
      try {
        await publish(topic, { data: Buffer.from(data), attributes });
        store.commit([{ type: 'published', id }]);
        refused.delete(id);
        return;
      } catch (error) {
        refused.set(id, { topic, objectId: attributes['objectId'] ?? '', attempts, error });
      }
      const delay = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempts - 1));
      // Rejects only when closing ends it early.
      await wait(delay, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  }

  store.onDue((message) => {
    // In a later turn: the change that owes the message is to be answered, not to wait for its publication.
    const delivery = new Promise((resolve) => setImmediate(resolve))
      .then(() => deliver(message))
      .finally(() => deliveries.delete(delivery));
    deliveries.add(delivery);
  });

  return {
    undelivered: () => [...refused.values()],
    close: async () => {
      closing.abort();
      await Promise.all(deliveries);
    },
  };
}
