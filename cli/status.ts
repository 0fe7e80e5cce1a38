import { parseArguments, type Options } from './arguments.ts';
import { chooseTarget, targetOptions } from './target.ts';

const options = {
  ...targetOptions,
  json: { type: 'boolean', meaning: 'As JSON' },
} as const satisfies Options;

const RUNS = 20;

export const command = {
  summary: 'Runs with their state, scheduled or manual; with RUN, each step with its state and duration.',
  positionals: ['[RUN]'],
  options,
  run: async (args: string[]): Promise<number> => {
    const { values, positionals } = parseArguments('status', args, options, ['[RUN]']);
    await chooseTarget(values);
    const { runIds, statusOf } = await import('../functions/ledger/status.ts');
    const { findPlan } = await import('../functions/ledger/run.ts');
    const { checkRun } = await import('./run.ts');
    const { bounded } = await import('../functions/mirror/bounded.ts');
    const [only] = positionals;
    const ids = only === undefined ? (await runIds()).slice(0, RUNS) : [await checkRun(only)];
    const runs = await bounded(ids, 4, statusOf);
    if (values.json) {
      console.log(JSON.stringify(only === undefined ? runs : runs[0], null, 2));
      return 0;
    }
    if (runs.length === 0) console.log('No run yet.');
    for (const { runId, shard, trigger, state, coverage, reason, restore } of runs) {
      const line = [
        runId,
        state.padEnd(10),
        (shard ?? '–').padEnd(8),
        trigger.padEnd(9),
        coverage === undefined ? '' : `coverage ${coverage}`,
      ];
      console.log(line.join('  ').trimEnd());
      if (reason && state !== 'published') console.log(`    ${reason.replaceAll('\n', '\n    ')}`);
      if (restore !== undefined && (only !== undefined || state === 'running')) console.log(`    ${restore}`);
    }
    const [run] = runs;
    if (only === undefined || !run) return 0;
    const { retryCommands } = await import('../functions/mirror/retry.ts');
    const { environment } = await import('../functions/environment.ts');
    const plan = await findPlan(only);
    for (const { step, chunk, state, seconds, what } of run.steps) {
      console.log(
        `  ${step.padEnd(10)} ${(chunk ?? '').padEnd(20)} ${state.padEnd(8)} ${seconds === undefined ? '' : `${seconds.toFixed(1)} s`}`.trimEnd(),
      );
      if (what !== undefined) console.log(`      ${what.replaceAll('\n', '\n      ')}`);
      if (state !== 'failed') continue;
      for (const retry of retryCommands(step, only, chunk, plan, environment().DATA_BUCKET))
        console.log(`      ${retry}`);
    }
    return 0;
  },
};
