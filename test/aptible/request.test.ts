import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { UnclearAnswer } from '../../functions/export/aptible/answers.ts';
import {
  backupsOf,
  databasesIn,
  findAccount,
  findDatabase,
  requestBackup,
  stackOf,
} from '../../functions/export/aptible/api.ts';
import { openApi } from '../../functions/export/aptible/request.ts';
import { PermanentError } from '../../functions/mirror/errors.ts';
import { DATABASE, ENVIRONMENT } from '../../local/aptible/index.ts';
import { clientOf, openAptible } from './fixture.ts';

const refused = (message: string | RegExp) => ({ name: 'PermanentError', message });

test('logs in once, and finds environment, stack and database by their handles', async (t) => {
  const aptible = await openAptible(t);
  const api = clientOf(aptible);
  const account = await findAccount(api, ENVIRONMENT);
  assert.equal(account.handle, ENVIRONMENT);
  assert.equal((await stackOf(api, account)).ssh_portal_port, aptible.portal.port);
  assert.equal((await findDatabase(api, DATABASE, account))?.status, 'provisioned');
  assert.equal(await findDatabase(api, 'no-such', account), undefined);
  assert.equal(await api.token(), await api.token());
});

test('a wrong password is refused without being told', async (t) => {
  const aptible = await openAptible(t);
  // The stand-in quotes the password in its answer, as a service well might.
  await assert.rejects(
    clientOf(aptible, { password: 'hunter2' }).token(),
    refused(
      'Aptible refused the log-in (HTTP 401, invalid_credentials). Next: correct APTIBLE_USERNAME and APTIBLE_PASSWORD in their secrets',
    ),
  );
});

test('a one-time password is asked for, used once, and its token kept', async (t) => {
  const aptible = await openAptible(t);
  aptible.faults.wantsOneTimePassword = true;
  await assert.rejects(
    clientOf(aptible).token(),
    refused(
      'Aptible wants a one-time password for this user. Next: use a robot user without one, or set APTIBLE_OTP_TOKEN for a single run',
    ),
  );
  const api = clientOf(aptible, { otp: aptible.access.oneTimePassword });
  await findAccount(api, ENVIRONMENT);
  aptible.faults.unauthorized = 10;
  await assert.rejects(findAccount(api, ENVIRONMENT), /Aptible refused the access token \(401\): it has expired/u);
});

test('an expired token is replaced, also before a POST, which is carried out once', async (t) => {
  const aptible = await openAptible(t);
  const api = clientOf(aptible);
  const account = await findAccount(api, ENVIRONMENT);
  const database = await findDatabase(api, DATABASE, account);
  assert(database);
  aptible.faults.unauthorized = 1;
  await requestBackup(api, database);
  const backups = [...aptible.world.operations.values()].filter(({ type }) => type === 'backup');
  assert.equal(backups.length, 1);
});

test('a token that was given is used as it is, and told when it is refused', async (t) => {
  const aptible = await openAptible(t);
  const { APTIBLE_AUTH_ROOT_URL: auth = '', APTIBLE_API_ROOT_URL: api = '' } = aptible.environment;
  const good = openApi({ auth, api }, { type: 'token', token: await clientOf(aptible).token() });
  assert.equal((await findAccount(good, ENVIRONMENT)).handle, ENVIRONMENT);
  const bad = openApi({ auth, api }, { type: 'token', token: 'revoked' });
  await assert.rejects(
    findAccount(bad, ENVIRONMENT),
    refused(
      'Aptible refused the access token (401): it has expired or was revoked. Next: set a new APTIBLE_ACCESS_TOKEN, or use a robot user with a password',
    ),
  );
});

test('reading is repeated after a 5xx, as often as there are pauses', async (t) => {
  const aptible = await openAptible(t);
  const api = clientOf(aptible);
  await api.token();
  aptible.faults.serverErrors = 3;
  assert.equal((await findAccount(api, ENVIRONMENT)).handle, ENVIRONMENT);
  aptible.faults.serverErrors = 4;
  await assert.rejects(findAccount(api, ENVIRONMENT), {
    name: 'SafeError',
    message: `Aptible does not answer GET /find/account?handle=${ENVIRONMENT} (HTTP 503, service_unavailable)`,
  });
});

for (const fault of ['serverErrors', 'loseReply', 'loseRequest'] as const) {
  test(`a POST whose answer is unclear is never repeated by itself: ${fault}`, async (t) => {
    const aptible = await openAptible(t);
    const api = clientOf(aptible);
    const account = await findAccount(api, ENVIRONMENT);
    const database = await findDatabase(api, DATABASE, account);
    assert(database);
    Object.assign(aptible.faults, { [fault]: fault === 'serverErrors' ? 1 : 'backup' });
    await assert.rejects(requestBackup(api, database), UnclearAnswer);
    const operations = [...aptible.world.operations.values()];
    assert.equal(operations.length, fault === 'loseReply' ? 1 : 0);
  });
}

test('a missing and an ambiguous handle are told with what to do', async (t) => {
  const aptible = await openAptible(t);
  const api = clientOf(aptible);
  await assert.rejects(
    findAccount(api, 'commons-staging'),
    refused(
      "Aptible has no environment commons-staging that this user can see. Next: correct source.environment in mirror.yaml, or the user's roles",
    ),
  );
  const account = await findAccount(api, ENVIRONMENT);
  aptible.faults.ambiguous = [DATABASE];
  await assert.rejects(
    findDatabase(api, DATABASE, account),
    refused('Aptible has several resources with the handle commons. Next: rename one of them'),
  );
});

test('lists are read to their last page', async (t) => {
  const aptible = await openAptible(t);
  aptible.faults.pageSize = 3;
  const api = clientOf(aptible);
  const account = await findAccount(api, ENVIRONMENT);
  const [database] = [...aptible.world.databases.values()];
  assert(database);
  for (let i = 0; i < 9; i++) aptible.world.addBackup(database);
  const [found] = await databasesIn(api, account);
  assert(found);
  assert.equal((await backupsOf(api, found)).length, 10);
});

test('an answer of another shape is told by its fields, not by its values', async (t) => {
  const aptible = await openAptible(t);
  const api = clientOf(aptible);
  await assert.rejects(
    api.get('/stacks/1', z.object({ ssh_portal_host: z.number() })),
    refused("Aptible's answer to GET /stacks/1 is not as expected, at ssh_portal_host"),
  );
});

test('a link to another host is not followed, since the token would go along', async (t) => {
  const api = clientOf(await openAptible(t));
  await assert.rejects(api.get('https://elsewhere.example/stacks/1', z.object({})), (error: unknown) => {
    assert(error instanceof PermanentError);
    assert.match(error.message, /^Aptible: a link leads to https:\/\/elsewhere\.example; allowed: http:\/\/127/u);
    return true;
  });
});
