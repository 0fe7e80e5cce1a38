import { z } from 'zod';
import { ApiError } from '../http.ts';
import { segment, type Operation } from './call.ts';
import { findBucket } from './object-changes.ts';
import { notificationResource } from './resources.ts';
import { eventTypes, type NotificationConfig } from './state.ts';

/** Google's command line leaves the service's name out. */
const TOPIC = /^(?:\/\/pubsub\.googleapis\.com\/)?(projects\/[^/]+\/topics\/[^/]+)$/;

const insertBody = z.object({
  topic: z.string().regex(TOPIC, "Expected '//pubsub.googleapis.com/projects/*/topics/*'"),
  payload_format: z.enum(['JSON_API_V1', 'NONE']),
  event_types: z.array(z.enum(eventTypes)).default([]),
  object_name_prefix: z.string().default(''),
  custom_attributes: z.record(z.string(), z.string()).default({}),
});

export const insertNotification: Operation = (store, call, body) => {
  const bucket = findBucket(store, segment(call, 1));
  const parsed = insertBody.safeParse(body);
  if (!parsed.success) {
    throw new ApiError(400, 'invalid', `Invalid notification configuration: ${z.prettifyError(parsed.error)}`);
  }
  const config: NotificationConfig = {
    id: String(bucket.lastNotificationId + 1),
    topic: TOPIC.exec(parsed.data.topic)?.[1] ?? '',
    eventTypes: parsed.data.event_types,
    objectNamePrefix: parsed.data.object_name_prefix,
    customAttributes: parsed.data.custom_attributes,
    payloadFormat: parsed.data.payload_format,
  };
  store.commit([
    {
      type: 'bucket',
      bucket: {
        ...bucket,
        notifications: [...bucket.notifications, config],
        lastNotificationId: bucket.lastNotificationId + 1,
      },
    },
  ]);
  return { status: 200, body: notificationResource(bucket.name, config, call.origin) };
};

export const listNotifications: Operation = (store, call) => {
  const { name, notifications } = findBucket(store, segment(call, 1));
  return {
    status: 200,
    body: {
      kind: 'storage#notifications',
      ...(notifications.length > 0 && {
        items: notifications.map((config) => notificationResource(name, config, call.origin)),
      }),
    },
  };
};

export const getNotification: Operation = (store, call) => {
  const bucket = findBucket(store, segment(call, 1));
  const config = findNotification(bucket.notifications, segment(call, 3));
  return { status: 200, body: notificationResource(bucket.name, config, call.origin) };
};

export const deleteNotification: Operation = (store, call) => {
  const bucket = findBucket(store, segment(call, 1));
  const config = findNotification(bucket.notifications, segment(call, 3));
  store.commit([
    { type: 'bucket', bucket: { ...bucket, notifications: bucket.notifications.filter(({ id }) => id !== config.id) } },
  ]);
  return { status: 204 };
};

function findNotification(configs: NotificationConfig[], id: string): NotificationConfig {
  const config = configs.find((config) => config.id === id);
  if (!config) throw new ApiError(404, 'notFound', `Notification ${id} not found`);
  return config;
}
