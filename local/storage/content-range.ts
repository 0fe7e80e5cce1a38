import { ApiError } from '../http.ts';

/** What a PUT to an upload session brings: a question about its state, or bytes from `first` on. */
export type ContentRange =
  | { kind: 'status'; total: number | undefined }
  | {
      kind: 'bytes';
      first: number;
      /** `undefined` in `bytes 0-*\/*`, where all follows that there is. */
      last: number | undefined;
      total: number | undefined;
    };

/** Reads a request's Content-Range; one without it brings the whole object. Throws 400. */
export function readContentRange(header: string | undefined): ContentRange {
  if (header === undefined) return { kind: 'bytes', first: 0, last: undefined, total: undefined };
  const [, first, last, total] = /^bytes (?:\*|(\d+)-(\d+|-1|\*))\/(\d+|\*)$/.exec(header.trim()) ?? [];
  if (total === undefined) {
    throw new ApiError(
      400,
      'invalid',
      `Invalid Content-Range: '${header}'; expected 'bytes FIRST-LAST/TOTAL', each but FIRST may be '*'`,
    );
  }
  const size = total === '*' ? undefined : Number(total);
  if (first === undefined) return { kind: 'status', total: size };
  const end = last === '*' ? undefined : Number(last);
  // No bytes at all end before they begin: Google's client ends an empty object with 'bytes 0--1/0'.
  if (end !== undefined && (end < Number(first) - 1 || (size !== undefined && end >= size))) {
    throw new ApiError(400, 'invalid', `Invalid Content-Range: '${header}'; expected FIRST - 1 <= LAST < TOTAL`);
  }
  return { kind: 'bytes', first: Number(first), last: end, total: size };
}
