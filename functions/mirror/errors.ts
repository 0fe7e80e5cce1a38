/**
 * The decisions that an error can ask for, one class each. Everything else that is thrown is transient: the platform
 * redelivers the message, or starts the task again.
 */

/** Trying again cannot help: the failure is told, and the message acknowledged. The text is safe to log and to post. */
export class PermanentError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PermanentError';
  }
}

/** mirror.yaml is at fault, by itself or against the database: a person edits it. */
export class ConfigurationError extends PermanentError {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigurationError';
  }
}

/** Work that goes on in BigQuery beyond this invocation's budget: no failure; the redelivered message finds it again. */
export class StillRunning extends Error {
  constructor(what: string) {
    super(`Still running: ${what}`);
    this.name = 'StillRunning';
  }
}

/** An error whose text was written by us, without any value of a row; only such a text is logged, stored or posted. */
export class SafeError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SafeError';
  }
}

/**
 * What may be said of an error outside the data bucket and the tables. BigQuery and PostgreSQL quote cell values in their
 * texts, so that a text is repeated only where we wrote it, or where it is a network error's code.
 */
export function safeText(error: unknown): string {
  if (error instanceof PermanentError || error instanceof SafeError || error instanceof StillRunning) {
    return error.message;
  }
  if (error instanceof Error) {
    const code = 'code' in error && /^[\w-]{1,40}$/u.test(String(error.code)) ? ` (${String(error.code)})` : '';
    const cause = error.cause === undefined ? '' : `; cause: ${safeText(error.cause)}`;
    return `${error.name}${code}${cause}`;
  }
  return 'an error without description';
}
