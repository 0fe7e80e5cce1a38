import { setTimeout as sleep } from 'node:timers/promises';
import { log } from '../../cloud/log.ts';
import { PermanentError, SafeError } from '../../mirror/errors.ts';
import { NotFound, type Api } from './answers.ts';
import { readOperation, type Operation } from './api.ts';

/** Waiting for Aptible: always with a limit, always telling how long it has been. */

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;
const TELL_EVERY_MS = 60_000;

/**
 * Looks until there is something to see. `doing` is told each minute: "restoring, 4 min". Throws a SafeError after `limitMs`,
 * and the signal's reason when it fires.
 */
export async function until<T>(
  doing: string,
  limitMs: number,
  signal: AbortSignal,
  look: () => Promise<T | undefined>,
): Promise<T> {
  const begun = Date.now();
  let told = begun;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 1.5, LONGEST_PAUSE_MS)) {
    signal.throwIfAborted();
    const seen = await look();
    if (seen !== undefined) return seen;
    const now = Date.now();
    if (now - begun > limitMs) {
      throw new SafeError(`Aptible: ${doing} took longer than ${inMinutes(limitMs)}. Next: look in the dashboard`);
    }
    if (now - told > TELL_EVERY_MS) {
      told = now;
      log.info(`Aptible: ${doing}, ${inMinutes(now - begun)}`);
    }
    await sleep(pause, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

const inMinutes = (ms: number): string => (ms < 60_000 ? `${ms / 1000} s` : `${Math.round(ms / 60_000)} min`);

/** An operation's end. Throws where it failed; with `goneIsDone`, a resource that is gone has taken its operation along. */
export async function ended(
  api: Api,
  operation: Operation,
  doing: string,
  limitMs: number,
  signal: AbortSignal,
  { goneIsDone = false } = {},
): Promise<void> {
  await until(doing, limitMs, signal, async () => {
    const { status } = await readOperation(api, operation.id).catch((error: unknown) => {
      if (goneIsDone && error instanceof NotFound) return { status: 'succeeded' };
      throw error;
    });
    if (status === 'succeeded') return true;
    if (status === 'queued' || status === 'running') return undefined;
    if (status === 'failed') {
      throw new SafeError(
        `Aptible: ${doing} failed (operation ${operation.id}). Next: read its log, https://app.aptible.com/operations/${operation.id}`,
      );
    }
    throw new PermanentError(
      `Aptible: operation ${operation.id} is ${status}; known: queued, running, succeeded, failed`,
    );
  });
}
