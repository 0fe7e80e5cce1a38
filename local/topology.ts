import { BigQuery } from '@google-cloud/bigquery';
import { PubSub } from '@google-cloud/pubsub';
import { Storage } from '@google-cloud/storage';
import { PassThroughClient } from 'google-auth-library';
import type { Config } from '../functions/mirror/config.ts';
import { MANIFEST_PREFIX } from '../functions/mirror/plan.ts';
import { TOPICS } from '../functions/mirror/messages.ts';
import { SafeError } from '../functions/mirror/errors.ts';
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
  await told(`Pub/Sub at ${endpoints.pubsub}`, makeTopics(config.project, push));
  await Promise.all([
    told(`Cloud Storage at ${endpoints.storage}`, makeBuckets(config.project, endpoints.storage)),
    told(`BigQuery at ${endpoints.bigquery}`, makeDatasets(config, endpoints.bigquery, kmsKeyName)),
  ]);
}

/** A client's error holds the whole answer; one line says who could not do what. */
async function told(service: string, making: Promise<void>): Promise<void> {
  try {
    await making;
  } catch (error) {
    const [line] = String(error instanceof Error ? error.message : error).split('\n');
    throw new SafeError(
      `${service} does not make what the chain needs: ${line}. Next: see what the service itself logs, or leave its option out`,
      { cause: error },
    );
  }
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
  const client = new Storage({
    projectId: project,
    apiEndpoint,
    authClient: new PassThroughClient(),
    // What a service on this machine does not know, it does not know half a minute later.
    retryOptions: { autoRetry: false },
  });
  const names = bucketsOf(project);
  // A service that is not ours may know no versions. They are for people who look back; no step reads one.
  await client
    .createBucket(names.ledger, { versioning: { enabled: true } })
    .catch(ignoreExisting)
    .catch(() => client.createBucket(names.ledger))
    .catch(ignoreExisting);
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
  const client = new BigQuery({
    projectId: project,
    location,
    apiEndpoint,
    authClient: new PassThroughClient(),
    autoRetry: false,
  });
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
