import { z } from 'zod';
import { PermanentError } from './errors.ts';

/**
 * What travels between the steps. Keys only, never values; the ledger holds the rest. A republished message carries the
 * same keys, and in `retry` the step that it is meant for, so that a fault's repeated failure is told anew.
 */

export const STEPS = ['export', 'load', 'transform', 'sli', 'views'] as const;
export type Step = (typeof STEPS)[number];

export const TOPICS = {
  objects: 'mirror-objects',
  completions: 'mirror-completions',
  failures: 'mirror-failures',
  dead: 'mirror-dead',
} as const;

const runId = z.string().regex(/^\d{8}T\d{6}Z$/u, 'a run id such as 20261122T030000Z');
const shard = z.string().regex(/^\d{8}$/u, 'a date such as 20261122');
const step = z.enum(STEPS);

const Completion = z.object({ step, runId, shard, chunk: z.string().optional(), retry: step.optional() });
/** "Step `step` of the run is done", for one chunk or for the whole run. */
export type Completion = z.infer<typeof Completion>;

const Failure = z.object({
  step: z.enum([...STEPS, 'alert']),
  runId: runId.optional(),
  chunk: z.string().optional(),
  /** Names the fault; two messages with one key are one fault. */
  fault: z.string().max(300),
  kind: z.enum(['failed', 'blocked', 'information']),
  /** Slack takes 3,000 characters a section; a message that is longer must be told all the same. */
  what: z.string().transform((text) => (text.length > 2500 ? `${text.slice(0, 2499)}…` : text)),
  attempts: z.number().int().positive(),
});
export type Failure = z.infer<typeof Failure>;

/** The part of an object's resource that a notification's body holds and that the load needs. */
const ObjectFinalized = z.object({ bucket: z.string(), name: z.string(), retry: step.optional() });
export type ObjectFinalized = z.infer<typeof ObjectFinalized>;

/** What functions-framework hands over for a Pub/Sub push. */
export type PubSubEvent = { data?: unknown };

export type Message<T> = { id: string; attributes: Record<string, string>; body: T };

const Envelope = z.object({
  message: z.object({
    messageId: z.string().optional(),
    message_id: z.string().optional(),
    data: z.string().default(''),
    attributes: z.record(z.string(), z.string()).nullish(),
  }),
});

export const parseCompletion = (event: PubSubEvent): Message<Completion> => parse('completion', Completion, event);
export const parseFailure = (event: PubSubEvent): Message<Failure> => parse('failure', Failure, event);
export const parseObject = (event: PubSubEvent): Message<ObjectFinalized> => parse('object', ObjectFinalized, event);

function parse<T>(what: string, schema: z.ZodType<T>, event: PubSubEvent): Message<T> {
  const envelope = Envelope.safeParse(event.data);
  if (!envelope.success) throw new PermanentError(`Received an event that is no Pub/Sub message (wanted: a ${what})`);
  const { message } = envelope.data;
  const id = message.messageId ?? message.message_id ?? 'unknown';
  const body = schema.safeParse(jsonOf(message.data));
  if (!body.success) {
    const faults = body.error.issues.map(({ path, message: text }) => `${path.join('.') || 'body'}: ${text}`);
    throw new PermanentError(`Received a message that is no ${what}: ${faults.join('; ')} (message ${id})`);
  }
  return { id, attributes: message.attributes ?? {}, body: body.data };
}

function jsonOf(base64: string): unknown {
  try {
    return JSON.parse(Buffer.from(base64, 'base64').toString('utf8'));
  } catch {
    return undefined;
  }
}
