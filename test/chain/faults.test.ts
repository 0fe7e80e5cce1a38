import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { testDatabase } from '../postgres.ts';
import { DATA, LEDGER, mirrorYaml, openHarness, pushed, slackText, until, type Harness } from './harness.ts';
import { refusal, refuse, startsJob, type Answer, type Passing } from './proxy.ts';

/** Failures: told once and again with each retry, to be read by anybody, and never with a value of a row. */

let harness: Harness;
before(async () => {
  harness = await openHarness();
});
after(() => harness.close());

/** In every row, in good values and in those that BigQuery refuses. */
const SECRET = 'Jane Q. Secret-4711';
const SOURCE = `
  CREATE TABLE people (id int PRIMARY KEY, name text, born date, profile json, amounts text[], body text);
  INSERT INTO people VALUES
    (1, '${SECRET}', '1980-01-01', '{"name": "${SECRET}"}', '{${SECRET}}', '${SECRET}'),
    (2, '${SECRET}', 'infinity', '{"${SECRET}": 1}', NULL, '${SECRET}'),
    (3, '${SECRET}', NULL, '{"${SECRET}": 1, "${SECRET}": 2}', NULL, NULL),
    (4, '${SECRET}', NULL, NULL, '[2:2]={${SECRET}}', '${SECRET}')`;
const YAML = mirrorYaml(`
chunks: [{ name: people, tables: [public.people] }]
transforms: [{ transformer: draftjs, table: public.people, columns: { body: [text] } }]
coverage: { total: 0, perTable: 0 }`);

/** Slack messages since the last call. */
let read = 0;
async function news(): Promise<string[]> {
  const messages = (await harness.slack()).slice(read);
  read += messages.length;
  return messages.map(slackText);
}

const someNews = (what: string): Promise<string[]> =>
  until(what, async () => {
    const messages = await news();
    return messages.length > 0 ? messages : undefined;
  });

/** Holds every delivery to a function until `next` sends one on, which gives the function's answer. */
function stepwise(to: string): { next: () => Promise<Answer>; end: () => void } {
  const waiting: { delivery: Passing; answer: (answer: Promise<Answer>) => void }[] = [];
  const remove = harness.push.rule((delivery) => {
    if (pushed(delivery).to !== to) return undefined;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    waiting.push({ delivery, answer: resolve });
    return promise;
  });
  return {
    next: async () => {
      const { delivery, answer } = await until(`a delivery to ${to}`, () => waiting.shift());
      const forwarded = delivery.forward();
      answer(forwarded);
      return forwarded;
    },
    end: () => {
      remove();
      for (const { delivery, answer } of waiting.splice(0)) answer(delivery.forward());
    },
  };
}

const stateOf = async (runId: string): Promise<string> => {
  const { stdout } = await harness.command('status', runId, '--json');
  return (JSON.parse(stdout) as { state: string }).state;
};

/** BigQuery quotes the value that it cannot read. */
const quoting = (id: string): Answer => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: Buffer.from(
    JSON.stringify({
      jobReference: { projectId: 'commons-local', jobId: id, location: 'US' },
      status: {
        state: 'DONE',
        errorResult: { reason: 'invalidQuery', message: `Could not parse '${SECRET}' as DATE`, location: 'query' },
        errors: [{ reason: 'invalidQuery', message: `Could not parse '${SECRET}' as DATE`, location: 'query' }],
      },
    }),
  ),
});

test('a failure is told at its third attempt, once, in words of our own', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  const loads = stepwise('load');
  const failing = harness.services.rule(({ method, path: url }) => {
    const id = /\/jobs\/(mirror_good_[^/]+)$/u.exec(url)?.[1];
    return method === 'GET' && id ? Promise.resolve(quoting(id)) : undefined;
  });
  let alerts = 0;
  const counting = harness.push.rule((delivery) => {
    if (pushed(delivery).to !== 'alert') return undefined;
    return delivery.forward().then((answer) => {
      if (answer.status < 300) alerts += 1;
      return answer;
    });
  });
  const { runId, ended } = await harness.begin(url, YAML);
  const faults = async (): Promise<number[]> =>
    [...(await harness.objects(LEDGER, `runs/${runId}/faults/load.people/`)).values()].map(
      (text) => (JSON.parse(text) as { count: number }).count,
    );
  for (const attempt of [1, 2]) {
    assert.equal((await loads.next()).status, 500);
    assert.deepEqual(await faults(), [attempt]);
    assert.deepEqual(await news(), []);
    assert.equal(await stateOf(runId), 'running');
  }
  assert.equal((await loads.next()).status, 500);
  const messages = await someNews('the alert');
  const job = (await harness.log()).match(/mirror_good_\w+-?\w*_g0_2/u)?.[0] ?? '';
  const manifest = `chunks/${runId}/1/people.json`;
  assert.deepEqual(messages, [
    [
      `Commons Mirror: load people of run ${runId} failed`,
      `*Commons Mirror: load people of run ${runId} failed*`,
      `BigQuery: job ${job} failed at query: invalidQuery`,
      '*Step* load',
      `*Run* ${runId}`,
      '*Chunk* people',
      '*Attempts* 3',
      `*Logs* ${harness.chain.logFile}`,
      '*To retry, either of*',
      `\`\`\`commons-mirror retry ${runId} load people`,
      `gcloud pubsub topics publish mirror-objects --project=commons-local --message='{"bucket":"${DATA}","name":"${manifest}","retry":"load"}' --attribute='eventType=OBJECT_FINALIZE,bucketId=${DATA},objectId=${manifest}'\`\`\``,
    ].join('\n'),
  ]);
  assert.equal(await stateOf(runId), 'failed');
  assert.equal((await ended).state, 'failed');
  // The platform goes on delivering; that is no news.
  assert.equal((await loads.next()).status, 500);
  await until('the alert function has heard of it again', () => (alerts >= 2 ? true : undefined));
  assert.deepEqual(await news(), []);
  failing();
  counting();
  loads.end();
  await until('the run is published', async () => ((await stateOf(runId)) === 'published' ? true : undefined));
  await harness.idle();
  assert.deepEqual(await news(), []);
  assert.deepEqual(await harness.query('SELECT id, name FROM `commons-local.commons.people`'), [
    { id: 1, name: SECRET },
  ]);
});

test('a retry that fails again is told anew', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  const copies = refuse(harness.services, startsJob('copy'));
  const { runId, state, reason } = await harness.run(url, YAML);
  assert.equal(state, 'failed');
  assert.match(reason, /^views: BigQuery: could not start job mirror_copy_\S+_g0_0: accessDenied \(HTTP 403\)$/u);
  const title = `Commons Mirror: views of run ${runId} failed`;
  assert.deepEqual(
    (await someNews('the fault')).map((text) => text.split('\n')[0]),
    [title],
  );
  for (const again of ['once', 'twice']) {
    assert.equal((await harness.command('retry', runId, 'views')).code, 0);
    assert.deepEqual(
      (await someNews(`retried ${again}`)).map((text) => text.split('\n')[0]),
      [title],
    );
  }
  copies.end();
  await until('the run is published', async () => ((await stateOf(runId)) === 'published' ? true : undefined));
  await harness.idle();
  assert.deepEqual(await news(), []);
});

test('what no repetition can mend is told at once, and not repeated', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  const { runId, state, reason } = await harness.run(url, YAML);
  assert.equal(state, 'published', reason);
  await harness.idle();

  const name = `chunks/${runId}/1/nosuch.json`;
  await harness.publish('mirror-objects', { bucket: DATA, name });
  const [missing = '', ...others] = await someNews('a missing manifest');
  assert.deepEqual(others, []);
  assert.equal(
    missing.split('\n').slice(1, 3).join('\n'),
    `*Commons Mirror: load nosuch of run ${runId} failed*\ngs://${DATA}/${name} or its chunk in the plan is missing. ` +
      'Next: start a new run: gcloud run jobs execute mirror-export --project=commons-local --region=us-central1',
  );
  assert.ok(missing.includes('*Attempts* 1\n'));
  await harness.idle();

  await harness.publish('mirror-completions', { step: 'load', runId, shard: 'today', chunk: 'people' });
  const unreadable = await until('three functions cannot read it', async () => {
    const messages = (await harness.slack()).slice(read);
    return messages.length >= 3 ? messages.map(slackText).sort() : undefined;
  });
  read += 3;
  await harness.idle();
  assert.deepEqual(await news(), []);
  for (const [i, step] of ['sli', 'transform', 'views'].entries()) {
    assert.match(
      unreadable[i] ?? '',
      new RegExp(
        `^Commons Mirror: ${step} failed\\n\\*Commons Mirror: ${step} failed\\*\\n` +
          'Received a message that is no completion: shard: a date such as 20261122 \\(message \\d+\\)\\n\\*Step\\*',
        'u',
      ),
    );
  }
  // What is published stays so.
  assert.equal(await stateOf(runId), 'published');
});

test('a table that is missing in the loading dataset fails the step that reads it', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  const transforms = stepwise('transform');
  const { runId, ended } = await harness.begin(url, YAML);
  await until('the chunk is loaded', async () =>
    (await harness.objects(LEDGER, `runs/${runId}/done/load.people.json`)).size > 0 ? true : undefined,
  );
  await harness.deleteTable(`people_${runId}`, 'commons_loading');
  transforms.end();
  const { state, reason } = await ended;
  assert.equal(state, 'failed');
  assert.match(reason, /^transform people: BigQuery: job mirror_transform_\S+ failed(?: at \w+)?: notFound$/u);
  await someNews('the fault');
  // The way out is to load it again.
  assert.equal((await harness.command('retry', runId, 'load', 'people', '--redo')).code, 0);
  await until('the run is published', async () => ((await stateOf(runId)) === 'published' ? true : undefined));
  await harness.idle();
});

test('while Slack is down the alert waits, and is delivered later', async () => {
  const slack = refuse(harness.services, ({ path: url }) => url === '/slack', refusal(500, 'down'));
  await harness.publish('mirror-objects', { bucket: DATA, name: 'chunks/20200101T000000Z/1/people.json' });
  await until('Slack was asked three times', () => (slack.count() >= 3 ? true : undefined));
  assert.deepEqual(await news(), []);
  slack.end();
  const messages = await someNews('the alert');
  await harness.idle();
  assert.deepEqual(
    messages.map((text) => text.split('\n').slice(0, 3)),
    [
      [
        'Commons Mirror: load people of run 20200101T000000Z failed',
        '*Commons Mirror: load people of run 20200101T000000Z failed*',
        'Run 20200101T000000Z has no plan in the ledger. Next: commons-mirror status',
      ],
    ],
  );
  assert.deepEqual(await news(), []);
});

test('a rejection that nobody handles fails the step in which it happened', async () => {
  const script = fileURLToPath(new URL('stray.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script]);
  assert.equal(stdout, '["nobody waits for this","done"]\n');
});

/** Every file below a directory. */
async function filesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}

test('no value of a row is in Slack, logs, ledger, messages, metrics, labels, pages or reports', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  let quoted = 0;
  const listening = harness.services.rule((request) => {
    if (request.method !== 'GET' || !request.path.includes('/jobs/mirror_')) return undefined;
    return request.forward().then((answer) => {
      if (answer.body?.includes(SECRET)) quoted += 1;
      return answer;
    });
  });
  const report = await harness.run(url, YAML);
  assert.equal(report.state, 'published', report.reason);
  await harness.idle();
  listening();
  // It is where it belongs, and BigQuery has told it to the functions.
  const errors = await harness.query(
    `SELECT COUNT(*) AS n FROM \`commons-local.commons.commons_mirror_errors_${report.shard}\`, UNNEST(raw_row) AS raw
     WHERE run_id = '${report.runId}' AND raw.name = 'name' AND raw.value = '${SECRET}'`,
  );
  assert.deepEqual(errors, [{ n: 3 }]);
  assert.ok(quoted > 0, 'BigQuery quotes values in its answers');

  const data = path.join(harness.directory, 'data');
  const mayHold = (file: string): boolean => file.includes('/warehouse.duckdb') || file.includes(`/objects/${DATA}/`);
  const told: [string, string][] = [];
  for (const file of await filesIn(data)) {
    // The warehouse and the data bucket are the places for them, of which the bucket's parts only; see below.
    if (mayHold(file)) continue;
    told.push([file, (await readFile(file)).toString('latin1')]);
  }
  for (const [name, text] of await harness.objects(LEDGER)) told.push([`ledger ${name}`, text]);
  for (const [name, text] of await harness.objects(DATA)) {
    if (!/\/\d+-\d+-\d+\.csv$/u.test(name)) told.push([`data ${name}`, text]);
  }
  for (const page of ['/', '/?format=json']) {
    told.push([`page ${page}`, await (await fetch(`${harness.chain.stack.url}${page}`)).text()]);
  }
  told.push(['report', JSON.stringify(report)], ['slack', JSON.stringify(await harness.slack())]);
  told.push(['status', (await harness.command('status', report.runId)).stdout]);
  told.push(['jobs', JSON.stringify(await harness.jobLabels())]);
  assert.ok(told.length > 60, `${told.length} places`);
  const parts = [SECRET, Buffer.from(SECRET).toString('base64').slice(0, 20), encodeURIComponent(SECRET)];
  const leaks = told.filter(([, text]) => parts.some((part) => text.includes(part))).map(([where]) => where);
  assert.deepEqual(leaks, []);
});
