import type { z } from 'zod';

/** A refusal in the API's form, with the details that the service adds for clients that count what was written. */
export class InvalidArgument extends Error {
  readonly detail: object | undefined;

  constructor(message: string, detail?: object) {
    super(message);
    this.name = 'InvalidArgument';
    this.detail = detail;
  }
}

/** Throws `InvalidArgument` with the place and the problem, unless the body has the schema's form. */
export function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new InvalidArgument(`Invalid value at '${issue?.path.join('.') ?? ''}': ${issue?.message ?? 'unknown'}`);
}
