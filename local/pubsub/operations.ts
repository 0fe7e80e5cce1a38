import { z } from 'zod';
import type { Broker, SubscriptionState } from './broker.ts';
import { checkMessages, type Delivery, messageSchema } from './message.ts';
import { checkName, notFound } from './names.ts';
import { checkPulls, pull } from './pull.ts';
import {
  checkRange,
  pushConfigSchema,
  settlePushConfig,
  settleSubscription,
  settleTopic,
  type Subscription,
  subscriptionSchema,
  type Topic,
  topicSchema,
} from './resources.ts';
import { StatusError } from './status.ts';

export type Page<T> = { items: T[]; nextPageToken: string };

/** gRPC sends a field mask as a list of paths, REST as one text. */
const fieldMask = z
  .union([z.string().transform((text) => text.split(',')), z.object({ paths: z.array(z.string()).default([]) })])
  .transform((mask) => (Array.isArray(mask) ? mask : mask.paths).filter((path) => path !== ''));
const listSchema = z.strictObject({
  project: z.string().default(''),
  topic: z.string().default(''),
  pageSize: z.coerce.number().int().nonnegative().default(0),
  pageToken: z.string().default(''),
});
const topicName = z.strictObject({ topic: z.string().default('') });
const subscriptionName = z.strictObject({ subscription: z.string().default('') });
const ackIds = z.array(z.string()).default([]);
const publishSchema = topicName.extend({ messages: z.array(messageSchema).default([]) });
const updateTopicSchema = z.strictObject({ topic: topicSchema, updateMask: fieldMask.default([]) });
const updateSubscriptionSchema = z.strictObject({
  subscription: subscriptionSchema,
  updateMask: fieldMask.default([]),
});
const pullSchema = subscriptionName.extend({
  maxMessages: z.number().int().default(0),
  returnImmediately: z.boolean().default(false),
});
const acknowledgeSchema = subscriptionName.extend({ ackIds });
const modifyDeadlineSchema = subscriptionName.extend({ ackIds, ackDeadlineSeconds: z.number().int().default(0) });
const modifyPushSchema = subscriptionName.extend({ pushConfig: pushConfigSchema.default({}) });

const updatableTopic = ['labels', 'tags', 'kmsKeyName', 'messageStoragePolicy', 'messageRetentionDuration'] as const;
const updatableSubscription = [
  'pushConfig',
  'ackDeadlineSeconds',
  'messageRetentionDuration',
  'expirationPolicy',
  'labels',
  'tags',
  'deadLetterPolicy',
  'retryPolicy',
  'enableExactlyOnceDelivery',
  'retainAckedMessages',
] as const;

export type Operations = ReturnType<typeof createOperations>;

/**
 * The API's operations, by the names that its proto gives them. Each takes the request as either transport read it and
 * throws a `StatusError`; its answer is in REST's form, and a list's is a page.
 */
export function createOperations(broker: Broker) {
  const { topics, subscriptions } = broker;
  return {
    createTopic: (request: unknown): Topic => broker.createTopic(settleTopic(parse(topicSchema, request))),
    getTopic: (request: unknown): Topic => broker.topic(parse(topicName, request).topic),
    deleteTopic: (request: unknown): void => broker.deleteTopic(parse(topicName, request).topic),

    updateTopic: (request: unknown): Topic => {
      const { topic, updateMask } = parse(updateTopicSchema, request);
      const current = broker.topic(topic.name);
      return broker.putTopic(settleTopic({ ...current, ...masked('Topic', topic, updateMask, updatableTopic) }));
    },

    listTopics: (request: unknown): Page<Topic> => {
      const { project, ...page } = parse(listSchema, request);
      return paged(
        [...topics.values()].filter(({ name }) => name.startsWith(`${project}/topics/`)),
        (topic) => topic.name,
        page,
      );
    },

    listTopicSubscriptions: (request: unknown): Page<string> => {
      const { topic, ...page } = parse(listSchema, request);
      broker.topic(topic);
      const names = [...subscriptions.values()]
        .filter(({ resource }) => resource.topic === topic)
        .map(({ resource }) => resource.name);
      return paged(names, (name) => name, page);
    },

    publish: (request: unknown): { messageIds: string[] } => {
      const { topic, messages } = parse(publishSchema, request);
      checkName('topics', topic);
      checkMessages(messages);
      return { messageIds: broker.publish(topic, messages) };
    },

    createSubscription: (request: unknown): Subscription => {
      const sent = parse(subscriptionSchema, request);
      checkName('topics', sent.topic);
      return broker.createSubscription(settleSubscription(sent));
    },

    getSubscription: (request: unknown): Subscription =>
      existing(parse(subscriptionName, request).subscription).resource,

    updateSubscription: (request: unknown): Subscription => {
      const { subscription, updateMask } = parse(updateSubscriptionSchema, request);
      const { resource } = existing(subscription.name);
      const changes = masked('Subscription', subscription, updateMask, updatableSubscription);
      return broker.updateSubscription(settleSubscription({ ...resource, ...changes }));
    },

    listSubscriptions: (request: unknown): Page<Subscription> => {
      const { project, ...page } = parse(listSchema, request);
      const found = [...subscriptions.values()]
        .map(({ resource }) => resource)
        .filter(({ name }) => name.startsWith(`${project}/subscriptions/`));
      return paged(found, (subscription) => subscription.name, page);
    },

    deleteSubscription: (request: unknown): Promise<void> =>
      broker.deleteSubscription(parse(subscriptionName, request).subscription),

    modifyPushConfig: (request: unknown): void => {
      const { subscription, pushConfig } = parse(modifyPushSchema, request);
      const { resource } = existing(subscription);
      broker.updateSubscription({ ...resource, pushConfig: settlePushConfig(pushConfig) });
    },

    pull: async (
      request: unknown,
      signal: AbortSignal,
    ): Promise<{ state: SubscriptionState; deliveries: Delivery[] }> => {
      const { subscription, maxMessages, returnImmediately } = parse(pullSchema, request);
      const state = existing(subscription);
      checkPulls(state);
      checkRange('max_messages', maxMessages, 1, 2 ** 31 - 1);
      return { state, deliveries: await pull(state, { maxMessages, returnImmediately, signal }) };
    },

    acknowledge: (request: unknown): void => {
      const { subscription, ackIds } = parse(acknowledgeSchema, request);
      const { queue } = existing(subscription);
      checkAckIds(subscription, ackIds);
      queue.acknowledge(ackIds);
    },

    modifyAckDeadline: (request: unknown): void => {
      const { subscription, ackIds, ackDeadlineSeconds } = parse(modifyDeadlineSchema, request);
      const { queue } = existing(subscription);
      checkRange('ack_deadline_seconds', ackDeadlineSeconds, 0, 600);
      checkAckIds(subscription, ackIds);
      queue.modifyDeadline(ackIds, ackDeadlineSeconds * 1000);
    },
  };

  function existing(name: string): SubscriptionState {
    const state = subscriptions.get(name);
    if (state) return state;
    checkName('subscriptions', name);
    throw notFound(name);
  }
}

/** Throws INVALID_ARGUMENT with the place and the problem, unless the request has the operation's form. */
export function parse<T>(schema: z.ZodType<T>, request: unknown): T {
  const result = schema.safeParse(request);
  if (result.success) return result.data;
  const { path, message } = tellingIssue(result.error.issues) ?? { path: [], message: 'unknown' };
  throw new StatusError('INVALID_ARGUMENT', `Invalid value at '${path.join('.')}': ${message}`);
}

/** Where a value may have gRPC's form or REST's, the problem within the form that it has tells more than "neither". */
function tellingIssue(issues: z.core.$ZodIssue[]): z.core.$ZodIssue | undefined {
  const [issue] = issues;
  if (issue?.code !== 'invalid_union') return issue;
  const inner = issue.errors.map(tellingIssue).find((candidate) => candidate && candidate.code !== 'invalid_type');
  return inner ? { ...inner, path: [...issue.path, ...inner.path] } : issue;
}

/** Throws INVALID_ARGUMENT for what was never an id of this subscription's deliveries; one that has lapsed is no error. */
export function checkAckIds(subscription: string, ackIds: string[]): void {
  if (ackIds.length === 0) throw new StatusError('INVALID_ARGUMENT', 'No ack ids specified.');
  const wrong = ackIds.find((ackId) => !ackId.startsWith(`${subscription}:`) || !/:\d+:\d+$/.test(ackId));
  if (wrong !== undefined)
    throw new StatusError('INVALID_ARGUMENT', `You have passed an invalid ack ID to the service (ack_id=${wrong}).`);
}

/** The mask's fields of `sent`, unset ones included: naming a field without a value takes the value back to the default. */
function masked<T extends object>(
  type: string,
  sent: T,
  mask: string[],
  updatable: readonly (keyof T & string)[],
): Partial<T> {
  const request = `Update${type}Request`;
  if (mask.length === 0)
    throw new StatusError(
      'INVALID_ARGUMENT',
      `The update_mask in the ${request} must be set, and must contain a non-empty paths list.`,
    );
  const changes: Partial<T> = {};
  for (const path of mask) {
    const camel = path.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const field = updatable.find((name) => name === camel);
    if (field === undefined)
      throw new StatusError(
        'INVALID_ARGUMENT',
        `Invalid update_mask provided in the ${request}: ${path} is not a ${type} field that can be changed. Changeable: ${updatable.join(', ')}.`,
      );
    changes[field] = sent[field];
  }
  return changes;
}

function paged<T>(items: T[], nameOf: (item: T) => string, page: { pageSize: number; pageToken: string }): Page<T> {
  const rest = items.filter((item) => nameOf(item) > page.pageToken).sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  const size = page.pageSize === 0 ? 1000 : page.pageSize;
  const last = rest[size - 1];
  return { items: rest.slice(0, size), nextPageToken: last !== undefined && rest.length > size ? nameOf(last) : '' };
}
