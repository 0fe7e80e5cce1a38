import { ApiError } from '../http.ts';

const HEAD_LIMIT = 1024 * 1024;

/**
 * Takes a multipart/related upload apart as it arrives: `metadata` is the first part's JSON text, `media` the second's bytes.
 * Google's Python clients end lines with LF alone, the others with CRLF: the body's first line decides.
 * Throws 400 for another shape, from `media` also when the closing delimiter is missing.
 */
export async function readMultipartUpload(
  chunks: AsyncIterable<Buffer>,
  boundary: string,
): Promise<{ metadata: string; contentType: string | undefined; media: AsyncIterable<Buffer> }> {
  const iterator = chunks[Symbol.asyncIterator]();
  let received: Buffer = Buffer.alloc(0);
  for (;;) {
    const head = readHead(received, boundary);
    if (head) {
      const { metadata, contentType, delimiter } = head;
      return { metadata, contentType, media: readMedia(received.subarray(head.end), iterator, delimiter) };
    }
    if (received.length > HEAD_LIMIT) throw malformed(`no second part within ${HEAD_LIMIT} bytes`);
    const next = await iterator.next();
    if (next.done) throw malformed(`fewer than two parts delimited by --${boundary}`);
    received = Buffer.concat([received, next.value]);
  }
}

/** Everything up to the first byte of media; `undefined` while it has not all arrived. */
function readHead(
  received: Buffer,
  boundary: string,
): { metadata: string; contentType: string | undefined; delimiter: string; end: number } | undefined {
  const firstLineEnd = received.indexOf('\n', received.indexOf(`--${boundary}`) + 1);
  if (firstLineEnd < 0 || !received.includes(`--${boundary}`)) return undefined;
  const newline = received[firstLineEnd - 1] === 0x0d ? '\r\n' : '\n';
  const delimiter = `${newline}--${boundary}`;
  const firstPartStart = firstLineEnd + 1 - newline.length;
  const firstPartEnd = received.indexOf(delimiter, firstPartStart + newline.length);
  if (firstPartEnd < 0) return undefined;
  const secondPartStart = firstPartEnd + delimiter.length;
  // A part without headers begins with the empty line itself.
  const secondHeadersEnd = received.indexOf(newline + newline, secondPartStart);
  if (secondHeadersEnd < 0) return undefined;
  const firstPart = received.subarray(firstPartStart, firstPartEnd);
  const firstHeadersEnd = firstPart.indexOf(newline + newline);
  if (firstHeadersEnd < 0) throw malformed('the first part has no empty line after its headers');
  const secondHeaders = received.subarray(secondPartStart, secondHeadersEnd).toString('latin1');
  return {
    metadata: firstPart.subarray(firstHeadersEnd + 2 * newline.length).toString(),
    contentType: /^content-type:[ \t]*(.*?)\s*$/im.exec(secondHeaders)?.[1],
    delimiter,
    end: secondHeadersEnd + 2 * newline.length,
  };
}

async function* readMedia(
  first: Buffer,
  rest: AsyncIterator<Buffer, unknown>,
  delimiter: string,
): AsyncGenerator<Buffer> {
  let pending = first;
  for (;;) {
    const end = pending.indexOf(delimiter);
    if (end >= 0) {
      yield pending.subarray(0, end);
      for (let next = await rest.next(); !next.done; next = await rest.next());
      return;
    }
    // The last bytes may be the beginning of the delimiter.
    const safe = Math.max(0, pending.length - delimiter.length + 1);
    if (safe > 0) yield pending.subarray(0, safe);
    const next = await rest.next();
    if (next.done) throw malformed('Missing end boundary in multipart body.');
    pending = Buffer.concat([pending.subarray(safe), next.value]);
  }
}

function malformed(problem: string): ApiError {
  return new ApiError(400, 'badContent', `Malformed multipart body: ${problem}`);
}
