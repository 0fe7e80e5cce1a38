import { STEPS, type Step } from '../functions/mirror/messages.ts';
import { parseArguments, UsageError, type Options } from './arguments.ts';
import { chooseTarget, targetOptions } from './target.ts';

const options = {
  ...targetOptions,
  redo: {
    type: 'boolean',
    meaning: 'Do a step that is done again, and what follows from it: new job ids, outputs replaced',
  },
} as const satisfies Options;

const positionals = ['RUN', 'STEP', '[CHUNK]'];

export const command = {
  summary: `Publishes a step's message again; STEP is one of ${STEPS.slice(1).join(', ')}. At any time, any number of times.`,
  positionals,
  options,
  run: async (args: string[]): Promise<number> => {
    const parsed = parseArguments('retry', args, options, positionals);
    const [run = '', stepText = '', chunk] = parsed.positionals;
    const step = STEPS.find((each) => each === stepText);
    if (!step)
      throw new UsageError(`commons-mirror retry: ${stepText} is no step; allowed: ${STEPS.slice(1).join(', ')}`);
    await chooseTarget(parsed.values);
    const { checkRun } = await import('./run.ts');
    await retry(await checkRun(run), step, chunk, parsed.values.redo ?? false);
    return 0;
  },
};

/** Publishes the message that retries a step; with `redo`, its marker is made void first. */
export async function retry(runId: string, step: Step, chunk: string | undefined, redo: boolean): Promise<void> {
  const { findPlan, refuseExpired } = await import('../functions/ledger/run.ts');
  const { environment } = await import('../functions/environment.ts');
  const { publish, closePubSub } = await import('../functions/cloud/pubsub.ts');
  const { raiseGeneration } = await import('../functions/ledger/markers.ts');
  const { retryCommands, retryMessage } = await import('../functions/mirror/retry.ts');
  const plan = await findPlan(runId);
  const { DATA_BUCKET } = environment();
  if (step === 'export' || !plan) {
    throw new UsageError(
      `An export is retried by a new run. Next: ${retryCommands('export', runId, undefined, plan, DATA_BUCKET).join('')}`,
    );
  }
  const chunks = plan.chunks.map(({ name }) => name);
  const wantsChunk = step === 'load' || step === 'transform';
  if (wantsChunk && (chunk === undefined || !chunks.includes(chunk))) {
    throw new UsageError(
      `commons-mirror retry ${runId} ${step}: wants a chunk, one of ${chunks.join(', ')}; found ${chunk ?? 'none'}`,
    );
  }
  if (!wantsChunk && chunk !== undefined)
    throw new UsageError(`commons-mirror retry ${runId} ${step}: takes no chunk; found ${chunk}`);
  refuseExpired(plan);
  if (redo) {
    // What was made of the step's old output is void too; the step's completion has it made again.
    for (const [after, subject] of stepsAfter(step, chunk)) await raiseGeneration(runId, after, subject);
    await raiseGeneration(runId, step, wantsChunk ? chunk : undefined);
  }
  const { topic, body, attributes } = retryMessage(plan, step, chunk, DATA_BUCKET);
  try {
    await publish(topic, body, attributes);
  } finally {
    await closePubSub();
  }
  console.log(`Published to ${topic}: ${JSON.stringify(body)}`);
}

/** The steps that read what `step` writes. */
function stepsAfter(
  step: Exclude<Step, 'export'>,
  chunk: string | undefined,
): [step: Step, subject: string | undefined][] {
  switch (step) {
    case 'load':
      return [
        ['transform', chunk],
        ['sli', undefined],
        ['views', undefined],
      ];
    case 'transform':
      return [['views', undefined]];
    case 'sli':
    case 'views':
      return [];
  }
}
