import { log } from '../cloud/log.ts';
import { required } from '../environment.ts';
import { timed } from '../ledger/restores.ts';
import type { Config } from '../mirror/config.ts';
import { safeText } from '../mirror/errors.ts';
import { aptibleSource, sweepAptible } from './aptible/index.ts';
import { aptibleApi } from './aptible/login.ts';
import type { Claim } from './claim.ts';
import { urlSource, type Source } from './source.ts';

/**
 * Runs `work` on the source that mirror.yaml names, and closes it whatever happens. A failure to close fails the run's task
 * only where the work itself has not failed: Cloud Run's next try removes what is left.
 */
export async function withSource(
  config: Config,
  claim: Claim,
  signal: AbortSignal,
  work: (source: Source) => Promise<void>,
): Promise<void> {
  const source = await openSource(config, claim, signal);
  try {
    await work(source);
  } catch (error) {
    await source.close().catch((closing: unknown) => log.error(`Closing ${source.name}: ${safeText(closing)}`));
    throw error;
  }
  await source.close();
}

async function openSource({ source, project }: Config, claim: Claim, signal: AbortSignal): Promise<Source> {
  if (source.type === 'url') return urlSource(required('SOURCE_URL'), `commons-mirror ${claim.runId}`);
  const api = aptibleApi();
  const { runId, attempt } = claim;
  // What an earlier run has left is no reason not to mirror; the restore tells where Aptible itself does not work.
  await timed(runId, attempt, 'sweep', () => sweepAptible(api, source, project, claim, signal)).catch(
    (error: unknown) => {
      signal.throwIfAborted();
      log.warning(`Sweeping failed, the next run tries again: ${safeText(error)}`);
    },
  );
  return aptibleSource(api, source, project, claim, signal);
}
