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

/** A row as it stands in the file, or what is wrong with it. */
export type CsvRow = {
  /** Bytes from the file's start, as BigQuery's messages count. */
  start: number;
  /** Without the line end. Valid until the next row is asked for. */
  bytes: Buffer;
  /** The number of its cells. */
  count: number;
  problem?: string | undefined;
};

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
    if (pending.length > maximumRowBytes) {
      return yield { start, bytes: pending, count: 0, problem: `Row size is larger than: ${maximumRowBytes}.` };
    }
    wanted = pending.length;
  }
  yield* readPending(true);

  function* readPending(final: boolean): Generator<CsvRow> {
    const beginning = start === 0 && pending.length === 0;
    pending = Buffer.concat([pending, ...waiting.splice(0)]);
    waitingBytes = 0;
    let offset = beginning && pending.subarray(0, 3).equals(Buffer.from('\uFEFF')) ? 3 : 0;
    const isText = dialect.encoding === 'ISO-8859-1' || isUtf8(pending);
    while (offset < pending.length) {
      const found = readRow(pending, offset, dialect, final);
      if (found === undefined) break;
      const { count, end, next, problem } = found;
      const bytes = pending.subarray(offset, end);
      // The piece as a whole may end within a character, or hold one bad row among good ones.
      const unreadable = isText || isUtf8(bytes) ? undefined : 'Invalid UTF-8 character encountered.';
      if (count > 0 || problem !== undefined)
        yield { start: start + offset, bytes, count, problem: problem ?? unreadable };
      offset = next;
    }
    start += offset;
    pending = pending.subarray(offset);
  }
}

type FoundRow = { count: number; end: number; next: number; problem?: string };

/** One row from `offset`; undefined when the bytes end before the row does and more may come (`final` is false). */
function readRow(bytes: Buffer, offset: number, dialect: CsvDialect, final: boolean): FoundRow | undefined {
  const { length } = bytes;
  const delimiter = dialect.delimiter.charCodeAt(0);
  const quote = dialect.quote === '' ? -1 : dialect.quote.charCodeAt(0);
  const failed = (from: number, problem: string): FoundRow => {
    const next = nextLine(bytes, from);
    return { count: 0, end: next, next, problem };
  };
  let count = 0;
  let at = offset;
  for (;;) {
    if (bytes[at] === quote) {
      const opening = at++;
      let lines = false;
      for (; at < length; at++) {
        const byte = bytes[at];
        if (byte === quote) {
          if (bytes[at + 1] !== quote) break;
          at++;
        } else if (byte === lf || byte === cr) lines = true;
      }
      // Whether a quote closes its value is known from the byte behind it.
      if (at + 1 >= length && !final) return undefined;
      if (at >= length || (lines && !dialect.quotedNewlines)) {
        return failed(opening, `Missing close quote character (${dialect.quote}).`);
      }
      at++;
      const behind = bytes[at];
      if (behind !== undefined && behind !== delimiter && behind !== lf && behind !== cr) {
        return failed(at, `Data between close quote character (${dialect.quote}) and field separator.`);
      }
      count++;
    } else {
      const from = at;
      for (; at < length; at++) {
        const byte = bytes[at];
        if (byte === delimiter || byte === lf || byte === cr) break;
      }
      if (at === length && !final) return undefined;
      const emptyLine = at === from && count === 0 && bytes[at] !== delimiter;
      if (!emptyLine) count++;
    }
    const behind = bytes[at];
    if (behind !== delimiter) {
      if (behind === cr && at + 1 === length && !final) return undefined;
      const lineEnd = behind === undefined ? 0 : behind === cr && bytes[at + 1] === lf ? 2 : 1;
      return { count, end: at, next: at + lineEnd };
    }
    at++;
    // A delimiter as the file's last byte has an empty value behind it.
    if (at === length && !final) return undefined;
  }
}

function nextLine(bytes: Buffer, from: number): number {
  const end = bytes.indexOf(lf, from);
  return end === -1 ? bytes.length : end + 1;
}

/** The cells of a row that has no problem. */
export function cellsOf(row: CsvRow, dialect: CsvDialect): CsvCell[] {
  const text = row.bytes.toString(dialect.encoding === 'UTF-8' ? 'utf8' : 'latin1');
  const { delimiter, quote } = dialect;
  const cells: CsvCell[] = [];
  let at = 0;
  while (cells.length < row.count) {
    if (quote !== '' && text[at] === quote) {
      let end = text.indexOf(quote, at + 1);
      while (text[end + 1] === quote) end = text.indexOf(quote, end + 2);
      cells.push({ text: text.slice(at + 1, end).replaceAll(quote + quote, quote), quoted: true });
      at = end + 2;
    } else {
      const found = text.indexOf(delimiter, at);
      const end = found === -1 ? text.length : found;
      cells.push({ text: text.slice(at, end), quoted: false });
      at = end + 1;
    }
  }
  return cells;
}
