import { z } from 'zod';

/** What a client may set on an object. */
export const objectAttributes = z.object({
  contentType: z.string().optional(),
  contentEncoding: z.string().optional(),
  contentDisposition: z.string().optional(),
  contentLanguage: z.string().optional(),
  cacheControl: z.string().optional(),
  storageClass: z.string().optional(),
  customTime: z.string().optional(),
  metadata: z.record(z.string(), z.string()).optional(),
});
export type ObjectAttributes = z.infer<typeof objectAttributes>;

const storedObject = z.object({
  bucket: z.string(),
  name: z.string(),
  generation: z.number().int(),
  metageneration: z.number().int(),
  size: z.number().int(),
  crc32c: z.string(),
  md5Hash: z.string().optional(),
  componentCount: z.number().int().optional(),
  kmsKeyName: z.string().optional(),
  timeCreated: z.string(),
  updated: z.string(),
  attributes: objectAttributes,
});
/** A live object: its metadata, and by bucket and generation the file with its bytes. Never changed in place. */
export type StoredObject = z.infer<typeof storedObject>;

export const eventTypes = ['OBJECT_FINALIZE', 'OBJECT_METADATA_UPDATE', 'OBJECT_DELETE', 'OBJECT_ARCHIVE'] as const;
export type EventType = (typeof eventTypes)[number];

const notificationConfig = z.object({
  id: z.string(),
  topic: z.string(),
  eventTypes: z.array(z.enum(eventTypes)),
  objectNamePrefix: z.string(),
  customAttributes: z.record(z.string(), z.string()),
  payloadFormat: z.enum(['JSON_API_V1', 'NONE']),
});
export type NotificationConfig = z.infer<typeof notificationConfig>;

const bucket = z.object({
  name: z.string(),
  project: z.string(),
  metageneration: z.number().int(),
  timeCreated: z.string(),
  updated: z.string(),
  location: z.string(),
  /** Whatever else was set (lifecycle, versioning, labels, …), as it came. */
  attributes: z.record(z.string(), z.unknown()),
  notifications: z.array(notificationConfig),
  lastNotificationId: z.number().int(),
});
export type Bucket = z.infer<typeof bucket>;

const dueMessage = z.object({
  id: z.string(),
  /** `projects/P/topics/T` */
  topic: z.string(),
  data: z.string(),
  attributes: z.record(z.string(), z.string()),
});
/** A notification that must still reach its topic. */
export type DueMessage = z.infer<typeof dueMessage>;

const change = z.discriminatedUnion('type', [
  z.object({ type: z.literal('bucket'), bucket }),
  z.object({ type: z.literal('bucketDeleted'), name: z.string() }),
  z.object({ type: z.literal('object'), object: storedObject }),
  z.object({ type: z.literal('objectDeleted'), bucket: z.string(), name: z.string() }),
  z.object({ type: z.literal('due'), message: dueMessage }),
  z.object({ type: z.literal('published'), id: z.string() }),
  /** Carries the highest generation over a rewrite of the journal, so that none is ever given twice. */
  z.object({ type: z.literal('generation'), last: z.number().int() }),
]);
export type Change = z.infer<typeof change>;

/** Changes that happen together or not at all. */
export const transaction = z.array(change);
export type Transaction = Change[];
