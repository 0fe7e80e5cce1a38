import { z } from 'zod';
import { duration, seconds } from './duration.ts';
import { compileFilter } from './filter.ts';
import { checkName } from './names.ts';
import { StatusError, unimplemented } from './status.ts';

// Topics and subscriptions are kept in the form that REST gives them in. These schemas take what either transport sends:
// gRPC's decoder leaves out what is unset; REST may name nothing that the resource lacks, as the real service refuses it too.

const labels = z.record(z.string(), z.string());
const outputOnly = z.unknown().transform(() => undefined);
const unsupported = z.unknown();

export const topicSchema = z.strictObject({
  name: z.string().default(''),
  labels: labels.optional(),
  tags: labels.optional(),
  kmsKeyName: z.string().optional(),
  messageStoragePolicy: z
    .strictObject({
      allowedPersistenceRegions: z.array(z.string()).optional(),
      enforceInTransit: z.boolean().optional(),
    })
    .optional(),
  messageRetentionDuration: duration.optional(),
  schemaSettings: unsupported.optional(),
  ingestionDataSourceSettings: unsupported.optional(),
  messageTransforms: unsupported.optional(),
  satisfiesPzs: outputOnly.optional(),
  state: outputOnly.optional(),
});

export type Topic = z.infer<typeof topicSchema>;

export const pushConfigSchema = z.strictObject({
  pushEndpoint: z.string().optional(),
  attributes: labels.optional(),
  oidcToken: z.strictObject({ serviceAccountEmail: z.string().optional(), audience: z.string().optional() }).optional(),
  pubsubWrapper: z.strictObject({}).optional(),
  noWrapper: unsupported.optional(),
});

export type PushConfig = z.infer<typeof pushConfigSchema>;

/** A subscription as it was sent; `settle` makes the stored one. */
export const subscriptionSchema = z.strictObject({
  name: z.string().default(''),
  topic: z.string().default(''),
  pushConfig: pushConfigSchema.optional(),
  ackDeadlineSeconds: z.number().int().default(0),
  messageRetentionDuration: duration.optional(),
  expirationPolicy: z.strictObject({ ttl: duration.optional() }).optional(),
  labels: labels.optional(),
  tags: labels.optional(),
  filter: z.string().optional(),
  deadLetterPolicy: z
    .strictObject({ deadLetterTopic: z.string().default(''), maxDeliveryAttempts: z.number().int().default(0) })
    .optional(),
  retryPolicy: z.strictObject({ minimumBackoff: duration.optional(), maximumBackoff: duration.optional() }).optional(),
  enableMessageOrdering: unsupported.optional(),
  enableExactlyOnceDelivery: unsupported.optional(),
  retainAckedMessages: unsupported.optional(),
  detached: unsupported.optional(),
  bigqueryConfig: unsupported.optional(),
  cloudStorageConfig: unsupported.optional(),
  bigtableConfig: unsupported.optional(),
  messageTransforms: unsupported.optional(),
  topicMessageRetentionDuration: outputOnly.optional(),
  analyticsHubSubscriptionInfo: outputOnly.optional(),
  state: outputOnly.optional(),
});

export type SubscriptionRequest = z.infer<typeof subscriptionSchema>;

export type Subscription = {
  name: string;
  topic: string;
  pushConfig: PushConfig;
  ackDeadlineSeconds: number;
  messageRetentionDuration: string;
  expirationPolicy: { ttl?: string | undefined };
  labels?: Record<string, string> | undefined;
  tags?: Record<string, string> | undefined;
  filter?: string | undefined;
  deadLetterPolicy?: { deadLetterTopic: string; maxDeliveryAttempts: number } | undefined;
  retryPolicy?: { minimumBackoff: string; maximumBackoff: string } | undefined;
};

/** A topic fit to be stored. Throws INVALID_ARGUMENT, or UNIMPLEMENTED with the field's name. */
export function settleTopic(request: Topic): Topic {
  checkName('topics', request.name);
  refuse('Topic', request, ['schemaSettings', 'ingestionDataSourceSettings', 'messageTransforms']);
  if (request.messageRetentionDuration !== undefined)
    checkSeconds('message_retention_duration', request.messageRetentionDuration, 600, 31 * 86400);
  return request;
}

/** A subscription with the service's defaults, fit to be stored. Throws INVALID_ARGUMENT, or UNIMPLEMENTED with the field's name. */
export function settleSubscription(request: SubscriptionRequest): Subscription {
  checkName('subscriptions', request.name);
  refuse('Subscription', request, [
    'enableMessageOrdering',
    'enableExactlyOnceDelivery',
    'retainAckedMessages',
    'detached',
    'bigqueryConfig',
    'cloudStorageConfig',
    'bigtableConfig',
    'messageTransforms',
  ]);
  // "If the subscriber … is not specified, the default value of 10 seconds is used"; 0 is how proto3 says "not specified".
  const ackDeadlineSeconds = request.ackDeadlineSeconds === 0 ? 10 : request.ackDeadlineSeconds;
  checkRange('ack_deadline_seconds', ackDeadlineSeconds, 10, 600);
  const messageRetentionDuration = request.messageRetentionDuration ?? '604800s';
  checkSeconds('message_retention_duration', messageRetentionDuration, 600, 31 * 86400);
  // A subscription without a policy expires after 31 idle days; a policy without a ttl means never. Kept for the caller's eyes:
  // nothing expires here.
  const expirationPolicy = request.expirationPolicy ?? { ttl: '2678400s' };
  if (expirationPolicy.ttl !== undefined) checkSeconds('ttl', expirationPolicy.ttl, 86400, 365 * 86400);
  if (request.filter !== undefined) compileFilter(request.filter);
  return {
    name: request.name,
    topic: request.topic,
    pushConfig: settlePushConfig(request.pushConfig ?? {}),
    ackDeadlineSeconds,
    messageRetentionDuration,
    expirationPolicy,
    labels: request.labels,
    tags: request.tags,
    filter: request.filter === '' ? undefined : request.filter,
    deadLetterPolicy: request.deadLetterPolicy && settleDeadLetter(request.deadLetterPolicy),
    retryPolicy: request.retryPolicy && settleRetry(request.retryPolicy),
  };
}

/** Push settings fit to be stored; without an endpoint the subscription is a pull one. */
export function settlePushConfig(config: PushConfig): PushConfig {
  refuse('PushConfig', config, ['noWrapper']);
  const endpoint = config.pushEndpoint ?? '';
  if (endpoint === '') return {};
  // The real service asks for https; on one machine plain http is the point.
  const protocol = URL.canParse(endpoint) ? new URL(endpoint).protocol : '';
  if (protocol !== 'http:' && protocol !== 'https:')
    throw new StatusError(
      'INVALID_ARGUMENT',
      `Invalid push endpoint given (endpoint=${endpoint}). Give an http or https URL.`,
    );
  return config;
}

function settleDeadLetter(policy: { deadLetterTopic: string; maxDeliveryAttempts: number }) {
  checkName('topics', policy.deadLetterTopic);
  const maxDeliveryAttempts = policy.maxDeliveryAttempts === 0 ? 5 : policy.maxDeliveryAttempts;
  checkRange('max_delivery_attempts', maxDeliveryAttempts, 5, 100);
  return { deadLetterTopic: policy.deadLetterTopic, maxDeliveryAttempts };
}

function settleRetry(policy: { minimumBackoff?: string | undefined; maximumBackoff?: string | undefined }) {
  const { minimumBackoff = '10s', maximumBackoff = '600s' } = policy;
  checkSeconds('minimum_backoff', minimumBackoff, 0, 600);
  checkSeconds('maximum_backoff', maximumBackoff, seconds(minimumBackoff), 600);
  return { minimumBackoff, maximumBackoff };
}

function refuse<T extends object>(type: string, value: T, fields: (keyof T & string)[]): void {
  for (const field of fields) {
    const sent = value[field];
    const unset = sent === undefined || sent === null || sent === false || (Array.isArray(sent) && sent.length === 0);
    if (!unset) throw unimplemented(`${type}.${field}`);
  }
}

function checkSeconds(field: string, text: string, minimum: number, maximum: number): void {
  checkRange(field, seconds(text), minimum, maximum, 's');
}

/** Throws INVALID_ARGUMENT in the service's words when `value` leaves the range. */
export function checkRange(field: string, value: number, minimum: number, maximum: number, unit = ''): void {
  const wrong =
    value < minimum ? ['small', 'minimum', minimum] : value > maximum ? ['large', 'maximum', maximum] : undefined;
  if (!wrong) return;
  const [size, bound, limit] = wrong;
  throw new StatusError(
    'INVALID_ARGUMENT',
    `The value for ${field} is too ${size}. You passed ${value}${unit} in the request, but the ${bound} value is ${limit}${unit}.`,
  );
}
