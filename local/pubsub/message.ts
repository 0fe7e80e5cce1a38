import { z } from 'zod';
import { checkRange } from './resources.ts';
import { StatusError } from './status.ts';

export type Message = {
  id: string;
  /** Milliseconds since 1970. */
  publishTime: number;
  data: Buffer;
  attributes: Record<string, string>;
  orderingKey: string;
};

/** One lease of a message: `attempt` counts this message's deliveries on this subscription, from 1. */
export type Delivery = { ackId: string; message: Message; attempt: number };

const base64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/** A message as it is published: bytes over gRPC, base64 over REST; what only the service may set is not taken over. */
export const messageSchema = z
  .strictObject({
    data: z
      .union([
        z.instanceof(Uint8Array),
        z
          .string()
          .regex(base64, 'data must be base64')
          .transform((text) => Buffer.from(text, 'base64')),
      ])
      .optional(),
    attributes: z.record(z.string(), z.string()).optional(),
    orderingKey: z.string().optional(),
    messageId: z.unknown().optional(),
    publishTime: z.unknown().optional(),
  })
  .transform(({ data, attributes = {}, orderingKey = '' }) => ({ data: toBuffer(data), attributes, orderingKey }));

export type NewMessage = z.infer<typeof messageSchema>;

/** Throws INVALID_ARGUMENT, in the service's words, for what it would refuse to publish. */
export function checkMessages(messages: NewMessage[]): void {
  checkRange('message_count', messages.length, 1, 1000);
  let size = 0;
  for (const { data, attributes, orderingKey } of messages) {
    const entries = Object.entries(attributes);
    if (data.length === 0 && entries.length === 0)
      throw new StatusError(
        'INVALID_ARGUMENT',
        'One or more messages in the publish request is empty. Each message must contain either non-empty data, or at least one attribute.',
      );
    checkRange('attribute_count', entries.length, 0, 100);
    checkRange('ordering_key_size', Buffer.byteLength(orderingKey), 0, 1024);
    size += data.length + orderingKey.length;
    for (const [key, value] of entries) {
      checkRange('attribute_key_size', Buffer.byteLength(key), 1, 256);
      checkRange('attribute_value_size', Buffer.byteLength(value), 0, 1024);
      if (key.startsWith('goog'))
        throw new StatusError('INVALID_ARGUMENT', `Attribute keys must not start with "goog" (key=${key}).`);
      size += key.length + value.length;
    }
  }
  // "Publish request: 10 MB (total size), 1,000 messages", and a message's data has the same limit.
  if (size > 10_000_000)
    throw new StatusError(
      'INVALID_ARGUMENT',
      `Request payload size exceeds the limit: 10000000 bytes. You passed ${size}.`,
    );
}

/** Bytes that a message counts for in flow control. */
export function sizeOf(message: Message): number {
  return message.data.length + JSON.stringify(message.attributes).length;
}

function toBuffer(data: Uint8Array | undefined): Buffer {
  if (data === undefined) return Buffer.alloc(0);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
