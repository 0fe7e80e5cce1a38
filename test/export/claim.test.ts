import assert from 'node:assert/strict';
import { afterEach, mock, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { AnotherRunIsLive, claim, keepingLease } from '../../functions/export/claim.ts';
import { ledger } from '../../functions/ledger/index.ts';
import { changeLease, liveLease, type Lease } from '../../functions/ledger/lease.ts';
import { statusOf } from '../../functions/ledger/status.ts';
import { buckets } from './buckets.ts';

buckets();

const HEARTBEAT_MS = 15_000;
const LEASE_MS = 90_000;

/** Ends the lease, whoever has it, and the clocks' standstill. */
afterEach(async () => {
  mock.timers.reset();
  await changeLease((current) => current && { ...current, until: 0 });
});

const live = (): Promise<Lease | undefined> => liveLease(Date.now());

/** Waits, by the real clock, for what other promises bring about. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await condition()) && waited < 5000; waited += 5) await wait(5);
}

test('a claim gives a run id, attempt 1, and the lease for 90 s', async () => {
  mock.timers.enable({ apis: ['Date'], now: Date.parse('2026-11-22T03:00:00.400Z') });
  assert.deepEqual(await claim('first', 'scheduled'), { runId: '20261122T030000Z', attempt: 1 });
  assert.deepEqual(await live(), {
    runId: '20261122T030000Z',
    execution: 'first',
    attempt: 1,
    until: Date.parse('2026-11-22T03:00:00.400Z') + LEASE_MS,
  });
});

test('a run is running from its claim on, before the lease is its own, and not for good', async () => {
  const state = async (): Promise<string> => (await statusOf('20261122T033000Z')).state;
  mock.timers.enable({ apis: ['Date'], now: Date.parse('2026-11-22T03:30:00Z') });
  const claimed = { execution: 'claiming', attempt: 0, trigger: 'manual', at: '2026-11-22T03:30:00.000Z' };
  await ledger.create('runs/20261122T033000Z/claim.json', claimed);
  assert.equal(await state(), 'running');
  mock.timers.tick(10_000);
  assert.equal(await state(), 'failed');
  await ledger.create('executions/claiming.json', { runId: '20261122T033000Z' });
  const again = await claim('claiming', 'manual');
  assert.equal(await state(), 'running');
  await keepingLease(again, 'claiming', async () => {});
  assert.equal(await state(), 'failed');
});

test('another execution is turned away while the lease runs, by name', async () => {
  mock.timers.enable({ apis: ['Date'], now: Date.parse('2026-11-22T04:00:00Z') });
  await claim('a', 'manual');
  await assert.rejects(claim('b', 'scheduled'), {
    name: 'AnotherRunIsLive',
    message: 'Run 20261122T040000Z (execution a) is live; this execution ends without doing anything.',
  });
  assert.equal(await ledger.read('executions/b.json', z.unknown()), undefined);
});

test('of executions that start in one second exactly one lives, the others know which', async () => {
  const names = Array.from({ length: 6 }, (_, i) => `race-${i}`);
  const results = await Promise.allSettled(names.map((name) => claim(name, 'manual')));
  const living = results.filter(({ status }) => status === 'fulfilled');
  assert.equal(living.length, 1);
  const winner = await live();
  for (const result of results) {
    if (result.status === 'fulfilled') assert.equal(result.value.runId, winner?.runId);
    else {
      assert.ok(result.reason instanceof AnotherRunIsLive);
      assert.ok(result.reason.message.includes(`Run ${winner?.runId} (execution ${winner?.execution})`));
    }
  }
  // A run that never lived leaves nothing for the status page to call dead.
  const executions = await ledger.list('executions/race-');
  assert.deepEqual([...executions.keys()], [`executions/${winner?.execution}.json`]);
});

test('a retried task of the execution finds its claim as the next attempt, also while the lease runs', async () => {
  const first = await claim('retried', 'manual');
  const second = await claim('retried', 'manual');
  assert.deepEqual(second, { runId: first.runId, attempt: 2 });
  assert.equal((await live())?.attempt, 2);
});

test('runs of one second get ids of their own, one after another', async () => {
  mock.timers.enable({ apis: ['Date'], now: Date.parse('2026-11-22T05:00:00Z') });
  const ids: string[] = [];
  for (const execution of ['s1', 's2', 's3']) {
    const claimed = await claim(execution, 'manual');
    ids.push(claimed.runId);
    await keepingLease(claimed, execution, async () => {});
  }
  assert.deepEqual(ids, ['20261122T050000Z', '20261122T050001Z', '20261122T050002Z']);
});

test('a lease that nobody keeps runs out', async () => {
  mock.timers.enable({ apis: ['Date'], now: Date.parse('2026-11-22T06:00:00Z') });
  await claim('dead', 'manual');
  mock.timers.tick(LEASE_MS - 1);
  await assert.rejects(claim('next', 'manual'), { name: 'AnotherRunIsLive' });
  mock.timers.tick(1);
  assert.deepEqual(await claim('next', 'manual'), { runId: '20261122T060130Z', attempt: 1 });
});

test('the heartbeat keeps the lease as long as the work lasts, which then gives it back', async () => {
  mock.timers.enable({ apis: ['Date', 'setInterval'], now: Date.parse('2026-11-22T07:00:00Z') });
  const claimed = await claim('long', 'manual');
  const result = await keepingLease(claimed, 'long', async (signal) => {
    for (let beat = 1; beat <= 10; beat++) {
      mock.timers.tick(HEARTBEAT_MS);
      const expected = Date.now() + LEASE_MS;
      await until(async () => (await live())?.until === expected);
      assert.equal((await live())?.until, expected);
    }
    assert.equal(signal.aborted, false);
    return 'done';
  });
  assert.equal(result, 'done');
  assert.equal(await live(), undefined);
});

test('work that fails gives the lease back too', async () => {
  const claimed = await claim('failing', 'manual');
  await assert.rejects(
    keepingLease(claimed, 'failing', () => Promise.reject(new Error('work'))),
    { message: 'work' },
  );
  assert.equal(await live(), undefined);
});

test('when a later attempt has the lease, the signal fires, and its lease is left alone', async () => {
  mock.timers.enable({ apis: ['setInterval'] });
  const first = await claim('twice', 'manual');
  await keepingLease(first, 'twice', async (signal) => {
    const second = await claim('twice', 'manual');
    assert.equal(second.attempt, 2);
    mock.timers.tick(HEARTBEAT_MS);
    await until(() => signal.aborted);
    assert.equal(String(signal.reason), `SafeError: Run ${first.runId}, attempt 1, has lost its lease`);
  });
  assert.equal((await live())?.attempt, 2);
});

test('when the ledger cannot be reached, the signal fires before the lease has run out', async (t) => {
  mock.timers.enable({ apis: ['Date', 'setInterval'], now: Date.parse('2026-11-22T08:00:00Z') });
  const claimed = await claim('cut-off', 'manual');
  // Neither an answer nor an error, as on a network that swallows packets.
  const never = new Promise<never>(() => {});
  const firedAfter = await keepingLease(claimed, 'cut-off', async (signal) => {
    const reading = t.mock.method(ledger, 'read', () => never);
    let elapsed = 0;
    while (!signal.aborted && elapsed < 10 * LEASE_MS) {
      mock.timers.tick(HEARTBEAT_MS);
      elapsed += HEARTBEAT_MS;
      await wait(1);
    }
    reading.mock.restore();
    assert.equal(String(signal.reason), `SafeError: Run ${claimed.runId} could not keep its lease`);
    return elapsed;
  });
  assert.ok(firedAfter <= LEASE_MS, `${firedAfter} ms`);
});

test('a beat that is under way when the work ends does not bring the lease back', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  const claimed = await claim('late', 'manual');
  const replace = ledger.replace;
  const gate = Promise.withResolvers<void>();
  const late = Promise.withResolvers<boolean>();
  await keepingLease(claimed, 'late', async () => {
    // The first write, the beat's, is held up until the lease has been given back.
    t.mock.method(
      ledger,
      'replace',
      async (...args: Parameters<typeof replace>) => {
        await gate.promise;
        const written = await replace(...args);
        late.resolve(written);
        return written;
      },
      { times: 1 },
    );
    mock.timers.tick(HEARTBEAT_MS);
    await wait(50);
  });
  gate.resolve();
  assert.equal(await late.promise, false);
  await wait(50);
  assert.equal(await live(), undefined);
});
