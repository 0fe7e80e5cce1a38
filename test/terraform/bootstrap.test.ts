import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { calls, fakeTools, run, type Answer, type Ended } from './fake-tools.ts';

/** What bootstrap.sh asks of gcloud, bq, terraform and docker, by stand-ins that record: in an empty project, and again. */

const SCRIPT = fileURLToPath(new URL('../../terraform/bootstrap.sh', import.meta.url));
const DIGEST = `sha256:${'b'.repeat(64)}`;
const UNKNOWN = `-var=image=us-central1-docker.pkg.dev/acme-warehouse/mirror/commons-mirror@sha256:${'0'.repeat(64)}`;
const REPOSITORY = 'us-central1-docker.pkg.dev/acme-warehouse/mirror/commons-mirror';
const RINGS = 'projects/acme-warehouse/locations';

const absent: Answer = { fails: true };
const ANSWERS: Record<string, Answer> = {
  'gcloud projects describe': { stdout: '123456789012\n' },
  'gcloud artifacts docker images describe': { stdout: `${DIGEST}\n` },
};
const EMPTY: Record<string, Answer> = {
  ...ANSWERS,
  'gcloud storage buckets describe': absent,
  'gcloud kms': absent,
  'terraform state list': absent,
};

test('makes what an empty project lacks, in the order in which one thing needs the other', async (t) => {
  const { ended, called, folder } = await bootstrap(t, EMPTY, ['alerts@acme.example']);
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(called, [
    'gcloud projects describe acme-warehouse --format=value(projectNumber)',
    'gcloud services enable --project=acme-warehouse serviceusage.googleapis.com cloudresourcemanager.googleapis.com iam.googleapis.com storage.googleapis.com',
    'gcloud storage buckets describe gs://acme-warehouse-mirror-terraform --project=acme-warehouse',
    'gcloud storage buckets create gs://acme-warehouse-mirror-terraform --project=acme-warehouse --location=US --uniform-bucket-level-access --public-access-prevention',
    'gcloud storage buckets update gs://acme-warehouse-mirror-terraform --versioning',
    'terraform init -input=false -reconfigure -backend-config=bucket=acme-warehouse-mirror-terraform',
    `terraform apply -input=false -auto-approve ${UNKNOWN} -target=google_project_service.api`,
    ...['pubsub', 'secretmanager', 'artifactregistry', 'cloudscheduler', 'run'].map(
      (name) => `gcloud beta services identity create --project=acme-warehouse --service=${name}.googleapis.com`,
    ),
    'gcloud storage service-agent --project=acme-warehouse',
    'bq show --project_id=acme-warehouse --encryption_service_account',
    ...KEYS.flatMap(({ address, describe }) => [`terraform state list ${address}`, describe]),
    `terraform apply -input=false -auto-approve ${UNKNOWN} -target=google_artifact_registry_repository.images`,
    'gcloud auth configure-docker us-central1-docker.pkg.dev --quiet',
    `docker build --platform=linux/amd64 --tag=${REPOSITORY}:bootstrap ..`,
    `docker push ${REPOSITORY}:bootstrap`,
    `gcloud artifacts docker images describe ${REPOSITORY}:bootstrap --format=value(image_summary.digest)`,
  ]);
  assert.match(ended.stdout, new RegExp(`\n  terraform apply -var="image=${REPOSITORY}@${DIGEST}"\n$`, 'u'));
  assert.equal(
    await readFile(path.join(folder, 'bootstrap.auto.tfvars'), 'utf8'),
    '# Written by bootstrap.sh; no secret is in it. Commit it.\nproject_number = "123456789012"\nalert_email    = "alerts@acme.example"\n',
  );
});

test('again, makes nothing that is there, and imports nothing that the state has', async (t) => {
  const known = Object.fromEntries(KEYS.map(({ address }) => [`terraform state list ${address}`, { stdout: address }]));
  const { ended, called } = await bootstrap(t, { ...ANSWERS, ...known }, ['alerts@acme.example']);
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(
    called.filter((call) => /buckets create|import/u.test(call)),
    [],
  );
});

test('after a removal, takes over the rings and keys that Google keeps', async (t) => {
  const { ended, called } = await bootstrap(t, { ...ANSWERS, 'terraform state list': absent }, ['alerts@acme.example']);
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(
    called.filter((call) => call.startsWith('terraform import')),
    KEYS.map(({ address, id }) => `terraform import -input=false ${UNKNOWN} ${address} ${id}`),
  );
});

test('ends at what fails, and at what is missing', async (t) => {
  const refused = await bootstrap(t, { ...EMPTY, 'gcloud services enable': { fails: true } }, ['alerts@acme.example']);
  assert.equal(refused.ended.code, 1);
  assert.match(refused.called.at(-1) ?? '', /^gcloud services enable /u);
  const nobody = await bootstrap(t, EMPTY, []);
  assert.match(nobody.ended.stderr, /Usage: terraform\/bootstrap\.sh ALERT_EMAIL/u);
  assert.deepEqual(nobody.called, []);
  const unset = await bootstrap(t, EMPTY, ['alerts@acme.example'], 'project: acme-warehouse\nlocation: US\n');
  assert.deepEqual(unset.ended, {
    code: 2,
    stdout: '',
    stderr: "bootstrap.sh: mirror.yaml says project 'acme-warehouse', region '', location 'US'. Next: set all three\n",
  });
});

const KEYS = [
  ring('warehouse', 'us', 'mirror-warehouse'),
  key('tables', 'us', 'mirror-warehouse'),
  key('objects', 'us', 'mirror-warehouse'),
  ring('region', 'us-central1', 'mirror-region'),
  key('region', 'us-central1', 'mirror-region'),
];

function ring(name: string, place: string, id: string) {
  return {
    address: `google_kms_key_ring.${name}`,
    id: `${RINGS}/${place}/keyRings/${id}`,
    describe: `gcloud kms keyrings describe ${id} --location=${place} --project=acme-warehouse`,
  };
}

function key(name: string, place: string, of: string) {
  return {
    address: `google_kms_crypto_key.${name}`,
    id: `${RINGS}/${place}/keyRings/${of}/cryptoKeys/${name}`,
    describe: `gcloud kms keys describe ${name} --keyring=${of} --location=${place} --project=acme-warehouse`,
  };
}

async function bootstrap(
  t: TestContext,
  answers: Record<string, Answer>,
  args: string[],
  yaml = "project: acme-warehouse\nregion: 'us-central1'\nlocation: US # all of it\ndataset: commons\n",
): Promise<{ ended: Ended; called: string[]; folder: string }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'bootstrap-'));
  t.after(() => rm(directory, { recursive: true }));
  const folder = path.join(directory, 'project', 'terraform');
  await mkdir(folder, { recursive: true });
  await copyFile(SCRIPT, path.join(folder, 'bootstrap.sh'));
  await writeFile(path.join(directory, 'project', 'mirror.yaml'), yaml);
  const env = await fakeTools(directory, answers);
  const ended = await run('bash', [path.join(folder, 'bootstrap.sh'), ...args], directory, env);
  return { ended, called: await calls(directory), folder };
}
