import { setImmediate } from 'node:timers/promises';
import { withStrayRejections } from '../../functions/deliver.ts';
import { SafeError } from '../../functions/mirror/errors.ts';

/** Run by faults.test.ts: two steps at once in one process, of which one leaves a rejection to nobody. */
const forget = async (): Promise<void> => {
  await setImmediate();
  throw new SafeError('nobody waits for this');
};
const results = await Promise.allSettled([
  withStrayRejections(async () => {
    void forget();
    // The step itself would go on as if nothing had happened.
    await new Promise((resolve) => setTimeout(resolve, 5000));
  }),
  withStrayRejections(async () => {
    for (let n = 0; n < 20; n++) await setImmediate();
  }),
]);
console.log(
  JSON.stringify(results.map((each) => (each.status === 'rejected' ? (each.reason as Error).message : 'done'))),
);
process.exit(0);
