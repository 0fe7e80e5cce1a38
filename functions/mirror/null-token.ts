import { randomBytes } from 'node:crypto';

/**
 * The token that stands for NULL in a run's CSV: 128 random bits, so that no value of any column can equal it. Whether
 * BigQuery takes a *quoted* marker for NULL is not documented; with such a token it does not matter.
 */
export const drawNullToken = (): string => `N${randomBytes(16).toString('hex')}`;

/** What stands in front of a value that BigQuery must refuse; the run's token makes it unlike any real value. */
export const refusalPrefix = (nullToken: string): string => `${nullToken}!`;
/** What replaces a value of a row that is too large: this, then `<octets>:<sha256>`. */
export const oversizePrefix = (nullToken: string): string => `${nullToken}#`;
