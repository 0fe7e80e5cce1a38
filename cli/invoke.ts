import { readFile } from 'node:fs/promises';
import { STEPS } from '../functions/mirror/messages.ts';
import { parseArguments, UsageError, type Options } from './arguments.ts';
import { chooseTarget, targetOptions } from './target.ts';

const INVOCABLE = [...STEPS.filter((step) => step !== 'export'), 'alert'] as const;

const options = {
  ...targetOptions,
  message: {
    type: 'string',
    value: 'FILE|RUN',
    meaning: "A saved message, or a run: the step's own message is made for it",
  },
  chunk: { type: 'string', value: 'CHUNK', meaning: 'With a run, for load and transform' },
} as const satisfies Options;

export const command = {
  summary: `Runs one function once, in this process, so that a debugger can follow it: ${INVOCABLE.join(', ')}.`,
  positionals: ['STEP'],
  options,
  run: async (args: string[]): Promise<number> => {
    const { values, positionals } = parseArguments('invoke', args, options, ['STEP']);
    const name = INVOCABLE.find((each) => each === positionals[0]);
    if (!name)
      throw new UsageError(`commons-mirror invoke: ${positionals[0]} is no step; allowed: ${INVOCABLE.join(', ')}`);
    if (values.message === undefined) throw new UsageError('commons-mirror invoke: missing: --message FILE|RUN');
    await chooseTarget(values, { writes: true });
    const message = /^\d{8}T\d{6}Z$/u.test(values.message)
      ? await messageFor(values.message, name, values.chunk)
      : await savedMessage(values.message);
    const { closePubSub } = await import('../functions/cloud/pubsub.ts');
    try {
      const event = { data: { message } };
      if (name === 'load') await (await import('../functions/load/index.ts')).load(event);
      if (name === 'transform') await (await import('../functions/transform/index.ts')).transform(event);
      if (name === 'sli') await (await import('../functions/sli/index.ts')).sli(event);
      if (name === 'views') await (await import('../functions/views/index.ts')).views(event);
      if (name === 'alert') await (await import('../functions/alert/index.ts')).alert(event);
      console.log(`${name}: acknowledged`);
      return 0;
    } finally {
      await closePubSub();
    }
  },
};

type PubSubMessage = { messageId: string; data: string; attributes: Record<string, string> };

async function messageFor(
  run: string,
  step: (typeof INVOCABLE)[number],
  chunk: string | undefined,
): Promise<PubSubMessage> {
  const { checkRun } = await import('./run.ts');
  const { planOf } = await import('../functions/ledger/run.ts');
  const { environment } = await import('../functions/environment.ts');
  const { retryMessage } = await import('../functions/mirror/retry.ts');
  if (step === 'alert')
    throw new UsageError('commons-mirror invoke alert: wants a saved message; a run alone has no failure to tell');
  const plan = await planOf(await checkRun(run));
  const chunks = plan.chunks.map(({ name }) => name);
  if ((step === 'load' || step === 'transform') && (chunk === undefined || !chunks.includes(chunk))) {
    throw new UsageError(
      `commons-mirror invoke ${step}: --chunk: allowed: ${chunks.join(', ')}; found ${chunk ?? 'none'}`,
    );
  }
  const { body, attributes } = retryMessage(plan, step, chunk, environment().DATA_BUCKET);
  return encode(body, attributes);
}

/** A message as `gcloud pubsub subscriptions pull --format=json` gives it, a push's envelope, or its body alone. */
async function savedMessage(file: string): Promise<PubSubMessage> {
  const text = await readFile(file, 'utf8').catch(() => {
    throw new UsageError(`commons-mirror invoke: --message ${file}: neither a run's id nor a file that can be read`);
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UsageError(`commons-mirror invoke: --message ${file}: not JSON`);
  }
  if (Array.isArray(value)) value = value[0];
  if (isRecord(value) && isRecord(value['message'])) value = value['message'];
  if (isRecord(value) && typeof value['data'] === 'string') {
    const attributes = isRecord(value['attributes']) ? value['attributes'] : {};
    const entries = Object.entries(attributes).map(
      ([key, each]) => [key, typeof each === 'string' ? each : JSON.stringify(each)] as const,
    );
    return {
      messageId: typeof value['messageId'] === 'string' ? value['messageId'] : 'saved',
      data: value['data'],
      attributes: Object.fromEntries(entries),
    };
  }
  return encode(value, {});
}

const encode = (body: unknown, attributes: Record<string, string>): PubSubMessage => ({
  messageId: `invoke-${Date.now()}`,
  data: Buffer.from(JSON.stringify(body)).toString('base64'),
  attributes,
});

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
