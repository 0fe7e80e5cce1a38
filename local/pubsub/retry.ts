import { seconds } from './duration.ts';
import type { QueueSettings } from './queue.ts';
import type { Subscription } from './resources.ts';

/** When a subscription's messages come again, and how long they are kept. */
export function queueSettings({ retryPolicy, pushConfig, messageRetentionDuration }: Subscription): QueueSettings {
  return {
    retentionMs: seconds(messageRetentionDuration) * 1000,
    backoff(attempts) {
      const doublings = Math.min(attempts - 1, 30);
      if (retryPolicy)
        return (
          Math.min(seconds(retryPolicy.minimumBackoff) * 2 ** doublings, seconds(retryPolicy.maximumBackoff)) * 1000
        );
      // Without a policy "the service retries as soon as possible"; its push backoff runs from 100 ms to 60 s.
      return pushConfig.pushEndpoint ? Math.min(100 * 2 ** doublings, 60_000) : 0;
    },
  };
}
