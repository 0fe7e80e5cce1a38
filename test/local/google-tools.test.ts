import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import path from 'node:path';
import { test } from 'node:test';
import { googleToolLines } from '../../local/google-tools.ts';
import { serve, sendError, ApiError, type Handler } from '../../local/http.ts';
import { makeAuthority } from '../../local/x509.ts';
import { openShell, openTools, without } from './google-tools.ts';

/** How Google's tools are told of the stack; what they do with it is tried beside this file, tool by tool. */

const endpoints = {
  project: 'acme',
  bigquery: 'http://127.0.0.1:8642',
  storage: 'http://127.0.0.1:8642',
  pubsubRest: 'http://127.0.0.1:8642',
  storageTls: { port: 4430, authority: "/tmp/it's/storage-ca.pem" },
};

test('there is a line to paste for each tool', () => {
  const gcloud =
    'CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true CLOUDSDK_CORE_PROJECT=acme CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB=http://127.0.0.1:8642/ ' +
    'CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE=http://127.0.0.1:8642/storage/v1/ gcloud';
  const lines = [
    'bq --api=http://127.0.0.1:8642 --oauth_access_token=none --project_id=acme --headless query --nouse_legacy_sql ' +
      "'SELECT COUNT(*) AS n FROM `commons.members`'",
    `${gcloud} pubsub subscriptions list --format='value(name, topic)'`,
    `${gcloud} storage ls --long 'gs://acme-mirror-data/chunks/**'`,
    'BOTO_CONFIG=/dev/null CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true gsutil -o Credentials:gs_json_host=127.0.0.1 -o Credentials:gs_json_port=4430 ' +
      `-o 'Boto:ca_certificates_file=/tmp/it'\\''s/storage-ca.pem' -o GSUtil:default_project_id=acme ls -l 'gs://acme-mirror-data/chunks/**'`,
  ];
  assert.deepEqual(googleToolLines(endpoints, 'commons.members'), lines);
  // Another Cloud Storage has no https here.
  assert.deepEqual(googleToolLines({ ...endpoints, storageTls: undefined }, 'commons.members'), lines.slice(0, 3));
});

test('Cloud Storage answers by https to whoever trusts the authority in the data directory, and to nobody else', async (t) => {
  const { stack } = await openTools(t);
  const { port, authority } = stack.storageTls ?? {};
  const url = `https://127.0.0.1:${port}/storage/v1/b?project=p`;
  const ask = (ca: string | undefined): Promise<string> =>
    new Promise((resolve, reject) => {
      request(url, { ca, agent: false }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.once('end', () => resolve(`${response.statusCode} ${text}`));
      })
        .once('error', reject)
        .end();
    });
  assert.equal(await ask(await readFile(authority ?? '', 'utf8')), '200 {"kind":"storage#buckets"}');
  await assert.rejects(ask(undefined), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
  await assert.rejects(ask(makeAuthority('Another').certificate), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
});

test('the stack leads bq to its discovery document', async (t) => {
  const { stack } = await openTools(t);
  for (const address of ['discovery/v1/apis/bigquery/v2/rest', '$discovery/rest?version=v2']) {
    const { id, rootUrl } = (await (await fetch(`${stack.url}/${address}`)).json()) as Record<string, unknown>;
    assert.deepEqual({ id, rootUrl }, { id: 'bigquery:v2', rootUrl: `${stack.url}/` });
  }
});

test(
  'no tool sends the token that it has',
  { skip: without('gcloud') || without('bq') || without('gsutil') },
  async (t) => {
    const TOKEN = 'ya29.somebodys-token';
    const shell = await openShell(t, { CLOUDSDK_AUTH_ACCESS_TOKEN_FILE: 'token' });
    await writeFile(path.join(shell.directory, 'token'), TOKEN);
    await writeFile(
      path.join(shell.home, '.boto'),
      '[Credentials]\ngs_oauth2_refresh_token = somebodys-refresh-token\n',
    );
    const sent: Record<string, Set<string | undefined>> = {};
    const refuseAll =
      (service: string): Handler =>
      (incoming, response) => {
        (sent[service] ??= new Set()).add(incoming.headers.authorization);
        assert.ok(!JSON.stringify([incoming.url, incoming.headers]).includes('somebodys'), service);
        sendError(response, new ApiError(404, 'notFound', 'Nothing here'));
        return Promise.resolve();
      };
    const authority = makeAuthority('Test');
    const file = path.join(shell.directory, 'ca.pem');
    await writeFile(file, authority.certificate);
    const [bigquery, storage, pubsub] = await Promise.all(
      ['bq', 'storage', 'pubsub'].map((name) => serve(refuseAll(name))),
    );
    const tls = await serve(refuseAll('gsutil'), 0, authority.issue('127.0.0.1'));
    assert.ok(bigquery && storage && pubsub);
    t.after(() => Promise.all([bigquery, storage, pubsub, tls].map(({ close }) => close())));
    const lines = googleToolLines(
      {
        project: 'acme',
        bigquery: bigquery.url,
        storage: storage.url,
        pubsubRest: pubsub.url,
        storageTls: { port: tls.port, authority: file },
      },
      undefined,
    );
    const ended = await Promise.all(lines.map(shell.run));
    assert.ok(ended.every(({ code }) => code !== 0));
    assert.deepEqual(sent, {
      bq: new Set(['Bearer none']),
      gsutil: new Set([undefined]),
      pubsub: new Set([undefined]),
      storage: new Set([undefined]),
    });
  },
);
