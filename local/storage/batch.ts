import type { IncomingMessage, ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import { randomUUID } from 'node:crypto';
import { ApiError, readBody } from '../http.ts';
import { parseJson, type Call, type Reply } from './call.ts';

/** "You can make at most 100 calls in a single batch request." */
const MOST_CALLS = 100;

/**
 * Answers `POST /batch/storage/v1`: a multipart/mixed body of HTTP requests about metadata, answered by one of HTTP responses
 * in the same order. Throws 400 for another shape; a call that fails fails alone.
 */
export async function answerBatch(
  request: IncomingMessage,
  response: ServerResponse,
  answer: (call: Pick<Call, 'method' | 'headers'> & { url: string }, body: Record<string, unknown>) => Promise<Reply>,
): Promise<void> {
  const boundary = /boundary="?([^";]+)"?/i.exec(request.headers['content-type'] ?? '')?.[1];
  if (!request.headers['content-type']?.startsWith('multipart/mixed') || !boundary) {
    throw new ApiError(400, 'badContent', 'Expected Content-Type: multipart/mixed with a boundary');
  }
  const calls = splitParts((await readBody(request)).toString(), boundary).map(parsePart);
  if (calls.length > MOST_CALLS) {
    throw new ApiError(
      400,
      'invalid',
      `The batch request has ${calls.length} calls; at most ${MOST_CALLS} are allowed`,
    );
  }
  const reboundary = `batch_${randomUUID()}`;
  let text = '';
  for (const { contentId, call, body } of calls) {
    const reply = await answer(call, parseJson(body));
    text += `--${reboundary}\r\nContent-Type: application/http\r\n`;
    if (contentId) text += `Content-ID: ${contentId.replace(/^<?/, '<response-').replace(/>?$/, '>')}\r\n`;
    text += `\r\n${formatReply(reply)}\r\n`;
  }
  text += `--${reboundary}--\r\n`;
  response.writeHead(200, {
    'content-type': `multipart/mixed; boundary=${reboundary}`,
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

function splitParts(text: string, boundary: string): string[] {
  const parts = `\n${text.replaceAll('\r\n', '\n')}`.split(`\n--${boundary}`);
  return parts.slice(1).filter((part) => !part.startsWith('--'));
}

/** A part is headers, an empty line, and an HTTP request: a request line, headers, an empty line and the body. */
function parsePart(part: string): {
  contentId: string | undefined;
  call: { method: string; url: string; headers: Record<string, string> };
  body: string;
} {
  const [outer = '', request = '', ...body] = part.trimStart().split('\n\n');
  const [requestLine = '', ...headerLines] = request.split('\n');
  const [method, url] = requestLine.split(' ');
  if (!method || !url)
    throw new ApiError(400, 'badContent', `Malformed batch part: no request line in '${requestLine}'`);
  const headers = Object.fromEntries(
    headerLines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  return {
    contentId: /^content-id:\s*(.*?)\s*$/im.exec(outer)?.[1],
    call: { method, url, headers },
    body: body.join('\n\n'),
  };
}

function formatReply({ status, body }: Reply): string {
  const text = body ? JSON.stringify(body) : '';
  const headers = `Content-Type: application/json; charset=UTF-8\r\nContent-Length: ${Buffer.byteLength(text)}`;
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${headers}\r\n\r\n${text}`;
}
