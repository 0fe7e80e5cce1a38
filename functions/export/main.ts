import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { log, withLabels } from '../cloud/log.ts';
import { closePubSub } from '../cloud/pubsub.ts';
import { tellFault } from '../deliver.ts';
import { environment } from '../environment.ts';
import { TOLD_AT_ATTEMPT } from '../ledger/faults.ts';
import { outcomeOf } from '../ledger/run.ts';
import { parseConfig, type ConfigFile } from '../mirror/config.ts';
import { PermanentError, SafeError, safeText } from '../mirror/errors.ts';
import { AnotherRunIsLive, claim, keepingLease, type Claim } from './claim.ts';
import { exportRun } from './index.ts';
import { withSource } from './with-source.ts';

/**
 * The export's entry point: a Cloud Run job. Exit 0: exported, or another run is live; 1: failed. Cloud Run starts a failed
 * task again, as often as a fault may come before it is told; an attempt that finds the run failed for good ends at once.
 */
async function main(): Promise<number> {
  const { CLOUD_RUN_EXECUTION: execution = randomUUID(), TRIGGER: trigger } = environment();
  let claimed: Claim;
  try {
    claimed = await claim(execution, trigger);
  } catch (error) {
    if (!(error instanceof AnotherRunIsLive)) throw error;
    log.warning(error.message);
    return 0;
  }
  const { runId, attempt } = claimed;
  return withLabels({ step: 'export', runId, attempt }, async () => {
    const outcome = await outcomeOf(runId);
    if (outcome?.state === 'failed') {
      log.error(`Run ${runId} has failed: ${outcome.reason}`);
      // The lease is given back, so that a person's new execution is not turned away.
      await keepingLease(claimed, execution, async () => {});
      return 1;
    }
    try {
      const stopped = new AbortController();
      // Cloud Run gives ten seconds between SIGTERM and SIGKILL.
      process.once('SIGTERM', () => stopped.abort(new SafeError('The export was stopped by SIGTERM')));
      await keepingLease(claimed, execution, async (lost) => {
        const signal = AbortSignal.any([lost, stopped.signal]);
        const file = await readConfig();
        await withSource(file.config, claimed, signal, (source) => exportRun(source, file, claimed, trigger, signal));
      });
      return 0;
    } catch (error) {
      // An attempt that was killed has counted no fault: the last one tells all the same.
      const isLast = attempt >= TOLD_AT_ATTEMPT;
      await tellFault({ runId, step: 'export', delivery: 'original' }, 0, error, isLast);
      return 1;
    }
  });
}

async function readConfig(): Promise<ConfigFile> {
  const file = environment().CONFIG_FILE;
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new PermanentError(`${file} cannot be read (${safeText(error)}). Next: set CONFIG_FILE`);
  });
  return parseConfig(text, file);
}

try {
  process.exitCode = await main();
} catch (error) {
  log.error(safeText(error));
  process.exitCode = 1;
} finally {
  await closePubSub();
}
