import { isUtf8 } from 'node:buffer';

/**
 * A CSV reader that knows where in the file each row starts: for what DuckDB's fast reader does not take or cannot explain
 * (files of mixed line ends, jagged rows, ISO-8859-1, the place of a bad value).
 */
export type CsvDialect = {
  /** One byte. */
  delimiter: string;
  /** One byte, or '' for a file in which quotes are ordinary characters. */
  quote: string;
  /** Whether a quoted value may hold line ends. */
  quotedNewlines: boolean;
  encoding: 'UTF-8' | 'ISO-8859-1';
};

export type CsvCell = { text: string; quoted: boolean };

/** A row, or what is wrong with it; `start` counts bytes from the file's start, as BigQuery's messages do. */
export type CsvRow = { start: number; cells: CsvCell[]; problem?: string };

/** BigQuery: "Maximum row size (CSV): 100 MB". */
export const maximumRowBytes = 100 * 1024 * 1024;

const lf = 0x0a;
const cr = 0x0d;

/**
 * The rows of a file that comes in pieces, with memory for one row and one piece. Empty lines are no rows; LF, CRLF and CR end
 * a row. After a row that is not CSV, reading goes on at the next line.
 */
export async function* scanCsv(pieces: AsyncIterable<Buffer>, dialect: CsvDialect): AsyncGenerator<CsvRow> {
  let pending: Buffer = Buffer.alloc(0);
  let start = 0;
  const waiting: Buffer[] = [];
  let waitingBytes = 0;
  let wanted = 3;

  for await (const piece of pieces) {
    waiting.push(piece);
    waitingBytes += piece.length;
    // A row is read again from its start when more of it has come; waiting until it has doubled keeps that linear.
    if (waitingBytes < wanted) continue;
    yield* readPending(false);
    if (pending.length > maximumRowBytes)
      return yield { start, cells: [], problem: 'Row size is larger than: 104857600.' };
    wanted = pending.length;
  }
  yield* readPending(true);

  function* readPending(final: boolean): Generator<CsvRow> {
    const beginning = start === 0 && pending.length === 0;
    pending = Buffer.concat([pending, ...waiting.splice(0)]);
    waitingBytes = 0;
    let offset = beginning && pending.subarray(0, 3).equals(Buffer.from('\uFEFF')) ? 3 : 0;
    while (offset < pending.length) {
      const found = readRow(pending, offset, dialect, final);
      if (found === undefined) break;
      const problem = found.problem ?? (isText(pending, offset, found.next, dialect) ? undefined : invalidText);
      if (problem !== undefined) yield { start: start + offset, cells: [], problem };
      else if (found.cells.length > 0) yield { start: start + offset, cells: found.cells };
      offset = found.next;
    }
    start += offset;
    pending = pending.subarray(offset);
  }
}

const invalidText = 'Invalid UTF-8 character encountered.';

function isText(bytes: Buffer, from: number, to: number, dialect: CsvDialect): boolean {
  return dialect.encoding === 'ISO-8859-1' || isUtf8(bytes.subarray(from, to));
}

/** One row from `offset`; undefined when the bytes end before the row does and more may come (`final` is false). */
function readRow(
  bytes: Buffer,
  offset: number,
  dialect: CsvDialect,
  final: boolean,
): { cells: CsvCell[]; next: number; problem?: string } | undefined {
  const delimiter = dialect.delimiter.charCodeAt(0);
  const quote = dialect.quote === '' ? -1 : dialect.quote.charCodeAt(0);
  const decode = (from: number, to: number): string =>
    bytes.toString(dialect.encoding === 'UTF-8' ? 'utf8' : 'latin1', from, to);
  const cells: CsvCell[] = [];
  let at = offset;
  for (;;) {
    if (bytes[at] === quote) {
      const end = closingQuote(bytes, at + 1, quote);
      if (end === -1) {
        if (!final) return undefined;
        return { cells, next: nextLine(bytes, at), problem: `Missing close quote character (${dialect.quote}).` };
      }
      // Whether a quote closes its value is known from the byte behind it.
      if (end + 1 === bytes.length && !final) return undefined;
      const text = decode(at + 1, end).replaceAll(dialect.quote + dialect.quote, dialect.quote);
      if (!dialect.quotedNewlines && /[\r\n]/.test(text)) {
        return { cells, next: nextLine(bytes, at), problem: `Missing close quote character (${dialect.quote}).` };
      }
      cells.push({ text, quoted: true });
      at = end + 1;
      const behind = bytes[at];
      if (behind !== undefined && behind !== delimiter && behind !== lf && behind !== cr) {
        const problem = `Data between close quote character (${dialect.quote}) and field separator.`;
        return { cells, next: nextLine(bytes, at), problem };
      }
    } else {
      let end = at;
      while (end < bytes.length && bytes[end] !== delimiter && bytes[end] !== lf && bytes[end] !== cr) end++;
      if (end === bytes.length && !final) return undefined;
      const emptyLine = end === at && cells.length === 0 && bytes[end] !== delimiter;
      if (!emptyLine) cells.push({ text: decode(at, end), quoted: false });
      at = end;
    }
    const behind = bytes[at];
    if (behind === undefined) return { cells, next: at };
    if (behind === lf) return { cells, next: at + 1 };
    if (behind === cr) {
      if (at + 1 === bytes.length && !final) return undefined;
      return { cells, next: bytes[at + 1] === lf ? at + 2 : at + 1 };
    }
    at++;
    // A delimiter as the file's last byte has an empty value behind it.
    if (at === bytes.length && !final) return undefined;
  }
}

function closingQuote(bytes: Buffer, from: number, quote: number): number {
  let at = bytes.indexOf(quote, from);
  while (at !== -1 && bytes[at + 1] === quote) at = bytes.indexOf(quote, at + 2);
  return at;
}

function nextLine(bytes: Buffer, from: number): number {
  const end = bytes.indexOf(lf, from);
  return end === -1 ? bytes.length : end + 1;
}
