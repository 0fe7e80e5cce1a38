import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { parseConfig } from '../functions/mirror/config.ts';
import { ConfigurationError } from '../functions/mirror/errors.ts';
import { bucketsOf } from '../functions/mirror/names.ts';
import { UsageError, type Options } from './arguments.ts';

/** Which chain a command speaks to: the stack that `start` runs on this machine, or the project of mirror.yaml. */

export const targetOptions = {
  data: {
    type: 'string',
    value: 'DIR',
    meaning: 'The running local stack with this data directory (default .mirror, if it runs)',
    excludes: 'config',
  },
  config: { type: 'string', value: 'FILE', meaning: 'The deployed chain of this mirror.yaml' },
} as const satisfies Options;

const StackSchema = z.object({ pid: z.number(), dataset: z.string(), environment: z.record(z.string(), z.string()) });
type RunningStack = z.infer<typeof StackSchema>;

/** Sets the environment that the functions' modules read, before their first use. Gives the dataset that analysts read. */
export async function chooseTarget(
  { data, config }: { data?: string; config?: string },
  { writes = false } = {},
): Promise<string> {
  if (config === undefined) {
    const stack = await runningStack(data ?? '.mirror');
    if (stack) {
      Object.assign(process.env, stack.environment);
      return stack.dataset;
    }
    if (data !== undefined) {
      throw new UsageError(
        `No local stack runs with the data directory ${data}. Next: npx commons-mirror start --data ${data}`,
      );
    }
  }
  const file = config ?? 'mirror.yaml';
  const text = await readFile(file, 'utf8').catch(() => {
    throw new ConfigurationError(
      `Neither does a local stack run here, nor can ${file} be read. Next: npx commons-mirror start, or --config FILE for a deployed chain`,
    );
  });
  const { project, location, dataset } = parseConfig(text, file).config;
  const key = process.env['KMS_KEY'];
  if (writes && !key) {
    throw new UsageError(
      'This writes tables of the deployed chain: set KMS_KEY to the key that Terraform gives its functions ' +
        '(terraform output kms_key), or to google-managed',
    );
  }
  const buckets = bucketsOf(project);
  Object.assign(process.env, {
    GOOGLE_CLOUD_PROJECT: project,
    BIGQUERY_LOCATION: location,
    DATA_BUCKET: buckets.data,
    LEDGER_BUCKET: buckets.ledger,
    // A command that writes no table needs none.
    KMS_KEY: key ?? 'google-managed',
    CONFIG_FILE: path.resolve(file),
  });
  return dataset;
}

async function runningStack(directory: string): Promise<RunningStack | undefined> {
  const text = await readFile(path.join(directory, 'stack.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const stack = StackSchema.parse(JSON.parse(text));
  try {
    process.kill(stack.pid, 0);
    return stack;
  } catch {
    return undefined;
  }
}
