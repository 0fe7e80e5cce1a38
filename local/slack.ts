import path from 'node:path';
import { z } from 'zod';
import { type Handler, notImplemented, readBody } from './http.ts';
import { openJsonLines } from './json-lines.ts';

const blockSchema = z.looseObject({ type: z.string(), text: z.looseObject({ text: z.string() }).optional() });
const messageSchema = z.looseObject({ text: z.string().optional(), blocks: z.array(blockSchema).optional() });

/** A message as it was posted, and when, in RFC 3339. */
export type SlackMessage = { receivedAt: string; text: string; blocks?: z.infer<typeof blockSchema>[] | undefined };

const storedSchema = z.looseObject({
  receivedAt: z.string(),
  text: z.string(),
  blocks: z.array(blockSchema).optional(),
});

/** Slack gives about one message a second per webhook, "with short bursts"; how many is not said. */
const BURST = 4;

/**
 * Opens a stand-in for a Slack incoming webhook at `path`, `/slack` unless given, keeping its messages as JSON lines in
 * `directory`. It answers as Slack does: `ok`, or 400 with `no_text`, `invalid_blocks` or `invalid_payload`. With
 * `rateLimit`, messages beyond one a second and a burst of four get 429 with Retry-After. Rejects when the lines on disk are
 * damaged.
 */
export async function openSlack(options: {
  directory: string;
  path?: string;
  rateLimit?: boolean;
}): Promise<{ handle: Handler; messages: () => Promise<SlackMessage[]>; close: () => Promise<void> }> {
  const messages: SlackMessage[] = [];
  const lines = openJsonLines(path.join(options.directory, 'messages.jsonl'), (value) =>
    messages.push(storedSchema.parse(value)),
  );
  const wait = options.rateLimit ? rateLimit() : () => 0;

  return {
    async handle(request, response) {
      const { pathname } = new URL(request.url ?? '/', 'http://localhost');
      const operation = `${request.method} ${pathname}`;
      if (operation !== `POST ${options.path ?? '/slack'}`) throw notImplemented('Slack', operation);
      const seconds = wait();
      if (seconds > 0) {
        response.writeHead(429, { 'retry-after': String(seconds), 'content-type': 'text/plain' }).end('rate_limited');
        return;
      }
      const { message, problem } = read(await readBody(request));
      if (problem !== undefined) {
        response.writeHead(400, { 'content-type': 'text/plain' }).end(problem);
        return;
      }
      lines.append([message]);
      messages.push(message);
      response.writeHead(200, { 'content-type': 'text/plain' }).end('ok');
    },
    messages: () => Promise.resolve([...messages]),
    close: () => Promise.resolve(),
  };
}

type Read = { message: SlackMessage; problem?: undefined } | { message?: undefined; problem: string };

function read(bytes: Buffer): Read {
  let sent: unknown;
  try {
    sent = JSON.parse(bytes.toString('utf8'));
  } catch {
    return { problem: 'invalid_payload' };
  }
  const parsed = messageSchema.safeParse(sent);
  if (!parsed.success)
    return { problem: parsed.error.issues[0]?.path[0] === 'blocks' ? 'invalid_blocks' : 'invalid_payload' };
  const { text = '', blocks = [] } = parsed.data;
  // "You can include up to 50 blocks in each message"; a section's text holds "3000 characters" at most.
  if (blocks.length > 50) return { problem: 'invalid_blocks' };
  if (blocks.some((block) => block.type === 'section' && (block.text?.text.length ?? 0) > 3000))
    return { problem: 'invalid_blocks' };
  // Slack takes blocks alone; the text is what a notification shows, so here a message without one is refused.
  if (text === '') return { problem: 'no_text' };
  return { message: { receivedAt: new Date().toISOString(), ...parsed.data, text } };
}

/** Seconds that the next message must wait; 0 lets it through. */
function rateLimit(): () => number {
  let allowance = BURST;
  let at = Date.now();
  return () => {
    const now = Date.now();
    allowance = Math.min(BURST, allowance + (now - at) / 1000);
    at = now;
    if (allowance < 1) return Math.ceil(1 - allowance);
    allowance -= 1;
    return 0;
  };
}
