import type { Message, NewMessage } from './message.ts';
import { projectOf, shortName } from './names.ts';
import type { Subscription } from './resources.ts';

/** A message as it is forwarded after its last attempt: with the attributes by which the service tells where it failed. */
export function deadLetter(from: Subscription, message: Message, attempts: number): NewMessage {
  const { data, orderingKey } = message;
  const attributes = {
    ...message.attributes,
    CloudPubSubDeadLetterSourceDeliveryCount: String(attempts),
    CloudPubSubDeadLetterSourceSubscription: shortName(from.name),
    CloudPubSubDeadLetterSourceSubscriptionProject: projectOf(from.name),
    CloudPubSubDeadLetterSourceTopicPublishTime: new Date(message.publishTime).toISOString(),
  };
  return { data, attributes, orderingKey };
}
