import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { ledger, runPath } from '../functions/ledger/index.ts';
import type { Report } from '../functions/export/progress.ts';
import { statusOf, type RunStatus } from '../functions/ledger/status.ts';
import { PermanentError } from '../functions/mirror/errors.ts';
import { followExport } from './export-log.ts';
import type { RunView } from './run-view.ts';

const POLL_MS = 250;
const STATUS_MS = 1200;
/** A restore takes minutes in which the ledger does not change, and says how many. */
const RESTORE_POLL_MS = 5000;

/**
 * Follows a run in the ledger, and its export in the log, showing each change, until the run itself has ended: its views moved and
 * its coverage told, or blocked, or superseded, or failed. Gives its id.
 */
export async function watchRun(
  execution: string,
  job: Promise<boolean>,
  logFile: string,
  stopped: AbortSignal,
  show: (view: RunView) => void,
): Promise<string> {
  let exported: boolean | undefined;
  let broken: Error | undefined;
  void job.then(
    (succeeded) => (exported = succeeded),
    (error: unknown) => (broken = error instanceof Error ? error : new Error(String(error))),
  );
  const exportOf = followExport(logFile);
  let runId: string | undefined;
  let seen: string | undefined;
  let status: RunStatus | undefined;
  let asked = 0;
  let exporting: Report | undefined;
  for (;;) {
    stopped.throwIfAborted();
    if (broken) throw broken;
    runId ??= await runOf(execution);
    if (runId !== undefined) {
      // Before anything is read: what is read then is of the job's end, where it has ended.
      const jobEnd = exported;
      const [changed, report] = await Promise.all([signatureOf(runId, jobEnd), exportOf(runId)]);
      exporting = report ?? exporting;
      const isRead = isDue(changed, seen, Date.now() - asked, status);
      if (isRead) {
        status = await statusOf(runId);
        asked = Date.now();
        seen = changed;
      }
      if (status && (isRead || report)) show({ status, exporting });
      if (status && isRead && hasEnded(status, jobEnd)) return runId;
    } else if (exported !== undefined) {
      throw new PermanentError(
        exported
          ? 'The export ended without a run: another one is live.'
          : 'The export ended before it could claim a run. Next: read the log',
      );
    }
    await sleep(POLL_MS);
  }
}

/** A status is twenty reads of the ledger, which the chain's own work need not wait for; at a run's end nobody shall wait for it. */
function isDue(changed: string, seen: string | undefined, age: number, status: RunStatus | undefined): boolean {
  if (changed !== seen) return age > STATUS_MS || changed.includes('/outcome.json');
  return status?.restore !== undefined && age > RESTORE_POLL_MS;
}

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
