import { PermanentError } from '../functions/mirror/errors.ts';
import { parseArguments, UsageError, type Options } from './arguments.ts';
import { chooseTarget, targetOptions } from './target.ts';

const options = {
  ...targetOptions,
  'accept-coverage': { type: 'boolean', meaning: 'Publish although coverage is below its threshold' },
} as const satisfies Options;

export const command = {
  summary: "A person's answer to a blocked run.",
  positionals: ['RUN'],
  options,
  run: async (args: string[]): Promise<number> => {
    const { values, positionals } = parseArguments('publish', args, options, ['RUN']);
    await chooseTarget(values);
    const { checkRun } = await import('./run.ts');
    const { acceptCoverage, outcomeOf } = await import('../functions/ledger/run.ts');
    const { markerOf } = await import('../functions/ledger/markers.ts');
    const { ViewsResultSchema } = await import('../functions/views/result.ts');
    const runId = await checkRun(positionals[0] ?? '');
    const [outcome, done] = await Promise.all([
      outcomeOf(runId),
      markerOf(runId, 'views', undefined, ViewsResultSchema),
    ]);
    if (done) {
      console.log(`Run ${runId} is published already: ${done.result.views.length} views. Nothing was done.`);
      return 0;
    }
    if (outcome?.state === 'superseded') throw new PermanentError(`${outcome.reason}. Next: start a new run`);
    if (outcome?.state === 'blocked' && !values['accept-coverage']) {
      throw new UsageError(
        `Run ${runId} is blocked:\n${outcome.reason}\nNext, to publish it all the same: commons-mirror publish ${runId} --accept-coverage`,
      );
    }
    if (values['accept-coverage']) await acceptCoverage(runId);
    const { retry } = await import('./retry.ts');
    await retry(runId, 'views', undefined, false);
    return 0;
  },
};
