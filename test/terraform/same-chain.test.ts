import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { TOLD_AT_ATTEMPT } from '../../functions/ledger/faults.ts';
import { ConfigSchema } from '../../functions/mirror/config.ts';
import { TOPICS } from '../../functions/mirror/messages.ts';
import { bucketsOf, DATA_LIFETIME_MS, loadingDataset, SLI_TABLE } from '../../functions/mirror/names.ts';
import { MANIFEST_PREFIX } from '../../functions/mirror/plan.ts';
import { SLI_FIELDS } from '../../functions/mirror/schema.ts';
import { backupPoints, coveragePoints } from '../../functions/sli/points.ts';
import { JOB_RETRIES } from '../../local/processes.ts';
import { DEAD_SUBSCRIPTION, SUBSCRIPTION_SETTINGS, SUBSCRIPTIONS } from '../../local/topology.ts';
import { entries, literal, local, nested, readTerraform, resource, type Block } from './hcl.ts';

/** What Terraform deploys and what `npm start` makes on one machine are the same chain. */

const terraform = readTerraform();

const string = (text: string | undefined): string => JSON.parse(text ?? 'null') as string;
const seconds = (duration: string | number | boolean): number => Number(/^(\d+)s$/u.exec(String(duration))?.[1]);
const strings = (text: string): Record<string, string> =>
  Object.fromEntries([...entries(text)].map(([name, value]) => [name, string(value)]));

const variable = (name: string): Block => {
  const found = terraform.find(({ labels }) => labels[0] === 'variable' && labels[1] === name);
  if (!found) throw new Error(`Terraform declares no variable ${name}`);
  return found;
};

test('topics', () => {
  assert.deepEqual(strings(local(terraform, 'topics')), TOPICS);
  assert.equal(resource(terraform, 'google_pubsub_topic', 'mirror').values.get('for_each'), 'local.topics');
});

test('functions, and the topic that each listens to', () => {
  const topics = new Map<string, string>(Object.entries(TOPICS));
  const deployed = [...entries(local(terraform, 'functions'))].map(([name, value]) => {
    const topic = entries(value).get('topic');
    return [name, topic === 'null' ? undefined : topics.get(string(topic))];
  });
  assert.deepEqual(deployed, [...Object.entries(SUBSCRIPTIONS), ['status', undefined]]);
});

test('functions, and those that are registered', () => {
  const text = readFileSync(new URL('../../functions/index.ts', import.meta.url), 'utf8');
  const registered = [...text.matchAll(/^(?:cloudEvent|http)\('(\w+)'/gmu)].map(([, name]) => name);
  assert.deepEqual([...entries(local(terraform, 'functions')).keys()], registered);
});

test("push subscriptions' settings", () => {
  const push = resource(terraform, 'google_pubsub_subscription', 'push');
  const retry = nested(push, 'retry_policy');
  assert.deepEqual(
    {
      ackDeadlineSeconds: literal(push, 'ack_deadline_seconds'),
      retryPolicy: {
        minimumBackoff: { seconds: seconds(literal(retry, 'minimum_backoff')) },
        maximumBackoff: { seconds: seconds(literal(retry, 'maximum_backoff')) },
      },
      maxDeliveryAttempts: literal(nested(push, 'dead_letter_policy'), 'max_delivery_attempts'),
      messageRetentionDuration: { seconds: seconds(literal(push, 'message_retention_duration')) },
    },
    SUBSCRIPTION_SETTINGS,
  );
  assert.equal(push.values.get('name'), 'each.key');
  assert.equal(push.values.get('for_each'), 'local.listeners');
  assert.match(string(nested(push, 'push_config').values.get('push_endpoint')), /\/projects\/.*\/topics\//u);
  assert.equal(push.values.has('filter'), false);
});

test('no subscription but these', () => {
  const all = terraform.filter(({ labels }) => labels[1] === 'google_pubsub_subscription');
  assert.deepEqual(new Set(all.map(({ labels }) => labels[2])), new Set(['dead', 'push']));
  assert.equal(literal(resource(terraform, 'google_pubsub_subscription', 'dead'), 'name'), DEAD_SUBSCRIPTION);
});

test('the notification', () => {
  const notification = resource(terraform, 'google_storage_notification', 'manifests');
  assert.equal(literal(notification, 'object_name_prefix'), MANIFEST_PREFIX);
  assert.equal(literal(notification, 'payload_format'), 'JSON_API_V1');
  assert.equal(notification.values.get('event_types'), '["OBJECT_FINALIZE"]');
  assert.equal(notification.values.get('topic'), 'google_pubsub_topic.mirror["objects"].id');
});

test('buckets and their lifetime', () => {
  const named = { data: string(local(terraform, 'data_bucket')), ledger: string(local(terraform, 'ledger_bucket')) };
  assert.deepEqual(named, bucketsOf('${local.project}'));
  const rule = nested(resource(terraform, 'google_storage_bucket', 'data'), 'lifecycle_rule', 'condition');
  assert.equal(Number(literal(rule, 'age')) * 86_400_000, DATA_LIFETIME_MS);
});

test('datasets, their lifetime and the SLI table', () => {
  const loading = resource(terraform, 'google_bigquery_dataset', 'loading');
  assert.equal(literal(loading, 'dataset_id'), loadingDataset('${local.dataset}'));
  assert.equal(literal(loading, 'default_table_expiration_ms'), DATA_LIFETIME_MS);
  assert.equal(literal(resource(terraform, 'google_bigquery_table', 'sli'), 'table_id'), SLI_TABLE);
  const schema: unknown = JSON.parse(readFileSync(new URL('../../terraform/sli-schema.json', import.meta.url), 'utf8'));
  assert.deepEqual(schema, SLI_FIELDS);
});

test("mirror.yaml's defaults", () => {
  const { schedule, timeZone, coverage, source } = ConfigSchema.parse({
    project: 'commons-test',
    region: 'us-central1',
    location: 'US',
    dataset: 'commons',
  });
  assert.equal(local(terraform, 'schedule'), `try(local.config.schedule, "${schedule}")`);
  assert.equal(local(terraform, 'time_zone'), `try(local.config.timeZone, "${timeZone}")`);
  assert.equal(local(terraform, 'coverage'), `try(local.config.coverage.total, ${coverage.total})`);
  assert.equal(local(terraform, 'source'), `try(local.config.source.type, "${source.type}")`);
  const restored = ConfigSchema.parse({
    project: 'commons-test',
    region: 'us-central1',
    location: 'US',
    dataset: 'commons',
    source: { type: 'aptible', environment: 'production', database: 'commons' },
  }).source;
  assert(restored.type === 'aptible');
  assert.equal(
    local(terraform, 'max_backup_age_hours'),
    `try(local.config.source.maxBackupAgeHours, ${restored.maxBackupAgeHours})`,
  );
});

test("the job's retries", () => {
  const task = nested(resource(terraform, 'google_cloud_run_v2_job', 'export'), 'template', 'template');
  assert.equal(literal(task, 'max_retries'), JOB_RETRIES);
  // No attempt comes after the fault has been told.
  assert.equal(JOB_RETRIES + 1, TOLD_AT_ATTEMPT);
});

test('environment variables', () => {
  const text = readFileSync(new URL('../../functions/environment.ts', import.meta.url), 'utf8');
  const known = new Set([...text.matchAll(/^ {2}([A-Z_]+): /gmu)].map(([, name]) => name));
  const set = [...entries(local(terraform, 'environment')).keys()];
  const secrets = [...local(terraform, 'secrets').matchAll(/([A-Z_]+) = "/gu)].map(([, name = '']) => name);
  assert.deepEqual(
    [...set, ...secrets, 'TRIGGER'].filter((name) => !known.has(name)),
    [],
    'Terraform sets what no function reads',
  );
  // Set by Cloud Run, for one run by hand, or only where a service is not Google's own.
  const elsewhere =
    /^(?:CLOUD_RUN_EXECUTION|CONFIG_FILE|APTIBLE_(?:OTP_TOKEN|ACCESS_TOKEN|\w+_ROOT_URL)|\w+_ENDPOINT|PUBSUB_EMULATOR_HOST)$/u;
  assert.deepEqual(
    [...known].filter((name = '') => ![...set, ...secrets, 'TRIGGER'].includes(name) && !elsewhere.test(name)),
    [],
    'a function reads what Terraform does not set',
  );
});

test('metrics are declared as they are written', () => {
  const at = '2026-11-22T03:00:00.000Z';
  const counts = {
    schema: 's',
    table: 't',
    warehouseTable: 't',
    exported: 1,
    loaded: 1,
    errors: 0,
    bytes: 1,
    parts: 1,
  };
  const written = new Map(
    [
      ...coveragePoints({ tables: [counts], at }),
      ...backupPoints({ runId: '20261122T030000Z', backup: { id: 1, createdAt: '2026-11-22T02:30:00.000Z' } }),
    ].map(({ metric, kind, labels, value }) => [
      metric,
      { kind, labels: Object.keys(labels), type: 'doubleValue' in value ? 'DOUBLE' : 'INT64' },
    ]),
  );
  assert.deepEqual([...written.keys()], ['coverage', 'rows', 'backup_age']);
  for (const [metric, { kind, labels, type }] of written) {
    const descriptor = resource(terraform, 'google_monitoring_metric_descriptor', metric);
    assert.equal(literal(descriptor, 'type'), `custom.googleapis.com/commons_mirror/${metric}`);
    assert.equal(literal(descriptor, 'metric_kind'), kind);
    assert.equal(literal(descriptor, 'value_type'), type);
    const declared = descriptor.blocks
      .filter((block) => block.labels[0] === 'labels')
      .map((block) => literal(block, 'key'));
    assert.deepEqual(declared, labels);
  }
});

test('the age of a backup is told once a run, in seconds at its start', () => {
  const runId = '20261122T030000Z';
  const point = { metric: 'backup_age', labels: {}, kind: 'GAUGE', end: new Date('2026-11-22T03:00:00Z') };
  const backupAt = (createdAt: string): object[] => backupPoints({ runId, backup: { id: 1, createdAt } });
  assert.deepEqual(backupAt('2026-11-22T01:00:00.500Z'), [{ ...point, value: { doubleValue: 7199.5 } }]);
  // Made for the run.
  assert.deepEqual(backupAt('2026-11-22T03:02:00.000Z'), [{ ...point, value: { doubleValue: 0 } }]);
  assert.deepEqual(backupPoints({ runId, backup: undefined }), []);
});

test('the publication that the alerts count is the line that views logs', () => {
  const filter = literal(resource(terraform, 'google_logging_metric', 'published'), 'filter');
  assert.match(String(filter), /service_name="mirror-views" AND jsonPayload\.message="Published"$/u);
  const views = readFileSync(new URL('../../functions/views/index.ts', import.meta.url), 'utf8');
  assert.match(views, /log\.info\('Published', \{/u);
});

test("the alerts are those of the operations' table", () => {
  const hours = String(literal(variable('silence_hours'), 'default'));
  const names = [
    ...[...local(terraform, 'alerts').matchAll(/ name\s+= "Commons Mirror: ([^"]+)"/gu)].map(([, name = '']) => name),
    String(literal(resource(terraform, 'google_monitoring_alert_policy', 'fast_burn'), 'display_name')).slice(16),
  ].map((name) => name.replace('${var.silence_hours}', hours));
  const text = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
  const [, section = ''] = /\n### By e-mail\n(.*?)\n##/su.exec(text) ?? [];
  const told = [...section.matchAll(/^\| ([a-z][^|]*?) +\|/gmu)].map(([, name = '']) => name);
  assert.deepEqual(told.toSorted(), names.toSorted());
  assert.equal(names.length, 6);
});

test('every grant has its reason, and none is a primitive role', () => {
  const grants = terraform.filter(({ labels }) => labels[0] === 'resource' && labels[1]?.endsWith('_iam_member'));
  assert.ok(grants.length > 20);
  for (const { labels, comment, values } of grants) {
    assert.notEqual(comment.trim(), '', `${labels.join('.')} has no reason in a comment above it`);
    assert.doesNotMatch(values.get('role') ?? '', /roles\/(?:owner|editor|viewer)"/u);
  }
  for (const text of entries(local(terraform, 'build_roles').replace(/^.*?\? \{\} : /u, '')).values()) {
    for (const [, role, reason = ''] of text.matchAll(/"(roles\/[\w.]+)"\s*= "([^"]*)"/gu)) {
      assert.ok(reason.length > 10, `${role} has no reason`);
    }
  }
});
