import { BigQuery } from '@google-cloud/bigquery';
import { PubSub } from '@google-cloud/pubsub';
import { Storage } from '@google-cloud/storage';
import { PassThroughClient } from 'google-auth-library';
import type { Config } from '../functions/mirror/config.ts';
import { MANIFEST_PREFIX } from '../functions/mirror/plan.ts';
import { TOPICS } from '../functions/mirror/messages.ts';
import { bucketsOf, DATA_LIFETIME_MS, loadingDataset } from '../functions/mirror/names.ts';

/** What Terraform makes in the cloud, made here by the same services' ordinary clients: buckets, topics, datasets. */

/** Function → the topic that its push subscription, of the function's name, listens to. */
export const SUBSCRIPTIONS = {
  load: TOPICS.objects,
  transform: TOPICS.completions,
  sli: TOPICS.completions,
  views: TOPICS.completions,
  alert: TOPICS.failures,
} as const;
export type EventFunction = keyof typeof SUBSCRIPTIONS;

/** The same on every subscription, in the cloud and here. */
export const SUBSCRIPTION_SETTINGS = {
  ackDeadlineSeconds: 600,
  retryPolicy: { minimumBackoff: { seconds: 10 }, maximumBackoff: { seconds: 600 } },
  maxDeliveryAttempts: 100,
  // Longer than a run's data lives: what is older could not be done any more. Google's emulator takes no more than this.
  messageRetentionDuration: { seconds: 7 * 24 * 3600 },
} as const;

/** Undeliverable alerts go elsewhere than undeliverable steps: what feeds the alert must not come back to it. */
export const DEAD_SUBSCRIPTION = 'mirror-dead';

export type Endpoints = { storage: string; bigquery: string; pubsub: string };
/** Makes what is missing; what is there stays. `push` gives each function's address of this start. */
export async function makeTopology(
  config: Config,
  endpoints: Endpoints,
  push: Record<EventFunction, string>,
  kmsKeyName: string | undefined,
): Promise<void> {
  await makeTopics(config.project, push);
  await Promise.all([
    makeBuckets(config.project, endpoints.storage),
    makeDatasets(config, endpoints.bigquery, kmsKeyName),
  ]);
}

async function makeTopics(project: string, push: Record<EventFunction, string>): Promise<void> {
  const client = new PubSub({ projectId: project });
  try {
    for (const topic of Object.values(TOPICS)) await client.createTopic(topic).catch(ignoreExisting);
    await client.topic(TOPICS.dead).createSubscription(DEAD_SUBSCRIPTION).catch(ignoreExisting);
    for (const [name, topic] of Object.entries(SUBSCRIPTIONS)) {
      const pushEndpoint = `${push[name as EventFunction]}/projects/${project}/topics/${topic}`;
      const { maxDeliveryAttempts, ...settings } = SUBSCRIPTION_SETTINGS;
      await client
        .topic(topic)
        .createSubscription(name, {
          ...settings,
          pushEndpoint,
          deadLetterPolicy: { deadLetterTopic: `projects/${project}/topics/${TOPICS.dead}`, maxDeliveryAttempts },
        })
        .catch(ignoreExisting);
      // The processes of this start have other ports than those of the last one.
      await client.subscription(name).modifyPushConfig({ pushEndpoint });
    }
  } finally {
    await client.close();
  }
}

async function makeBuckets(project: string, apiEndpoint: string): Promise<void> {
  const client = new Storage({ projectId: project, apiEndpoint, authClient: new PassThroughClient() });
  const names = bucketsOf(project);
  await client.createBucket(names.ledger, { versioning: { enabled: true } }).catch(ignoreExisting);
  await client
    .createBucket(names.data, {
      lifecycle: { rule: [{ action: { type: 'Delete' }, condition: { age: DATA_LIFETIME_MS / 86_400_000 } }] },
    })
    .catch(ignoreExisting);
  const bucket = client.bucket(names.data);
  const topic = `projects/${project}/topics/${TOPICS.objects}`;
  const [notifications] = await bucket.getNotifications();
  if (notifications.some(({ metadata }) => String(metadata.topic).endsWith(topic))) return;
  await bucket.createNotification(topic, {
    eventTypes: ['OBJECT_FINALIZE'],
    objectNamePrefix: MANIFEST_PREFIX,
    payloadFormat: 'JSON_API_V1',
  });
}

async function makeDatasets(config: Config, apiEndpoint: string, kmsKeyName: string | undefined): Promise<void> {
  const { project, location, dataset } = config;
  const client = new BigQuery({ projectId: project, location, apiEndpoint, authClient: new PassThroughClient() });
  const encrypted = kmsKeyName && { defaultEncryptionConfiguration: { kmsKeyName } };
  await client.createDataset(dataset, { location, ...encrypted }).catch(ignoreExisting);
  await client
    .createDataset(loadingDataset(dataset), {
      location,
      defaultTableExpirationMs: String(DATA_LIFETIME_MS),
      ...encrypted,
    })
    .catch(ignoreExisting);
}

/** HTTP 409 and gRPC's ALREADY_EXISTS. */
function ignoreExisting(error: unknown): void {
  if (error instanceof Error && 'code' in error && (error.code === 409 || error.code === 6)) return;
  throw error;
}
