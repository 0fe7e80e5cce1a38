import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { movePublication, publication } from '../../functions/ledger/publication.ts';
import { testDatabase } from '../postgres.ts';
import { LEDGER, mirrorYaml, openHarness, pushed, select, until, type Harness } from './harness.ts';
import { hold, LOST, refuse, startsJob, type Passing } from './proxy.ts';

/** Runs that overlap, and publications that are stopped half-way: what analysts read only ever goes forward. */

let harness: Harness;
before(async () => {
  harness = await openHarness();
});
after(() => harness.close());

const YAML = mirrorYaml('chunks: [{ name: all, tables: [public.*] }]');

/** Four tables whose rows say which run they are of. */
const TABLES = ['t1', 't2', 't3', 't4'];
const SOURCE = TABLES.map((name) => `CREATE TABLE ${name} (run text); INSERT INTO ${name} VALUES ('1');`).join('\n');
const nextRun = async (url: string, run: string): Promise<void> => {
  await select(url, TABLES.map((name) => `UPDATE ${name} SET run = '${run}';`).join(''));
};

/** What the four views show, such as `1 1 2 2`. */
async function shown(): Promise<string> {
  const selects = TABLES.map((name) => `SELECT '${name}' AS name, run FROM \`commons-local.commons.${name}\``);
  const rows = await harness.query(`${selects.join(' UNION ALL ')} ORDER BY name`);
  return rows.map(({ run }) => run).join(' ');
}

const isOf =
  (to: string, runId: string) =>
  (push: Passing): boolean => {
    if (!push.path.startsWith(`/${to}/`)) return false;
    const { body } = pushed(push);
    return body['runId'] === runId || String(body['name']).includes(`/${runId}/`);
  };

const movesView =
  (name: string) =>
  ({ method, path }: Passing): boolean =>
    method === 'PATCH' && path.endsWith(`/commons/tables/${name}`);

/** Ends the function's process as the kernel would, and waits for the one that takes its place. */
async function kill(name: 'views'): Promise<void> {
  const pid = harness.chain.functions.pid(name);
  assert.ok(pid !== undefined);
  process.kill(pid, 'SIGKILL');
  await until('another process', () => (harness.chain.functions.pid(name) === pid ? undefined : true));
}

test('an older run that ends after a newer one was published publishes nothing', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  const loads = hold(harness.push, ({ path }) => path.startsWith('/load/'));
  const older = await harness.begin(url, YAML);
  await loads.begun;
  const olderLoads = hold(harness.push, isOf('load', older.runId));
  await until('its export has ended', async () => {
    const names = await harness.objects(LEDGER, `runs/${older.runId}/done/export.json`);
    return names.size > 0 || undefined;
  });
  // What the first hold has caught stays caught; the newer run passes.
  loads.letPass();
  await nextRun(url, '2');
  const newer = await harness.run(url, YAML);
  assert.equal(newer.state, 'published', newer.reason);
  assert.ok(newer.runId > older.runId);
  const tables = await Promise.all(TABLES.map((name) => harness.table(`${name}_${newer.shard}`)));

  loads.release();
  olderLoads.release();
  const report = await older.ended;
  assert.equal(report.state, 'superseded');
  assert.equal(report.reason, `Run ${older.runId} is superseded: run ${newer.runId} is newer and was published first`);
  assert.deepEqual(report.views, []);
  assert.equal(report.tables.length, 4);
  await harness.idle();
  assert.equal(await shown(), '2 2 2 2');
  // Not so much as a table's metadata has been touched.
  assert.deepEqual(await Promise.all(TABLES.map((name) => harness.table(`${name}_${newer.shard}`))), tables);
  const { stdout, stderr } = await harness.command('status');
  assert.equal(stderr, '');
  assert.ok(
    stdout.includes(
      `${older.runId}  superseded  ${newer.shard}  manual     coverage 1\n    Run ${older.runId} is superseded: run ${newer.runId} is newer and was published first\n`,
    ),
    stdout,
  );
  // A person's retry changes nothing of that.
  assert.equal((await harness.command('retry', older.runId, 'views')).code, 0);
  assert.equal((await harness.command('retry', older.runId, 'load', 'all')).code, 0);
  for (const accepting of [[], ['--accept-coverage']]) {
    const { code, stderr } = await harness.command('publish', older.runId, ...accepting);
    assert.deepEqual([code, stderr], [1, `${report.reason}. Next: start a new run\n`]);
  }
  await harness.idle();
  assert.equal(await shown(), '2 2 2 2');
  assert.deepEqual(await harness.slack(), []);
});

test('a publication that is killed between its copies, or between copies and views, rolls forward', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  assert.equal((await harness.run(url, YAML)).state, 'published');
  const sequence = (await publication())?.value.sequence ?? 0;
  await nextRun(url, '2');

  const copies = refuse(
    harness.services,
    (request) => startsJob('copy')(request) && request.body.includes('_t3_'),
    LOST,
  );
  const begun = await harness.begin(url, YAML);
  await until('a copy is lost on the way', () => (copies.count() > 0 ? true : undefined));
  await kill('views');
  // Some of the copies are there, the views show the shard that they land in: within these seconds readers may see both.
  copies.end();

  const move = hold(harness.services, movesView('t2'));
  await move.begun;
  assert.equal((await publication())?.value.state, 'moving');
  await kill('views');
  move.drop();

  const { state, reason, views } = await begun.ended;
  assert.equal(state, 'published', reason);
  assert.equal(views.length, 4);
  await harness.idle();
  assert.equal(await shown(), '2 2 2 2');
  // It was one publication, however often it was begun.
  assert.equal((await publication())?.value.sequence, sequence + 1);
  assert.equal((await publication())?.value.state, 'done');
  for (const name of TABLES)
    assert.equal((await harness.table(name))?.labels?.['mirror_sequence'], String(sequence + 1));
  assert.deepEqual(await harness.slack(), []);
});

test('a newer run waits for the publication that it finds under way', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  const move = hold(harness.services, movesView('t1'));
  const older = await harness.begin(url, YAML);
  await move.begun;
  await nextRun(url, '2');
  const newer = await harness.begin(url, YAML);
  await until('it has said that it waits', async () =>
    (await harness.log()).includes(`"Still running: the publication of run ${older.runId}"`) ? true : undefined,
  );
  assert.equal((await publication())?.value.runId, older.runId);
  move.release();
  assert.equal((await older.ended).state, 'published');
  const { state, reason } = await newer.ended;
  assert.equal(state, 'published', reason);
  await harness.idle();
  assert.equal(await shown(), '2 2 2 2');
  // Waiting is no failure: nothing is counted, nothing told.
  assert.equal((await harness.objects(LEDGER, `runs/${newer.runId}/faults/`)).size, 0);
  assert.deepEqual(await harness.slack(), []);
});

test('a newer run takes over from a publication whose function has died', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  const move = hold(harness.services, movesView('t1'));
  const older = await harness.begin(url, YAML);
  await move.begun;
  // Its redelivery is late: the newer run comes first.
  const redelivery = hold(harness.push, isOf('views', older.runId));
  await kill('views');
  move.drop();
  const standing = await publication();
  assert.ok(standing);
  assert.equal(standing.value.state, 'moving');
  // Ten minutes pass: no function lives that long.
  const touchedAt = standing.value.touchedAt - 600_001;
  assert.ok(await movePublication({ ...standing.value, touchedAt }, standing.generation));

  await nextRun(url, '2');
  const newer = await harness.run(url, YAML);
  assert.equal(newer.state, 'published', newer.reason);
  redelivery.release();
  assert.equal((await older.ended).state, 'superseded');
  await harness.idle();
  assert.equal(await shown(), '2 2 2 2');
  assert.equal((await publication())?.value.runId, newer.runId);
  assert.equal((await publication())?.value.sequence, standing.value.sequence + 1);
  assert.deepEqual(await harness.slack(), []);
});
