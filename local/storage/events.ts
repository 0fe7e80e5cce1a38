import { randomUUID } from 'node:crypto';
import { objectResource, type Origin } from './resources.ts';
import type { Bucket, Change, EventType, StoredObject } from './state.ts';

/** The messages that `eventType` of `object` owes to the bucket's notification configurations, as changes to commit with it. */
export function messagesDue(
  bucket: Bucket,
  eventType: EventType,
  object: StoredObject,
  origin: Origin,
  overwrite: { overwroteGeneration?: string; overwrittenByGeneration?: string } = {},
): Change[] {
  return bucket.notifications
    .filter(
      (config) =>
        // "If empty, send notifications for all event types."
        (config.eventTypes.length === 0 || config.eventTypes.includes(eventType)) &&
        object.name.startsWith(config.objectNamePrefix),
    )
    .map((config) => ({
      type: 'due',
      message: {
        id: randomUUID(),
        topic: config.topic,
        data: config.payloadFormat === 'NONE' ? '' : JSON.stringify(objectResource(object, origin)),
        attributes: {
          ...config.customAttributes,
          notificationConfig: `projects/_/buckets/${bucket.name}/notificationConfigs/${config.id}`,
          eventType,
          payloadFormat: config.payloadFormat,
          bucketId: bucket.name,
          objectId: object.name,
          objectGeneration: String(object.generation),
          eventTime: new Date().toISOString(),
          ...overwrite,
        },
      },
    }));
}
