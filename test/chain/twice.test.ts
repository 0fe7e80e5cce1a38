import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { testDatabase } from '../postgres.ts';
import { LEDGER, mirrorYaml, openHarness, pushed, until, type Harness } from './harness.ts';
import { refuse, startsJob, type Answer, type Passing } from './proxy.ts';

/** "At least once, any order, any number of times": every message comes twice at once, and all of them once more, backwards. */

let harness: Harness;
before(async () => {
  harness = await openHarness();
});
after(() => harness.close());

const CHUNKS = ['one', 'two', 'three', 'four'];
const YAML = mirrorYaml(`
chunks: [${CHUNKS.map((name) => `{ name: ${name}, tables: [public.${name}] }`).join(', ')}]
transforms: [{ transformer: draftjs, table: public.two, columns: { body: [text] } }]
coverage: { total: 0, perTable: 0 }`);

const SOURCE = `
  CREATE TABLE one (id int PRIMARY KEY, on_day date);
  INSERT INTO one VALUES (1, '2026-01-01'), (2, 'infinity');
  CREATE TABLE two (id int PRIMARY KEY, body text);
  INSERT INTO two VALUES (1, 'plain');
  CREATE TABLE three (id int PRIMARY KEY, amount numeric);
  INSERT INTO three VALUES (1, 1.5), (2, 'NaN'), (3, 'NaN');
  CREATE TABLE four (id int)`;

/** Delivers every message twice at the same time, and keeps each for later. Both must be acknowledged. */
function twice(): Passing[] {
  const seen: Passing[] = [];
  harness.push.rule((delivery) => {
    seen.push(delivery);
    return Promise.all([delivery.forward(), delivery.forward()]).then(worst);
  });
  return seen;
}

const worst = (answers: Answer[]): Answer => answers.find(({ status }) => status >= 300) ?? answers[0] ?? { status: 0 };

/** Everything that a reader can tell of the published dataset. */
async function published(shard: string) {
  const tables = await harness.tables();
  const metadata = await Promise.all(tables.map((id) => harness.table(id)));
  const sli = await harness.query(
    'SELECT source_table, loaded, errors FROM `commons-local.commons.commons_mirror_sli` ORDER BY source_table, loaded',
  );
  const errors = await harness.query(
    `SELECT source_table, COUNT(*) AS n FROM \`commons-local.commons.commons_mirror_errors_${shard}\`
     GROUP BY source_table ORDER BY source_table`,
  );
  return { metadata, sli, errors };
}

test('a run whose messages all come twice, and then backwards, is the run of messages that come once', async (t) => {
  const seen = twice();
  const { url } = await testDatabase(t, SOURCE);

  // One step fails for good, doubled as well.
  const loads = refuse(harness.services, (request) => startsJob('load')(request) && request.body.includes('_three_'));
  const failed = await harness.run(url, YAML);
  assert.equal(failed.state, 'failed');
  await until('it is told', async () => ((await harness.slack()).length > 0 ? true : undefined));
  loads.end();
  // The platform delivers it again, and it goes through.
  const { runId, shard } = failed;
  await until('it is published', async () => {
    const outcome = (await harness.objects(LEDGER, `runs/${runId}/outcome.json`)).get(`runs/${runId}/outcome.json`);
    return outcome?.includes('"published"') ? true : undefined;
  });
  await harness.idle();

  const once = await published(shard);
  assert.deepEqual(once.sli, [
    { source_table: null, loaded: 3, errors: 3 },
    { source_table: 'four', loaded: 0, errors: 0 },
    { source_table: 'one', loaded: 1, errors: 1 },
    { source_table: 'three', loaded: 1, errors: 2 },
    { source_table: 'two', loaded: 1, errors: 0 },
  ]);
  assert.deepEqual(once.errors, [
    { source_table: 'one', n: 1 },
    { source_table: 'three', n: 2 },
  ]);
  assert.deepEqual(
    (await harness.slack()).map(({ text }) => text),
    [`Commons Mirror: load three of run ${runId} failed`],
  );

  // Every step has been asked, some many times; and now all of it again, the last first.
  assert.deepEqual([...new Set(seen.map((each) => pushed(each).to))].sort(), [
    'alert',
    'load',
    'sli',
    'transform',
    'views',
  ]);
  const again = seen.toReversed();
  for (const delivery of again) assert.ok((await delivery.forward()).status < 300, delivery.path);
  await harness.idle();
  assert.deepEqual(await published(shard), once);
  assert.equal((await harness.slack()).length, 1);
});

const skip = process.env['TEST_PUBSUB_ENDPOINT'] !== undefined && "Google's emulator pushes two messages at a time";
test('chunks that finish together publish the run once', { skip }, async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  // All completions of loads are held until the last is there, and then arrive at one moment.
  const waiting = new Set<string>();
  const together = Promise.withResolvers<void>();
  const release = harness.push.rule((delivery) => {
    const { to, body } = pushed(delivery);
    if (body['step'] !== 'load' || (to !== 'views' && to !== 'sli')) return undefined;
    waiting.add(`${to} ${String(body['chunk'])}`);
    if (waiting.size === 2 * CHUNKS.length) together.resolve();
    return together.promise.then(() => Promise.all([delivery.forward(), delivery.forward()])).then(worst);
  });
  const report = await harness.run(url, YAML);
  assert.equal(report.state, 'published', report.reason);
  await harness.idle();
  release();
  assert.deepEqual(report.views.map(({ view }) => view).sort(), ['four', 'one', 'three', 'two', 'two_transformed']);
  const rows = await harness.query(
    `SELECT COUNT(*) AS n FROM \`commons-local.commons.commons_mirror_sli\` WHERE run_id = '${report.runId}'`,
  );
  assert.deepEqual(rows, [{ n: 5 }]);
  assert.equal((await harness.slack()).length, 1);
});
