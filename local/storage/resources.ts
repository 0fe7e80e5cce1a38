import type { Bucket, NotificationConfig, StoredObject } from './state.ts';

/** Where this service is reached, as the client of the present request sees it: `http://127.0.0.1:4443`. */
export type Origin = string;

/** The object as the API shows it. */
export function objectResource(object: StoredObject, origin: Origin): Record<string, unknown> {
  const { bucket, name, generation, timeCreated, updated } = object;
  const path = `b/${bucket}/o/${encodeURIComponent(name)}`;
  const { storageClass = 'STANDARD', ...attributes } = object.attributes;
  return {
    kind: 'storage#object',
    id: `${bucket}/${name}/${generation}`,
    selfLink: `${origin}/storage/v1/${path}`,
    mediaLink: `${origin}/download/storage/v1/${path}?generation=${generation}&alt=media`,
    name,
    bucket,
    generation: String(generation),
    metageneration: String(object.metageneration),
    ...attributes,
    storageClass,
    size: String(object.size),
    ...(object.md5Hash && { md5Hash: object.md5Hash }),
    crc32c: object.crc32c,
    ...(object.componentCount && { componentCount: object.componentCount }),
    ...(object.kmsKeyName && { kmsKeyName: object.kmsKeyName }),
    etag: objectEtag(object),
    timeCreated,
    updated,
    timeStorageClassUpdated: timeCreated,
    timeFinalized: timeCreated,
  };
}

export function objectEtag({ generation, metageneration }: StoredObject): string {
  return Buffer.from(`${generation}/${metageneration}`).toString('base64');
}

/** The bucket as the API shows it. */
export function bucketResource(bucket: Bucket, origin: Origin): Record<string, unknown> {
  const { name, metageneration, timeCreated, updated, location, attributes } = bucket;
  return {
    kind: 'storage#bucket',
    id: name,
    selfLink: `${origin}/storage/v1/b/${name}`,
    name,
    metageneration: String(metageneration),
    location,
    locationType: locationType(location),
    storageClass: 'STANDARD',
    iamConfiguration: { uniformBucketLevelAccess: { enabled: false }, publicAccessPrevention: 'inherited' },
    ...attributes,
    etag: Buffer.from(`${timeCreated}/${metageneration}`).toString('base64'),
    timeCreated,
    updated,
  };
}

export function locationType(location: string): string {
  if (['US', 'EU', 'ASIA'].includes(location)) return 'multi-region';
  return /^[A-Z]+\d$/.test(location) ? 'dual-region' : 'region';
}

/** The notification configuration as the API shows it: the one resource that is spelt in snake case. */
export function notificationResource(
  bucket: string,
  config: NotificationConfig,
  origin: Origin,
): Record<string, unknown> {
  return {
    kind: 'storage#notification',
    id: config.id,
    selfLink: `${origin}/storage/v1/b/${bucket}/notificationConfigs/${config.id}`,
    topic: `//pubsub.googleapis.com/${config.topic}`,
    payload_format: config.payloadFormat,
    ...(config.eventTypes.length > 0 && { event_types: config.eventTypes }),
    ...(config.objectNamePrefix && { object_name_prefix: config.objectNamePrefix }),
    ...(Object.keys(config.customAttributes).length > 0 && { custom_attributes: config.customAttributes }),
    etag: config.id,
  };
}
