import { StatusError } from './status.ts';

export type Collection = 'topics' | 'subscriptions';

/** What a subscription shows as its topic once that is deleted. */
export const DELETED_TOPIC = '_deleted-topic_';

// "It must start with a letter, and contain only letters, numbers, dashes, underscores, periods, tildes, plus or percent
// signs. It must be between 3 and 255 characters in length, and it must not start with goog."
const resource = /^projects\/([^/]+)\/(topics|subscriptions)\/(?!goog)([A-Za-z][A-Za-z0-9\-_.~+%]{2,254})$/;

/** Throws INVALID_ARGUMENT unless `name` is a full resource name of that collection. */
export function checkName(collection: Collection, name: string): void {
  if (resource.exec(name)?.[2] === collection) return;
  throw new StatusError(
    'INVALID_ARGUMENT',
    `Invalid resource name given (name=${name}). Give projects/PROJECT/${collection}/ID, where ID has 3 to 255 characters ` +
      'of A-Z a-z 0-9 - _ . ~ + %, starts with a letter and not with "goog".',
  );
}

/** The last part of a resource name: `orders` of `projects/p/topics/orders`. */
export function shortName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

/** The project of a resource name: `p` of `projects/p/topics/orders`. */
export function projectOf(name: string): string {
  return name.split('/')[1] ?? '';
}

export function notFound(name: string): StatusError {
  return new StatusError('NOT_FOUND', `Resource not found (resource=${shortName(name)}).`);
}

export function alreadyExists(name: string): StatusError {
  return new StatusError('ALREADY_EXISTS', `Resource already exists in the project (resource=${shortName(name)}).`);
}
