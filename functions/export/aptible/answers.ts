import type { z } from 'zod';
import { PermanentError, SafeError } from '../../mirror/errors.ts';

/** What asking Aptible can give besides the answer: one class for each decision of the caller. */

/** There is no such resource, or not any more. */
export class NotFound extends PermanentError {
  constructor(what: string) {
    super(`Aptible: ${what} does not exist (404)`);
    this.name = 'NotFound';
  }
}

/** No answer, or one that does not tell whether the request was carried out. Look before asking again. */
export class UnclearAnswer extends SafeError {
  constructor(what: string, why: string) {
    super(`Aptible: no clear answer to ${what} (${why}); it may have been carried out`);
    this.name = 'UnclearAnswer';
  }
}

export type Api = {
  /** `sensitive`: with the connection URL, and with embedded resources, which Aptible leaves out otherwise. */
  get: <T>(path: string, schema: z.ZodType<T>, options?: { sensitive?: boolean }) => Promise<T>;
  /** Never repeated by itself. Throws UnclearAnswer where it may have been carried out. */
  post: <T>(path: string, body: object, schema: z.ZodType<T>) => Promise<T>;
  /** The access token itself, for the portal. */
  token: () => Promise<string>;
};

/** A handle that several resources bear. */
export class Ambiguous extends PermanentError {
  constructor(what: string) {
    super(`Aptible: ${what} finds several resources`);
    this.name = 'Ambiguous';
  }
}
