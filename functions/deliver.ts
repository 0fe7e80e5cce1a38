import { AsyncLocalStorage } from 'node:async_hooks';
import { log, withLabels } from './cloud/log.ts';
import { publish } from './cloud/pubsub.ts';
import { countFault, deliveryOf, faultName, isTold, type FaultKey } from './ledger/faults.ts';
import { generationOf } from './ledger/markers.ts';
import { writeOutcome } from './ledger/run.ts';
import { ConfigurationError, PermanentError, SafeError, StillRunning, safeText } from './mirror/errors.ts';
import { TOPICS, type Completion, type Message, type PubSubEvent, type Step } from './mirror/messages.ts';

/**
 * One delivery of a Pub/Sub message to a step. Returning acknowledges; throwing makes the platform deliver again.
 *
 * | the step                | told in Slack          | answer      |
 * |-------------------------|------------------------|-------------|
 * | is done                 |                        | acknowledge |
 * | is still running        | no                     | again       |
 * | fails for good          | at once                | acknowledge |
 * | fails                   | at its third attempt   | again       |
 */
export type Delivery<B> = {
  step: Step;
  parse: (event: PubSubEvent) => Message<B>;
  /** What the message is about; undefined where it is not for this step. */
  target: (message: Message<B>) => { runId: string; subject?: string | undefined } | undefined;
  work: (target: { runId: string; subject: string | undefined }, context: Context, body: B) => Promise<void>;
};

export type Context = { generation: number; startedAt: string; /** Epoch ms. */ deadline: number };

/** "Event-driven functions end after 9 minutes": what remains is the answer's and the ledger's. */
const BUDGET_MS = 540_000;

type Retryable = { retry?: Completion['retry'] };

export async function deliver<B extends Retryable>(delivery: Delivery<B>, event: PubSubEvent): Promise<void> {
  const { step } = delivery;
  await withLabels({ step }, async () => {
    let message: Message<B>;
    try {
      message = delivery.parse(event);
    } catch (error) {
      await tellUnreadable(step, error);
      return;
    }
    const target = meantFor(step, message.body) ? delivery.target(message) : undefined;
    if (!target) return;
    const { runId, subject } = target;
    await withLabels({ runId, ...(subject !== undefined && { chunk: subject }) }, async () => {
      const startedAt = new Date();
      const generation = await generationOf(runId, step, subject);
      const context = { generation, startedAt: startedAt.toISOString(), deadline: startedAt.getTime() + BUDGET_MS };
      try {
        await withStrayRejections(() => delivery.work({ runId, subject }, context, message.body));
      } catch (error) {
        if (error instanceof StillRunning) {
          log.info(error.message);
          throw error;
        }
        await tellFault({ runId, step, subject, delivery: deliveryOf(message) }, generation, error);
        // The framework writes what is thrown to the log, so that it must be our own text.
        if (!(error instanceof PermanentError)) throw new SafeError(safeText(error));
      }
    });
  });
}

const meantFor = (step: Step, { retry }: Retryable): boolean => retry === undefined || retry === step;

/** Counts a failure, and has it told when it is permanent, has repeated, or is that of the last attempt there is. */
export async function tellFault(key: FaultKey, generation: number, error: unknown, isLast = false): Promise<void> {
  const what = safeText(error);
  log.error(what, { place: placeOf(error) });
  const fault = await countFault(key, generation, error instanceof PermanentError || isLast, what);
  if (!isTold(fault)) return;
  const where = `${key.step}${key.subject === undefined ? '' : ` ${key.subject}`}`;
  await writeOutcome(key.runId, 'failed', `${where}: ${what}`, error instanceof ConfigurationError);
  await publish(TOPICS.failures, {
    step: key.step,
    runId: key.runId,
    ...(key.subject !== undefined && { chunk: key.subject }),
    fault: faultName(key, generation),
    kind: 'failed',
    what,
    attempts: fault.count,
  });
}

/** A message that nobody can read will be no better the next time. */
async function tellUnreadable(step: Step, error: unknown): Promise<void> {
  const what = safeText(error);
  log.error(what);
  await publish(TOPICS.failures, {
    step,
    fault: `unreadable/${step}/${what}`.slice(0, 300),
    kind: 'failed',
    what,
    attempts: 1,
  });
}

/** Files and lines of an error, without its text, which may quote a value. */
function placeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !error.stack) return undefined;
  return error.stack
    .split('\n')
    .filter((line) => /^\s+at /u.test(line))
    .slice(0, 8)
    .map((line) => line.trim())
    .join(' | ');
}

const strays = new AsyncLocalStorage<(reason: unknown) => void>();
let watching = false;

/** Runs `work` so that a rejection which nobody handles, anywhere below it, fails it: a failure is never soft. */
export async function withStrayRejections(work: () => Promise<void>): Promise<void> {
  if (!watching) {
    watching = true;
    // The framework's own listener would write the rejected value to the log and end the process mid-step.
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', (reason) => {
      const fail = strays.getStore();
      if (fail) fail(reason);
      else {
        log.error(`Unhandled rejection outside any step: ${safeText(reason)}`, { place: placeOf(reason) });
        process.exit(1);
      }
    });
  }
  const stray = Promise.withResolvers<never>();
  await strays.run(stray.reject, () => Promise.race([work(), stray.promise]));
}
