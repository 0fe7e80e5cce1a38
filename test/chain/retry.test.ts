import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { isDeepStrictEqual, promisify } from 'node:util';
import { testDatabase } from '../postgres.ts';
import { DATA, LEDGER, mirrorYaml, openHarness, pushed, slackText, until, type Harness } from './harness.ts';
import { refusal, refuse, startsJob, type Passing } from './proxy.ts';

/** A person's retry: by the command that Slack prints, and by `commons-mirror retry`, at any time and any number of times. */

let harness: Harness;
before(async () => {
  harness = await openHarness();
});
after(() => harness.close());

const YAML = mirrorYaml(`
chunks: [{ name: people, tables: [public.*] }]
transforms: [{ transformer: draftjs, table: public.notes, columns: { body: [text] } }]
coverage: { total: 0, perTable: 0 }`);
const SOURCE = `
  CREATE TABLE notes (id int PRIMARY KEY, body text, on_day date);
  INSERT INTO notes VALUES (1, 'one', '2026-01-01'), (2, 'two', 'infinity')`;

/** The arguments that a shell gives to the `gcloud` of a printed command. */
async function shellArguments(command: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('bash', ['-c', `gcloud() { printf '%s\\0' "$@"; }\n${command}`]);
  return stdout.split('\0').slice(0, -1);
}

/** Does what `gcloud pubsub topics publish` does with these arguments; over Google's emulator, `gcloud` itself does it. */
async function gcloud(command: string): Promise<void> {
  const [pubsub, topics, publish, topic = '', ...options] = await shellArguments(command);
  assert.deepEqual([pubsub, topics, publish], ['pubsub', 'topics', 'publish']);
  const option = (name: string): string | undefined =>
    options.find((each) => each.startsWith(`--${name}=`))?.slice(name.length + 3);
  assert.equal(option('project'), 'commons-local');
  const attributes = (option('attribute') ?? '').split(',').filter(Boolean);
  const body = JSON.parse(option('message') ?? '') as object;
  const emulator = process.env['TEST_PUBSUB_ENDPOINT'];
  if (emulator !== undefined) {
    const settings = {
      CLOUDSDK_CONFIG: path.join(harness.directory, 'gcloud'),
      CLOUDSDK_AUTH_DISABLE_CREDENTIALS: 'true',
      CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB: `${emulator}/`,
    };
    await promisify(execFile)('sh', ['-c', command], { env: { ...process.env, ...settings } });
    return;
  }
  await harness.publish(topic, body, Object.fromEntries(attributes.map((pair) => pair.split('=') as [string, string])));
}

/** The command lines in a Slack message. */
const commandsOf = (text: string): string[] => /```(.*)```/su.exec(text)?.[1]?.split('\n') ?? [];

/** The id of the job that a request starts, such as `mirror_load_20261122T030000Z_notes_ab5aa97074c454a0_g0_0`. */
const jobIn = (body: string): string => /"jobId":"([^"]+)"/u.exec(body)?.[1] ?? '';

/** A job's purpose and its step's generation, such as `load 1`. */
function purposeOf(id: string): string {
  const [, purpose, generation] = /^mirror_([a-z]+)_.*_g(\d+)_0$/u.exec(id) ?? [];
  return `${purpose} ${generation}`;
}

/** Keeps the original message of a step away from it once it has failed: what helps then is the retry alone. */
function onlyRetries(step: string): () => void {
  return harness.push.rule((delivery: Passing) => {
    const { to, body } = pushed(delivery);
    return to === step && body['retry'] === undefined ? Promise.resolve(refusal(503, 'backendError')) : undefined;
  });
}

test('each step that failed goes on by the command that Slack prints', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  const faults = {
    load: refuse(harness.services, startsJob('load')),
    transform: refuse(harness.services, startsJob('transform')),
    sli: refuse(harness.services, startsJob('sli')),
    views: refuse(harness.services, startsJob('copy')),
  };
  const begun = await harness.begin(url, YAML);
  const { runId } = begun;
  const manifest = `chunks/${runId}/1/people.json`;
  const shard = JSON.parse(
    (await harness.objects(LEDGER, `runs/${runId}/plan.json`)).get(`runs/${runId}/plan.json`) ?? '',
  ).shard as string;
  const completion = (chunk: string, retry: string): string =>
    `--message='{"step":"load","runId":"${runId}","shard":"${shard}"${chunk},"retry":"${retry}"}'`;
  const printed = {
    load: [
      `commons-mirror retry ${runId} load people`,
      `gcloud pubsub topics publish mirror-objects --project=commons-local --message='{"bucket":"${DATA}","name":"${manifest}","retry":"load"}' ` +
        `--attribute='eventType=OBJECT_FINALIZE,bucketId=${DATA},objectId=${manifest}'`,
    ],
    transform: [
      `commons-mirror retry ${runId} transform people`,
      `gcloud pubsub topics publish mirror-completions --project=commons-local ${completion(',"chunk":"people"', 'transform')}`,
    ],
    sli: [
      `commons-mirror retry ${runId} sli`,
      `gcloud pubsub topics publish mirror-completions --project=commons-local ${completion('', 'sli')}`,
    ],
    views: [
      `commons-mirror retry ${runId} views`,
      `gcloud pubsub topics publish mirror-completions --project=commons-local ${completion('', 'views')}`,
    ],
  };
  for (const step of ['load', 'transform', 'sli', 'views'] as const) {
    const text = await until(`${step} has failed for good`, async () => {
      const message = (await harness.slack()).find((each) => each.text.startsWith(`Commons Mirror: ${step} `));
      return message && slackText(message);
    });
    const commands = commandsOf(text);
    assert.deepEqual(commands, printed[step]);
    const letPass = onlyRetries(step);
    faults[step].end();
    await gcloud(commands[1] ?? '');
    const marker = `runs/${runId}/done/${step}${step === 'load' || step === 'transform' ? '.people' : ''}.json`;
    await until(`${step} is done`, async () => ((await harness.objects(LEDGER, marker)).size > 0 ? true : undefined));
    letPass();
  }
  await harness.idle();
  const { stdout } = await harness.command('status', runId, '--json');
  assert.equal((JSON.parse(stdout) as { state: string }).state, 'published');
  assert.deepEqual(await harness.query('SELECT id, body_text FROM `commons-local.commons.notes_transformed`'), [
    { id: 1, body_text: 'one' },
  ]);
  assert.equal((await harness.slack()).length, 4);
  await begun.ended;
});

test('a step that is done tells so again, and does nothing else; --redo does it anew', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  const { runId, shard, state, reason } = await harness.run(url, YAML);
  assert.equal(state, 'published', reason);
  await harness.idle();
  const outputs = {
    load: [`notes_${runId}`, 'commons_loading'],
    transform: [`notes_transformed_${runId}`, 'commons_loading'],
    sli: [`commons_mirror_errors_${shard}`, 'commons'],
    views: [`notes_${shard}`, 'commons'],
  } as const;
  const times = async (): Promise<Record<string, unknown>> =>
    Object.fromEntries(
      await Promise.all(
        Object.entries(outputs).map(async ([step, [id, dataset]]) => [
          step,
          (await harness.table(id, dataset))?.lastModifiedTime,
        ]),
      ),
    );
  const jobs = new Array<string>();
  const stopListening = harness.services.rule(({ method, path, body }) => {
    if (method === 'POST' && path.endsWith('/jobs')) jobs.push(jobIn(body));
    return undefined;
  });
  const topics = {
    load: 'mirror-objects',
    transform: 'mirror-completions',
    sli: 'mirror-completions',
    views: 'mirror-completions',
  };
  const chunkOf = (step: string): string[] => (step === 'load' || step === 'transform' ? ['people'] : []);
  const bodies = {
    load: { bucket: DATA, name: `chunks/${runId}/1/people.json`, retry: 'load' },
    transform: { step: 'load', runId, shard, chunk: 'people', retry: 'transform' },
    sli: { step: 'load', runId, shard, retry: 'sli' },
    views: { step: 'load', runId, shard, retry: 'views' },
  };

  const before = await times();
  for (const step of ['views', 'load', 'sli', 'transform', 'load', 'views'] as const) {
    const { code, stdout, stderr } = await harness.command('retry', runId, step, ...chunkOf(step));
    assert.equal(stderr, '');
    assert.equal(code, 0);
    assert.equal(stdout, `Published to ${topics[step]}: ${JSON.stringify(bodies[step])}\n`);
  }
  await harness.idle();
  assert.deepEqual(jobs, []);
  assert.deepEqual(await times(), before);

  // What follows from a step is redone with it.
  const redone = {
    load: { load: 1, transform: 1, sli: 1, views: 1 },
    transform: { load: 1, transform: 2, sli: 1, views: 2 },
    sli: { load: 1, transform: 2, sli: 2, views: 2 },
    views: { load: 1, transform: 2, sli: 2, views: 3 },
  };
  for (const step of ['load', 'transform', 'sli', 'views'] as const) {
    const earlier = await times();
    const { code } = await harness.command('retry', runId, step, ...chunkOf(step), '--redo');
    assert.equal(code, 0);
    await until(`${step} is done again`, async () => {
      const markers = await harness.objects(LEDGER, `runs/${runId}/done/`);
      const generations = Object.keys(outputs).map((each) => {
        // A step whose inputs were voided has no marker until it is done again.
        const text = markers.get(`runs/${runId}/done/${[each, ...chunkOf(each)].join('.')}.json`);
        return [each, text === undefined ? undefined : (JSON.parse(text) as { generation: number }).generation];
      });
      return isDeepStrictEqual(Object.fromEntries(generations), redone[step]) || undefined;
    });
    await harness.idle();
    assert.notEqual((await times())[step], earlier[step], `${step} has replaced its output`);
  }
  stopListening();
  const purposes = [...new Set(jobs.map(purposeOf))].sort();
  const all = 'bad 1, copy 1, copy 2, copy 3, good 1, load 1, sli 1, sli 2, staging 1, transform 1, transform 2';
  assert.equal(purposes.join(', '), all);
  assert.deepEqual(
    await harness.query(
      `SELECT loaded, errors FROM \`commons-local.commons.commons_mirror_sli\` WHERE run_id = '${runId}' AND source_table IS NULL`,
    ),
    [{ loaded: 1, errors: 1 }],
  );
  assert.deepEqual(await harness.query('SELECT id FROM `commons-local.commons.notes`'), [{ id: 1 }]);
});

test('two days after its start, a run says that it cannot be repeated, and how to start a new one', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  const { runId, shard } = await harness.run(url, YAML);
  await harness.idle();
  const told = (await harness.slack()).length;
  // The same run, three days ago: all that is left of it is the ledger.
  const start = new Date(Date.now() - 3 * 86_400_000);
  const old = start.toISOString().replaceAll(/[-:]|\.\d+/gu, '');
  const { Storage } = await import('@google-cloud/storage');
  const { PassThroughClient } = await import('google-auth-library');
  const storage = new Storage({
    projectId: 'commons-local',
    apiEndpoint: harness.chain.stack.storage,
    authClient: new PassThroughClient(),
  });
  for (const name of ['plan.json', 'claim.json']) {
    const text = (await harness.objects(LEDGER, `runs/${runId}/${name}`)).get(`runs/${runId}/${name}`) ?? '';
    await storage.bucket(LEDGER).file(`runs/${old}/${name}`).save(text.replaceAll(runId, old), { resumable: false });
  }

  const expected =
    `The data of run ${old} was deleted two days after its start; it cannot be repeated. ` +
    'Next: start a new run: gcloud run jobs execute mirror-export --project=commons-local --region=us-central1';
  const { code, stdout, stderr } = await harness.command('retry', old, 'load', 'people');
  assert.equal(stderr, `${expected}\n`);
  assert.equal(stdout, '');
  assert.equal(code, 1);

  // The printed command of three days ago, run only now.
  await harness.publish('mirror-objects', { bucket: DATA, name: `chunks/${old}/1/people.json`, retry: 'load' });
  await harness.publish('mirror-completions', { step: 'load', runId: old, shard, chunk: 'people', retry: 'transform' });
  const messages = await until('both are told', async () => {
    const since = (await harness.slack()).slice(told);
    return since.length >= 2 ? since.map(slackText).sort() : undefined;
  });
  await harness.idle();
  assert.equal((await harness.slack()).length, told + 2);
  for (const [i, step] of ['load', 'transform'].entries()) {
    const text = messages[i] ?? '';
    assert.ok(text.startsWith(`Commons Mirror: ${step} people of run ${old} failed\n`), text);
    assert.ok(text.includes(expected), text);
    assert.deepEqual(commandsOf(text), [
      'gcloud run jobs execute mirror-export --project=commons-local --region=us-central1',
    ]);
  }
});
