import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { testDatabase } from '../postgres.ts';
import { LEDGER, mirrorYaml, openHarness, select, type Harness } from './harness.ts';
import { refusal, refuse } from './proxy.ts';

/** Primary and foreign keys on the tables that analysts read, for BigQuery's planner to believe. */

let harness: Harness;
before(async () => {
  harness = await openHarness();
});
after(() => harness.close());

const YAML = mirrorYaml(`
chunks: [{ name: all, tables: ['*.*'] }]
coverage: { total: 0, perTable: 0 }
verify: all`);
const SOURCE = `
  CREATE SCHEMA care;
  CREATE TABLE members (id int PRIMARY KEY, born date, boss int REFERENCES members);
  INSERT INTO members VALUES (1, '1980-01-01', NULL), (2, NULL, 1);
  CREATE TABLE care.teams (id int PRIMARY KEY);
  INSERT INTO care.teams VALUES (7);
  CREATE TABLE care."team members" (
    team int CONSTRAINT of_team REFERENCES care.teams, "Member Id" int CONSTRAINT of_member REFERENCES members,
    PRIMARY KEY (team, "Member Id"));
  INSERT INTO care."team members" VALUES (7, 1), (7, 2)`;
const JUNCTION = 'care__team-20-members';

const constraintsOf = async (table: string): Promise<unknown> => (await harness.table(table))?.['tableConstraints'];
const keysResult = async (runId: string): Promise<unknown> => {
  const name = `runs/${runId}/done/views.json`;
  const marker = JSON.parse((await harness.objects(LEDGER, name)).get(name) ?? '') as { result: { keys: unknown } };
  return marker.result.keys;
};
const refersTo = (tableId: string, referencingColumn: string): object => ({
  referencedTable: { projectId: 'commons-local', datasetId: 'commons', tableId },
  columnReferences: [{ referencingColumn, referencedColumn: 'id' }],
});

test('keys are set on the shard, again with each run of the day, and left out where they would lead nowhere', async (t) => {
  const { url } = await testDatabase(t, SOURCE);
  const first = await harness.run(url, YAML);
  assert.equal(first.state, 'published', first.reason);
  const { shard } = first;
  // Every column's fingerprint agrees, in the chain as it is deployed.
  const verified = first.tables.map(({ warehouseTable, verified }) => [warehouseTable, verified]);
  assert.deepEqual(Object.fromEntries(verified), { members: 3, care__teams: 1, [JUNCTION]: 2 });
  const junction = `${JUNCTION}_${shard}`;
  const primaryKey = { columns: ['team', 'Member_Id'] };
  assert.deepEqual(await constraintsOf(`members_${shard}`), { primaryKey: { columns: ['id'] }, foreignKeys: [] });
  assert.deepEqual(await constraintsOf(junction), {
    primaryKey,
    foreignKeys: [refersTo(`members_${shard}`, 'Member_Id'), refersTo(`care__teams_${shard}`, 'team')],
  });
  assert.deepEqual(await keysResult(first.runId), { primary: 3, foreign: 2, leftOut: [] });

  // A member's row goes to the errors table: what refers to it leads nowhere, and BigQuery would answer wrongly.
  await select(url, `UPDATE members SET born = 'infinity' WHERE id = 2`);
  const second = await harness.run(url, YAML);
  assert.equal(second.state, 'published', second.reason);
  assert.deepEqual(await constraintsOf(junction), {
    primaryKey,
    foreignKeys: [refersTo(`care__teams_${shard}`, 'team')],
  });
  const dangling = 'rows of public.members are in the errors table';
  assert.deepEqual(await keysResult(second.runId), {
    primary: 3,
    foreign: 1,
    leftOut: [{ table: 'care."team members"', key: 'of_member', reason: dangling }],
  });

  // What BigQuery refuses holds up nothing.
  const refusing = refuse(
    harness.services,
    ({ method, path, body }) =>
      method === 'PATCH' && path.includes(`/tables/care__teams_`) && body.includes('tableConstraints'),
    refusal(400, 'invalid'),
  );
  const third = await harness.run(url, YAML);
  refusing.end();
  assert.equal(refusing.count(), 1);
  assert.equal(third.state, 'published', third.reason);
  assert.deepEqual(await keysResult(third.runId), {
    primary: 2,
    foreign: 0,
    leftOut: [
      { table: 'care."team members"', key: 'of_member', reason: dangling },
      { table: 'care."team members"', key: 'of_team', reason: 'BigQuery refused the primary key of care.teams' },
      { table: 'care.teams', key: 'the primary key', reason: 'BigQuery refused it' },
    ],
  });
  assert.deepEqual(await harness.slack(), []);
});
