import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { ledger, runPath } from '../functions/ledger/index.ts';
import { restoreOf } from '../functions/ledger/restores.ts';
import { statusOf, type RunStatus } from '../functions/ledger/status.ts';
import { PermanentError } from '../functions/mirror/errors.ts';

const POLL_MS = 100;

/**
 * Follows a run in the ledger, telling each step as it ends, until the run itself has: its views moved and its coverage
 * told, or blocked, or superseded, or failed. Gives its id.
 */
export async function watchRun(
  execution: string,
  job: Promise<boolean>,
  stopped: AbortSignal,
  say: (text: string) => void,
): Promise<string> {
  let exported: boolean | undefined;
  let broken: Error | undefined;
  void job.then(
    (succeeded) => (exported = succeeded),
    (error: unknown) => (broken = error instanceof Error ? error : new Error(String(error))),
  );
  let runId: string | undefined;
  let seen: string | undefined;
  const told = new Set<string>();
  for (;;) {
    stopped.throwIfAborted();
    if (broken) throw broken;
    runId ??= await runOf(execution);
    const changed = runId === undefined ? undefined : await signatureOf(runId, exported);
    if (runId !== undefined && changed !== seen) {
      seen = changed;
      const [status, restore] = await Promise.all([statusOf(runId), restoreOf(runId)]);
      const { now } = restore;
      if (now && !told.has(`${now.phase} ${now.attempt} begun`)) {
        told.add(`${now.phase} ${now.attempt} begun`);
        say(`aptible ${now.phase}: begun`);
      }
      for (const { phase, attempt, startedAt, endedAt } of restore.phases) {
        const name = `${phase} ${attempt}`;
        if (!told.has(name)) say(`aptible ${phase}: done in ${seconds(startedAt, endedAt)} s`);
        told.add(name);
      }
      for (const step of status.steps) {
        const name = [step.step, step.chunk].filter(Boolean).join(' ');
        if (step.state === 'waiting' || told.has(`${name} ${step.state}`)) continue;
        told.add(`${name} ${step.state}`);
        say(`${name}: ${step.state}${step.seconds === undefined ? '' : ` in ${step.seconds.toFixed(1)} s`}`);
      }
      if (hasEnded(status, exported)) return runId;
    } else if (runId === undefined && exported !== undefined) {
      throw new PermanentError(
        exported
          ? 'The export ended without a run: another one is live.'
          : 'The export ended before it could claim a run. Next: read the log',
      );
    }
    await sleep(POLL_MS);
  }
}

const seconds = (from: string, to: string): string => ((Date.parse(to) - Date.parse(from)) / 1000).toFixed(1);

/** What the ledger holds of a run, in one request; a change of it is what is worth a closer look. */
async function signatureOf(runId: string, exported: boolean | undefined): Promise<string> {
  return JSON.stringify([exported, ...(await ledger.list(runPath(runId)))]);
}

function hasEnded({ state, steps }: RunStatus, exported: boolean | undefined): boolean {
  const of = (name: string): string | undefined => steps.find(({ step }) => step === name)?.state;
  // The job's process may still be at its last words.
  if (exported === undefined) return false;
  if (state === 'published') return of('views') === 'done' && of('sli') !== 'waiting';
  if (state === 'blocked') return of('sli') !== 'waiting';
  return state === 'superseded' || state === 'failed';
}

async function runOf(execution: string): Promise<string | undefined> {
  return (await ledger.read(`executions/${execution}.json`, z.object({ runId: z.string() })))?.value.runId;
}
