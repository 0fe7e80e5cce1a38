import { randomBytes } from 'node:crypto';
import type { Reason } from './reasons.ts';

/**
 * The token that stands for NULL in a run's CSV: 128 random bits, so that no value of any column can equal it. Whether
 * BigQuery takes a *quoted* marker for NULL is not documented; with such a token it does not matter.
 */
export const drawNullToken = (): string => `N${randomBytes(16).toString('hex')}`;

/** In front of a value that BigQuery must refuse; the token makes it unlike any real value. */
export const refusalPrefix = (nullToken: string, reason: Reason): string => `${nullToken}!${reason}!`;
/** What replaces a value of a row that is too large: this, then `<octets>:<sha256>`. */
export const oversizePrefix = (nullToken: string): string => `${nullToken}#`;
