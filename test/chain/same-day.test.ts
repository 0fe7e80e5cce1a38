import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { testDatabase } from '../postgres.ts';
import { mirrorYaml, openHarness, select, slackText, until, type Harness } from './harness.ts';
import { hold, refuse, startsJob } from './proxy.ts';

/** Two runs of one day share the shard: the later replaces the earlier, and until it is whole nobody sees any of it. */

let harness: Harness;
before(async () => {
  harness = await openHarness();
});
after(() => harness.close());

const DRAFT = (text: string): string =>
  JSON.stringify({
    blocks: [{ key: 'a', text, type: 'unstyled', depth: 0, inlineStyleRanges: [], entityRanges: [], data: {} }],
    entityMap: {},
  });

/** Every row says which run it is of. */
const SOURCE = `
  CREATE TABLE members (id int PRIMARY KEY, run text NOT NULL);
  INSERT INTO members SELECT n, 'first' FROM generate_series(1, 3) AS n;
  CREATE TABLE visits (id int PRIMARY KEY, run text NOT NULL, on_day date);
  INSERT INTO visits VALUES (1, 'first', '2026-01-01'), (2, 'first', 'infinity'), (3, 'first', NULL);
  CREATE TABLE notes (id int PRIMARY KEY, run text NOT NULL, body text);
  INSERT INTO notes VALUES (1, 'first', '${DRAFT('first')}');
  CREATE TABLE none (run text)`;

const CHUNKS = `
chunks:
  - { name: members, tables: [public.members, public.none] }
  - { name: visits, tables: [public.visits] }
  - { name: notes, tables: [public.notes] }
transforms: [{ transformer: draftjs, table: public.notes, columns: { body: [text] } }]`;
const LENIENT = mirrorYaml(`${CHUNKS}\ncoverage: { total: 0, perTable: 0 }`);
const STRICT = mirrorYaml(CHUNKS);

const VIEWS = ['members', 'none', 'notes', 'notes_transformed', 'visits'];

/** What each published table and each view shows, in one line. */
async function shown(shard: string): Promise<Record<string, string>> {
  const names = VIEWS.flatMap((view) => [view, `${view}_${shard}`]);
  const selects = names.map((name) => {
    const text = name.startsWith('notes_transformed') ? `CONCAT(run, ' ', body_text)` : 'run';
    return `SELECT '${name}' AS name, STRING_AGG(${text}, ', ') AS text FROM \`commons-local.commons.${name}\``;
  });
  const rows = await harness.query(selects.join('\nUNION ALL\n'));
  return Object.fromEntries(rows.map(({ name, text }) => [String(name), typeof text === 'string' ? text : '']));
}

const both = (shard: string, contents: Record<string, string>): Record<string, string> =>
  Object.fromEntries(
    VIEWS.flatMap((view) => [
      [view, contents[view] ?? ''],
      [`${view}_${shard}`, contents[view] ?? ''],
    ]),
  );

/** Asks every published table and view all the time; whatever they show must be `expected`. */
function watch(shard: string, expected: Record<string, string>) {
  let rounds = 0;
  const stopping = new AbortController();
  const done = (async () => {
    while (!stopping.signal.aborted) {
      assert.deepEqual(await shown(shard), expected);
      rounds += 1;
      await sleep(100);
    }
  })();
  done.catch(() => {});
  return {
    /** Resolves when every table and view has been asked twice since. */
    more: async () => {
      const from = rounds;
      await Promise.race([until('two more rounds', () => (rounds >= from + 2 ? true : undefined)), done]);
    },
    stop: async () => {
      stopping.abort();
      await done;
    },
  };
}

test('until the later run of a day is whole, every table and view shows the earlier one', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  const first = await harness.run(url, LENIENT);
  assert.equal(first.state, 'published', first.reason);
  const { shard } = first;
  const ofFirst = both(shard, {
    members: 'first, first, first',
    visits: 'first, first',
    notes: 'first',
    notes_transformed: 'first first',
  });
  assert.deepEqual(await shown(shard), ofFirst);

  await select(
    url,
    `UPDATE members SET run = 'second'; INSERT INTO members VALUES (4, 'second'); UPDATE visits SET run = 'second';
     INSERT INTO visits VALUES (5, 'second', 'infinity'); INSERT INTO none VALUES ('second');
     UPDATE notes SET run = 'second', body = '${DRAFT('second')}'`,
  );
  const watched = watch(shard, ofFirst);

  // It loads: one chunk is loaded, the others wait.
  const loads = hold(harness.push, ({ path, body }) => path.startsWith('/load/') && !isOf(body, 'members.json'));
  const jobs = refuse(harness.services, startsJob('transform'));
  const second = await harness.begin(url, STRICT);
  await loads.begun;
  await until('members are loaded', async () => {
    const names = await harness.objects('commons-local-mirror-ledger', `runs/${second.runId}/done/load.members.json`);
    return names.size > 0 || undefined;
  });
  await watched.more();
  loads.release();

  // It transforms, and that fails: BigQuery refuses it until the failure has been told.
  const failure = await until('the transform has failed for good', async () =>
    (await harness.slack()).find(({ text }) => text.includes('transform')),
  );
  assert.equal(failure.text, `Commons Mirror: transform notes of run ${second.runId} failed`);
  const failed = await second.ended;
  assert.equal(failed.state, 'failed');
  assert.match(
    failed.reason,
    /^transform notes: BigQuery: could not start job mirror_transform_\S+_g0_0: accessDenied \(HTTP 403\)$/u,
  );
  await watched.more();
  jobs.end();

  // It is transformed after all, and blocked: coverage is below its thresholds.
  const told = await until('the run is blocked', async () =>
    (await harness.slack()).find(({ text }) => text.endsWith('is blocked')),
  );
  assert.equal(told.text, `Commons Mirror: run ${second.runId} is blocked`);
  assert.ok(slackText(told).includes(`commons-mirror publish ${second.runId} --accept-coverage`));
  await harness.idle();
  await watched.more();
  await watched.stop();

  const refused = await harness.command('publish', second.runId);
  assert.equal(refused.code, 2);
  assert.equal(
    refused.stderr,
    `Run ${second.runId} is blocked:\ntable public.visits: coverage 0.5, wanted 0.99, 2 error rows\n` +
      `total: coverage 0.8, wanted 0.999, 2 error rows\n` +
      `Next, to publish it all the same: commons-mirror publish ${second.runId} --accept-coverage\n`,
  );
  const accepted = await harness.command('publish', second.runId, '--accept-coverage');
  assert.equal(accepted.stderr, '');
  assert.equal(accepted.code, 0);
  await until('it is published', async () => (await stateOf(second.runId)) === 'published' || undefined);
  await harness.idle();

  assert.deepEqual(
    await shown(shard),
    both(shard, {
      members: 'second, second, second, second',
      visits: 'second, second',
      notes: 'second',
      notes_transformed: 'second second',
      none: 'second',
    }),
  );
  // The day's error rows, of both runs.
  const errors = await harness.query(
    `SELECT run_id, COUNT(*) AS n FROM \`commons-local.commons.commons_mirror_errors_${shard}\` GROUP BY run_id ORDER BY run_id`,
  );
  assert.deepEqual(errors, [
    { run_id: first.runId, n: 1 },
    { run_id: second.runId, n: 2 },
  ]);
  for (const view of VIEWS) {
    assert.equal((await harness.table(`${view}_${shard}`))?.expirationTime, undefined, view);
  }
  assert.equal((await harness.slack()).length, 2);
});

const isOf = (push: string, name: string): boolean => {
  const { message } = JSON.parse(push) as { message: { attributes: { objectId?: string } } };
  return message.attributes.objectId?.endsWith(`/${name}`) ?? false;
};

async function stateOf(runId: string): Promise<string> {
  const { stdout } = await harness.command('status', runId, '--json');
  return (JSON.parse(stdout) as { state: string }).state;
}
