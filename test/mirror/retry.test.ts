import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { parseConfig } from '../../functions/mirror/config.ts';
import { parseCompletion, parseObject, STEPS, type Step } from '../../functions/mirror/messages.ts';
import { parseManifestObject, type Plan } from '../../functions/mirror/plan.ts';
import { retryCommands, retryMessage } from '../../functions/mirror/retry.ts';

const { config } = parseConfig(
  'project: commons-prod\nregion: us-central1\nlocation: US\ndataset: commons\nchunks: [{ name: care-1, tables: [care.*] }]\n',
  'mirror.yaml',
);
const plan: Plan = {
  version: 1,
  runId: '20261122T030000Z',
  shard: '20261121',
  attempt: 3,
  trigger: 'scheduled',
  startedAt: '2026-11-22T03:00:00.000Z',
  config,
  serverVersion: 160004,
  nullToken: 'N',
  chunks: [],
  leftOut: [],
  warnings: [],
};

const publishTo = (topic: string): string[] => ['pubsub', 'topics', 'publish', topic, '--project=commons-prod'];

const RETRIES: [step: Exclude<Step, 'export'>, chunk: string | undefined, gcloud: string[]][] = [
  [
    'load',
    'care-1',
    [
      ...publishTo('mirror-objects'),
      '--message={"bucket":"commons-data","name":"chunks/20261122T030000Z/3/care-1.json","retry":"load"}',
      '--attribute=eventType=OBJECT_FINALIZE,bucketId=commons-data,objectId=chunks/20261122T030000Z/3/care-1.json',
    ],
  ],
  [
    'transform',
    'care-1',
    [
      ...publishTo('mirror-completions'),
      '--message={"step":"load","runId":"20261122T030000Z","shard":"20261121","chunk":"care-1","retry":"transform"}',
    ],
  ],
  [
    'sli',
    undefined,
    [
      ...publishTo('mirror-completions'),
      '--message={"step":"load","runId":"20261122T030000Z","shard":"20261121","retry":"sli"}',
    ],
  ],
  [
    'views',
    undefined,
    [
      ...publishTo('mirror-completions'),
      '--message={"step":"load","runId":"20261122T030000Z","shard":"20261121","retry":"views"}',
    ],
  ],
];

for (const [step, chunk, gcloud] of RETRIES) {
  test(`${step}: the printed command is read by a shell as the very message that the command line publishes`, () => {
    const [own, printed] = retryCommands(step, plan.runId, chunk, plan, 'commons-data');
    assert.equal(own, `commons-mirror retry 20261122T030000Z ${step}${chunk ? ` ${chunk}` : ''}`);
    const [program, ...args] = shellWords(printed ?? '');
    assert.equal(program, 'gcloud');
    assert.deepEqual(args, gcloud);

    const { topic, body, attributes } = retryMessage(plan, step, chunk, 'commons-data');
    const option = (name: string): string => (args.find((arg) => arg.startsWith(name)) ?? '').slice(name.length);
    assert.equal(topic, args[3]);
    assert.deepEqual(JSON.parse(option('--message=')), body);
    const pairs = option('--attribute=').split(',').filter(Boolean);
    assert.deepEqual(Object.fromEntries(pairs.map((pair) => pair.split('='))), attributes);
  });

  test(`${step}: the message is one that the step reads, addressed to it alone`, () => {
    const { topic, body } = retryMessage(plan, step, chunk, 'commons-data');
    const data = Buffer.from(JSON.stringify(body)).toString('base64');
    const parse = topic === 'mirror-objects' ? parseObject : parseCompletion;
    const parsed: { retry?: Step | undefined } = parse({ data: { message: { data } } }).body;
    assert.equal(parsed.retry, step);
  });
}

test('the load is retried from the manifest of the attempt that the plan is of', () => {
  const { body } = retryMessage(plan, 'load', 'care-1', 'commons-data');
  assert.deepEqual(parseManifestObject(body['name'] ?? ''), { runId: plan.runId, attempt: 3, chunk: 'care-1' });
});

test('the export is retried by executing the job again; without a plan its place is the reader’s', () => {
  assert.deepEqual(retryCommands('export', plan.runId, undefined, plan, 'commons-data'), [
    'gcloud run jobs execute mirror-export --project=commons-prod --region=us-central1',
  ]);
  for (const step of STEPS) {
    assert.deepEqual(retryCommands(step, plan.runId, undefined, undefined, 'commons-data'), [
      'gcloud run jobs execute mirror-export',
    ]);
  }
});

/** The words of a command, by a real shell. */
function shellWords(command: string): string[] {
  const output = execFileSync('sh', ['-c', `printf '%s\\0' ${command}`], { encoding: 'utf8' });
  return output.split('\0').slice(0, -1);
}
