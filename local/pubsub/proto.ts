import { durationProto } from './duration.ts';
import type { Delivery } from './message.ts';
import type { Page } from './operations.ts';
import type { Subscription, Topic } from './resources.ts';

// What the operations answer, in the form that gRPC's encoder takes: durations and times in seconds and nanoseconds.

export function topicProto(topic: Topic): object {
  return { ...topic, messageRetentionDuration: optionalDuration(topic.messageRetentionDuration), state: 'ACTIVE' };
}

export function subscriptionProto(subscription: Subscription): object {
  const { retryPolicy, expirationPolicy } = subscription;
  return {
    ...subscription,
    messageRetentionDuration: durationProto(subscription.messageRetentionDuration),
    expirationPolicy: { ttl: optionalDuration(expirationPolicy.ttl) },
    retryPolicy: retryPolicy && {
      minimumBackoff: durationProto(retryPolicy.minimumBackoff),
      maximumBackoff: durationProto(retryPolicy.maximumBackoff),
    },
    state: 'ACTIVE',
  };
}

function optionalDuration(text: string | undefined) {
  return text === undefined ? undefined : durationProto(text);
}

export function pageProto<T>(field: string, render: (item: T) => unknown) {
  return ({ items, nextPageToken }: Page<T>) => ({ [field]: items.map(render), nextPageToken });
}

export function empty(): object {
  return {};
}

/** One received message as gRPC carries it; `deliveryAttempt` only where a dead-letter policy counts. */
export function receivedProto(subscription: Subscription, { ackId, message, attempt }: Delivery) {
  return {
    ackId,
    message: {
      data: message.data,
      attributes: message.attributes,
      messageId: message.id,
      publishTime: { seconds: Math.floor(message.publishTime / 1000), nanos: (message.publishTime % 1000) * 1e6 },
      orderingKey: message.orderingKey,
    },
    deliveryAttempt: subscription.deadLetterPolicy ? attempt : 0,
  };
}
