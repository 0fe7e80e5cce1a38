import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import { local, nested, readTerraform, resource } from './hcl.ts';
import { calls, fakeTools, run, type Answer, type Ended } from './fake-tools.ts';

/** cloudbuild.yaml, read as Cloud Build reads it; its scripts run against stand-ins, in a copy of the checkout's shape. */

const project = fileURLToPath(new URL('../..', import.meta.url));
const text = await readFile(path.join(project, 'cloudbuild.yaml'), 'utf8');
const Step = z.strictObject({
  id: z.string(),
  name: z.string(),
  entrypoint: z.string(),
  dir: z.string().optional(),
  env: z.array(z.string()).default([]),
  args: z.array(z.string()),
});
const build = z
  .strictObject({
    substitutions: z.record(z.string(), z.string()),
    options: z.record(z.string(), z.unknown()),
    timeout: z.string(),
    steps: z.array(Step),
  })
  .parse(parse(text));

/** Cloud Build's own. */
const BUILT_IN: Record<string, string> = {
  PROJECT_ID: 'acme-warehouse',
  PROJECT_NUMBER: '123456789012',
  SHORT_SHA: 'abc1234',
};
const DIGEST = `sha256:${'c'.repeat(64)}`;

test('the steps, in their order', () => {
  const ids = build.steps.map(({ id }) => id);
  assert.deepEqual(ids, ['install', 'check', 'test', 'check-terraform', 'build', 'push', 'terraform']);
  assert.equal(build.options['dynamicSubstitutions'], true);
});

test("every step's image is pinned by digest, or made in the first step from one that is", async () => {
  const made = build.steps.filter(({ name }) => name === 'mirror-install');
  assert.deepEqual(
    made.map(({ id }) => id),
    ['check', 'test'],
  );
  for (const { id, name } of build.steps) {
    if (name !== 'mirror-install') assert.match(name, /@sha256:[0-9a-f]{64}$/u, id);
  }
  assert.match(build.steps[0]?.args[1] ?? '', /--tag=mirror-install /u);
  const dockerfile = await readFile(path.join(project, 'Dockerfile'), 'utf8');
  const bases = [...dockerfile.matchAll(/^FROM (\S+)(?: AS (\w+))?$/gmu)];
  const stages = bases.map(([, , name]) => name);
  for (const [, base = ''] of bases) if (!stages.includes(base)) assert.match(base, /@sha256:[0-9a-f]{64}$/u);
});

test('every substitution is declared, is used, and rests on plain ones alone', () => {
  const declared = Object.keys(build.substitutions);
  const used = [...text.matchAll(/\$\{(\w+)\}/gu)].map(([, name = '']) => name);
  const known = new Set([...declared, ...Object.keys(BUILT_IN)]);
  assert.deepEqual(
    used.filter((name) => !known.has(name)),
    [],
  );
  assert.deepEqual(
    declared.filter((name) => !used.includes(name)),
    [],
  );
  for (const value of Object.values(build.substitutions)) {
    for (const [, name = ''] of value.matchAll(/\$\{(\w+)\}/gu)) {
      assert.doesNotMatch(build.substitutions[name] ?? '', /\$/u, `${name} is itself made of others`);
    }
  }
  // A `$` of a script would have to be doubled: `$(` alone is not Cloud Build's.
  assert.doesNotMatch(text.replaceAll(/\$\{\w+\}|\$\(/gu, ''), /\$/u);
});

test('what the triggers set is declared', () => {
  const trigger = resource(readTerraform(), 'google_cloudbuild_trigger', 'build');
  const set = [...(trigger.values.get('substitutions') ?? '').matchAll(/(_[A-Z_]+)\s+= /gu)].map(([, name]) => name);
  assert.deepEqual(set, ['_ACTION', '_REGION', '_PACKAGE', '_ALERT_EMAIL']);
  for (const name of set) assert.ok(name !== undefined && name in build.substitutions, name);
  assert.equal(nested(trigger, 'approval_config').values.get('approval_required'), 'each.key == "apply"');
  assert.equal(nested(trigger, 'repository_event_config', 'push').values.get('invert_regex'), 'each.key == "plan"');
});

test('no secret is used or printed', () => {
  assert.doesNotMatch(text, /availableSecrets|secretEnv|TF_VAR_secrets|set -x/u);
  for (const [, name = ''] of local(readTerraform(), 'secrets').matchAll(/([A-Z_]+) = "/gu)) {
    assert.ok(!text.includes(name), name);
  }
});

test('a branch is installed with its cache, built, pushed and planned, and nothing is applied', async (t) => {
  const { ended, called } = await runBuild(t, {});
  assert.deepEqual(ended, { code: 0, stdout: '', stderr: '' });
  const image = 'us-central1-docker.pkg.dev/acme-warehouse/mirror/commons-mirror-branch';
  assert.deepEqual(called, [
    `docker build --target=install --tag=mirror-install --tag=${image}-cache:install --cache-from=${image}-cache:install --build-arg=BUILDKIT_INLINE_CACHE=1 .`,
    `docker push --quiet ${image}-cache:install`,
    `docker build --target=dependencies --tag=${image}-cache:dependencies --cache-from=${image}-cache:dependencies --build-arg=BUILDKIT_INLINE_CACHE=1 .`,
    `docker push --quiet ${image}-cache:dependencies`,
    `docker build --tag=${image}:abc1234 --cache-from=${image}-cache:install --cache-from=${image}-cache:dependencies .`,
    `docker push --quiet ${image}:abc1234`,
    `docker inspect --format={{index .RepoDigests 0}} ${image}:abc1234`,
    'terraform init -backend-config=bucket=acme-warehouse-mirror-terraform',
    `terraform plan -lock=false (TF_VAR_image=${PUSHED})`,
  ]);
});

test('main is applied, by the digest that has been pushed', async (t) => {
  const { ended, called } = await runBuild(t, { _ACTION: 'apply', _PACKAGE: 'commons-mirror' });
  assert.equal(ended.code, 0, ended.stderr);
  assert.equal(called.at(-1), `terraform apply -auto-approve (TF_VAR_image=${PUSHED})`);
  assert.equal(called.filter((call) => call.startsWith('terraform')).length, 2);
});

test('a step that fails ends the build before anything is applied', async (t) => {
  const { ended, called } = await runBuild(t, { _ACTION: 'apply' }, { 'docker push': { fails: true } });
  assert.notEqual(ended.code, 0);
  assert.deepEqual(
    called.filter((call) => call.startsWith('terraform')),
    [],
  );
  const other = await runBuild(t, { _ACTION: 'destroy' });
  assert.deepEqual(other.ended, { code: 2, stdout: '', stderr: '_ACTION is destroy; allowed: plan, apply\n' });
});

const PUSHED = `us-central1-docker.pkg.dev/acme-warehouse/mirror/pushed@${DIGEST}`;
const ANSWERS: Record<string, Answer> = { 'docker inspect': { stdout: `${PUSHED}\n` } };

/** Runs the steps that speak to Docker and Terraform; the others are this project's own checks and tests. */
async function runBuild(
  t: TestContext,
  chosen: Record<string, string>,
  answers: Record<string, Answer> = {},
): Promise<{ ended: Ended; called: string[] }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'cloudbuild-'));
  t.after(() => rm(directory, { recursive: true }));
  const workspace = path.join(directory, 'workspace');
  // Every name of the checkout, as a folder or a file: what a step writes must not meet one of them.
  for (const entry of await readdir(project, { withFileTypes: true })) {
    const name = path.join(workspace, entry.name);
    await (entry.isFile()
      ? mkdir(workspace, { recursive: true }).then(() => writeFile(name, ''))
      : mkdir(name, { recursive: true }));
  }
  const env = await fakeTools(directory, { ...ANSWERS, ...answers });
  let ended: Ended = { code: 0, stdout: '', stderr: '' };
  for (const { entrypoint, args, dir = '', env: variables } of build.steps.filter(
    ({ args: [first] }) => first === '-ceu',
  )) {
    if (!/\b(?:docker|terraform) /u.test(args[1] ?? '')) continue;
    const filled = args.map((arg) => substitute(arg, chosen).replaceAll('/workspace', workspace));
    const set = Object.fromEntries(variables.map((each) => substitute(each, chosen).split('=', 2)));
    ended = await run(entrypoint, filled, path.join(workspace, dir), { ...env, ...set });
    if (ended.code !== 0) break;
  }
  return { ended, called: await calls(directory) };
}

/** A substitution may rest on others, one level deep. */
function substitute(value: string, chosen: Record<string, string>, depth = 0): string {
  const values = { ...build.substitutions, ...BUILT_IN, ...chosen };
  const filled = value.replaceAll(/\$\{(\w+)\}/gu, (_, name: string) => values[name] ?? '');
  return depth === 0 ? substitute(filled, chosen, 1) : filled;
}
