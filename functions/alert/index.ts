import { z } from 'zod';
import { createHash, randomUUID } from 'node:crypto';
import { log, withLabels } from '../cloud/log.ts';
import { postToSlack } from '../cloud/slack.ts';
import { environment } from '../environment.ts';
import { ledger } from '../ledger/index.ts';
import { findPlan } from '../ledger/run.ts';
import { PermanentError, SafeError, safeText, StillRunning } from '../mirror/errors.ts';
import { parseFailure, type Failure, type PubSubEvent } from '../mirror/messages.ts';
import { slackMessage } from './message.ts';

/**
 * A step has failed: one Slack message per fault. The fault's claim in the ledger keeps a repeated event from telling it
 * twice; a claim whose holder died runs out. This function's own failure is retried by the platform, and in the end goes
 * to the dead-letter topic, whose alert does not pass through here.
 */
export async function alert(event: PubSubEvent): Promise<void> {
  await withLabels({ step: 'alert' }, async () => {
    let failure: Failure;
    try {
      failure = parseFailure(event).body;
    } catch (error) {
      // Nothing to tell and nothing to retry: what cannot be read is no failure of the chain.
      log.error(safeText(error));
      return;
    }
    await tellOnce(failure);
  });
}

/** `by` tells two deliveries of one moment apart. */
const ToldSchema = z.object({ state: z.enum(['telling', 'told']), at: z.number(), by: z.string() });

/** Longer than a post to Slack may take. */
const CLAIM_MS = 60_000;

async function tellOnce(failure: Failure): Promise<void> {
  const name = `told/${createHash('sha256').update(failure.fault).digest('hex')}.json`;
  const by = randomUUID();
  const standing = await ledger.read(name, ToldSchema);
  if (standing?.value.state === 'told') return;
  if (standing && Date.now() - standing.value.at < CLAIM_MS) throw new StillRunning('another delivery of this alert');
  if (!(await ledger.replace(name, { state: 'telling', at: Date.now(), by }, standing?.generation ?? '0'))) {
    throw new StillRunning('another delivery of this alert');
  }
  const { LOGS_LOCATION, DATA_BUCKET } = environment();
  const plan = failure.runId === undefined ? undefined : await findPlan(failure.runId);
  const { title, sections } = slackMessage(failure, plan, LOGS_LOCATION, DATA_BUCKET);
  try {
    await postToSlack(title, sections);
  } catch (error) {
    // The claim is given back, so that the next delivery tells it at once.
    await release(name);
    if (error instanceof PermanentError) throw new SafeError(error.message);
    throw error;
  }
  const claimed = await ledger.read(name, ToldSchema);
  await ledger.replace(name, { state: 'told', at: Date.now(), by }, claimed?.generation ?? '0');
  log.info('Told', { fault: failure.fault });
}

async function release(name: string): Promise<void> {
  const claimed = await ledger.read(name, ToldSchema);
  if (claimed?.value.state === 'telling')
    await ledger.replace(name, { state: 'telling', at: 0, by: claimed.value.by }, claimed.generation);
}
