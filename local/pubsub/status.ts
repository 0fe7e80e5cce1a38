import { status } from '@grpc/grpc-js';

/** The canonical codes that this stand-in answers with, and the HTTP status that Google's JSON transcoding gives each. */
const httpStatuses = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
  UNAVAILABLE: 503,
} as const;

export type StatusName = keyof typeof httpStatuses;

/** An operation's refusal, the same over gRPC and REST. */
export class StatusError extends Error {
  readonly status: StatusName;

  constructor(name: StatusName, message: string) {
    super(message);
    this.name = 'StatusError';
    this.status = name;
  }
}

/** What is not built is refused by name, so that nothing looks supported that is not. */
export function unimplemented(what: string): StatusError {
  return new StatusError('UNIMPLEMENTED', `The local Pub/Sub does not implement: ${what}`);
}

/** Any thrown value as the status that a client sees; what was not foreseen is INTERNAL, with its message. */
export function statusOf(error: unknown): { name: StatusName; grpc: status; http: number; message: string } {
  const name = error instanceof StatusError ? error.status : 'INTERNAL';
  const message = error instanceof Error ? error.message : String(error);
  return { name, grpc: status[name], http: httpStatuses[name], message };
}
