import { z } from 'zod';

/** A protobuf Duration: REST writes it as text (`"1.5s"`), gRPC as seconds and nanoseconds. Kept as REST's text. */
export const duration = z
  .union([
    z.string().regex(/^\d+(\.\d{1,9})?s$/, 'a duration is a number of seconds with the suffix s, as in "10s"'),
    z.object({ seconds: z.coerce.number().int().nonnegative().default(0), nanos: z.number().nonnegative().default(0) }),
  ])
  .transform((value) => (typeof value === 'string' ? value : durationText(value.seconds, value.nanos)));

/** Seconds of a duration's text. */
export function seconds(text: string): number {
  return Number(text.slice(0, -1));
}

/** A duration's text as gRPC carries it. */
export function durationProto(text: string): { seconds: number; nanos: number } {
  const [whole = '0', fraction = ''] = text.slice(0, -1).split('.');
  return { seconds: Number(whole), nanos: Number(fraction.padEnd(9, '0')) };
}

function durationText(whole: number, nanos: number): string {
  return nanos === 0 ? `${whole}s` : `${whole}.${String(nanos).padStart(9, '0').replace(/0+$/, '')}s`;
}
