import { open } from 'node:fs/promises';
import { quoteName, type Field } from './sql/types.ts';
import { scanCsv, type CsvDialect } from './csv-scan.ts';

/** DuckDB's own reader of a CSV file, and where it can be trusted. */
export type CsvFormat = CsvDialect & {
  skipRows: number;
  /** The texts that mean NULL. */
  nullMarkers: string[];
  /** Whether they do so in quotes, too. */
  quotedMarkerIsNull: boolean;
};

/**
 * Whether DuckDB's reader can be given the file: its rows end in LF, and the rows to skip are plain. The reader takes one line end
 * for all rows; where CRLF meets line ends in quotes, or a row to skip holds one, it can read other rows, or none, without an
 * error. A file that begins with LF and goes on otherwise it refuses.
 */
export async function isPlain(path: string, format: CsvFormat): Promise<boolean> {
  const file = await open(path);
  try {
    const start = Buffer.alloc(64 * 1024);
    const { bytesRead } = await file.read(start, 0, start.length, 0);
    const head = start.subarray(0, bytesRead);
    const rows: number[] = [];
    for await (const row of scanCsv(onePiece(head), format)) {
      const skipped = rows.length < format.skipRows;
      if (skipped && (row.problem !== undefined || /[\r\n]/.test(row.bytes.toString('latin1')))) return false;
      rows.push(row.start);
      if (rows.length > format.skipRows + 1) break;
    }
    // Blank lines before the rows to skip would be counted by DuckDB.
    const first = head.subarray(0, 3).equals(Buffer.from('\uFEFF')) ? 3 : 0;
    if ((rows[0] ?? first) !== first) return false;
    const second = rows[1];
    if (second === undefined) return bytesRead < start.length && !head.includes(0x0d);
    const [before, end] = head.subarray(second - 2, second);
    return end === 0x0a && before !== 0x0d && before !== 0x0a;
  } finally {
    await file.close();
  }
}

// oxlint-disable-next-line require-await
async function* onePiece(piece: Buffer): AsyncGenerator<Buffer> {
  yield piece;
}

/** The names of the columns of a `readCsv`: the file's texts, by position. */
export function rawColumn(index: number): string {
  return quoteName(`raw ${index}`);
}

/**
 * A FROM item that reads the files' texts into VARCHAR columns. `parallel = false`: DuckDB splits a file at guessed row starts, and
 * with line ends inside quotes a guess can be wrong unnoticed. Several files are still read at the same time.
 */
export function readCsv(paths: string[], fields: Field[], format: CsvFormat, maximumLine: number): string {
  const columns = fields.map((_, index) => `${literal(`raw ${index}`)}: 'VARCHAR'`).join(', ');
  const options = [
    'auto_detect = false',
    'header = false',
    'parallel = false',
    `skip = ${format.skipRows}`,
    `columns = {${columns}}`,
    `delim = ${literal(format.delimiter)}`,
    `quote = ${literal(format.quote)}`,
    `escape = ${literal(format.quote)}`,
    `nullstr = [${format.nullMarkers.map(literal).join(', ')}]`,
    `allow_quoted_nulls = ${format.quotedMarkerIsNull}`,
    // Strict by default; saying so makes it lose rows.
    `new_line = '\\n'`,
    `max_line_size = ${maximumLine}`,
    // By itself DuckDB takes sixteen lines' room for every file, and new memory costs more than what is read into it.
    `buffer_size = ${2 * maximumLine}`,
  ];
  return `read_csv([${paths.map(literal).join(', ')}], ${options.join(', ')})`;
}

export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
