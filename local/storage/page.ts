import { ApiError } from '../http.ts';
import { readNumber } from './preconditions.ts';

/** "the service may return fewer than maxResults"; it never returns more than this. */
const MOST_RESULTS = 1_000;

/** How many results the client wants on a page. Throws 400. */
export function pageSize(query: URLSearchParams): number {
  return Math.min(MOST_RESULTS, readNumber(query, 'maxResults') || MOST_RESULTS);
}

/** Where the page before ended. Throws 400 for a token that is none of ours. */
export function readPageToken(query: URLSearchParams): string | undefined {
  const token = query.get('pageToken');
  if (!token) return undefined;
  const last = Buffer.from(token, 'base64url').toString();
  if (writePageToken(last) !== token) throw new ApiError(400, 'invalid', `Invalid pageToken: '${token}'`);
  return last;
}

export function writePageToken(last: string): string {
  return Buffer.from(last).toString('base64url');
}

/** One page of `all`, which are ordered by `nameOf`. */
export function page<Item>(
  all: Item[],
  nameOf: (item: Item) => string,
  query: URLSearchParams,
): { items: Item[]; nextPageToken: string | undefined } {
  const after = readPageToken(query);
  const rest = after === undefined ? all : all.filter((item) => nameOf(item) > after);
  const items = rest.slice(0, pageSize(query));
  const last = items.at(-1);
  return { items, nextPageToken: last && items.length < rest.length ? writePageToken(nameOf(last)) : undefined };
}
