import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import * as z from 'zod';
import { rawColumn, readCsv, type CsvFormat } from './csv-fast.ts';
import { cellsOf, scanCsv, type CsvRow } from './csv-scan.ts';
import { valueOf, type TextRules } from './csv-values.ts';
import type { JobError } from './jobs.ts';
import type { Field } from './sql/types.ts';

export type Source = { uri: string; path: string };

export type RowRules = TextRules & {
  allowJaggedRows: boolean;
  ignoreUnknownValues: boolean;
  maxBadRecords: number;
};

/** A job's status shows the first errors only. */
const shownErrors = 5;

/** A slice of a file is loaded at a time: enough for DuckDB to be fast, little enough to end early at the first bad rows. */
const sliceBytes = 8 * 1024 * 1024;

/**
 * Loads files row by row: what DuckDB's reader does not take, and what it took and found bad. Each bad row is counted and, for the
 * first ones, explained. Stops when there are more than `maxBadRecords`.
 *
 * @param scratch a folder for the slices
 */
export async function loadRows(
  connection: DuckDBConnection,
  target: string,
  sources: Source[],
  fields: Field[],
  format: CsvFormat,
  rules: RowRules,
  scratch: string,
  signal: AbortSignal,
): Promise<{ badRecords: number; errors: JobError[] }> {
  const errors: JobError[] = [];
  let badRecords = 0;
  const file = join(scratch, randomUUID());
  try {
    for (const { uri, path } of sources) {
      const slice: Slice = { parts: [], size: 0, longest: 0 };
      const load = async (): Promise<void> => {
        signal.throwIfAborted();
        await writeFile(file, Buffer.concat(slice.parts));
        const bad = await insertSlice(connection, target, file, fields, format, rules, slice.longest);
        note(uri, bad.messages, bad.count);
        Object.assign(slice, { parts: [], size: 0, longest: 0 });
      };
      let read = 0;
      for await (const row of scanCsv(createReadStream(path, { highWaterMark: 1024 * 1024 }), format)) {
        if (read++ < format.skipRows) continue;
        const problem = problemOf(row, fields, rules);
        if (problem === undefined) append(slice, row, fields, format);
        else note(uri, [problem], 1);
        if (slice.size >= sliceBytes) await load();
        if (badRecords > rules.maxBadRecords) return { badRecords, errors };
      }
      if (slice.size > 0) await load();
      if (badRecords > rules.maxBadRecords) break;
    }
    return { badRecords, errors };
  } finally {
    await rm(file, { force: true });
  }

  function note(uri: string, messages: string[], count: number): void {
    const shown = messages.slice(0, shownErrors - errors.length);
    errors.push(...shown.map((message) => ({ reason: 'invalid', location: uri, message: `${errorStart}${message}` })));
    badRecords += count;
  }
}

const errorStart = 'Error while reading data, error message: ';

/** What is wrong with the shape of a row. */
function problemOf({ start, count, problem }: CsvRow, fields: Field[], rules: RowRules): string | undefined {
  if (problem !== undefined)
    return `Error detected while parsing row starting at position: ${start}. Error: ${problem}`;
  if (count > fields.length && !rules.ignoreUnknownValues) {
    return `Too many values in row starting at position: ${start}. Found ${count} column(s) while expected ${fields.length}.`;
  }
  if (count < fields.length && !rules.allowJaggedRows) {
    return `CSV table references column position ${count}, but line starting at position:${start} contains only ${count} columns.`;
  }
  return undefined;
}

type Slice = { parts: Buffer[]; size: number; longest: number };

/** The row with its place in the file before it, and one kind of line end behind it: as it stands, if DuckDB reads it so. */
function append(slice: Slice, row: CsvRow, fields: Field[], format: CsvFormat): void {
  const isUsual = row.count === fields.length && format.encoding === 'UTF-8' && !hasBlankBeforeQuote(row.bytes, format);
  const before = Buffer.from(`${placeMark(format)}${row.start}${format.delimiter}`);
  // The scanner's bytes are its own and go on changing.
  const bytes = isUsual ? Buffer.from(row.bytes) : Buffer.from(rewritten(row, fields, format));
  slice.parts.push(before, bytes, lineEnd);
  slice.size += before.length + bytes.length + 1;
  slice.longest = Math.max(slice.longest, bytes.length);
}

const lineEnd = Buffer.from('\n');

/** DuckDB drops blanks before a quote, and the quote with them. */
function hasBlankBeforeQuote(bytes: Buffer, { quote }: CsvFormat): boolean {
  if (quote === '') return false;
  return bytes.includes(` ${quote}`) || bytes.includes(`\t${quote}`);
}

/** What begins a place, so that it is no null marker. */
function placeMark({ nullMarkers }: CsvFormat): string {
  return nullMarkers.some((marker) => marker.startsWith('@')) ? '#' : '@';
}

/** The row with all its columns: values in quotes, NULLs as a marker without. */
function rewritten(row: CsvRow, fields: Field[], format: CsvFormat): string {
  const { delimiter, quote, nullMarkers } = format;
  const cells = cellsOf(row, format);
  const texts = fields.map((_, index) => {
    const cell = cells[index];
    if (cell === undefined) return nullMarkers[0] ?? '';
    if (quote === '' || (!cell.quoted && nullMarkers.includes(cell.text))) return cell.text;
    return `${quote}${cell.text.replaceAll(quote, quote + quote)}${quote}`;
  });
  return texts.join(delimiter);
}

const place: Field = { name: 'place', type: 'STRING', mode: 'REQUIRED' };

async function insertSlice(
  connection: DuckDBConnection,
  target: string,
  path: string,
  fields: Field[],
  format: CsvFormat,
  rules: TextRules,
  longest: number,
): Promise<{ count: number; messages: string[] }> {
  // In the file the place of the row comes first, then its texts: raw column 0, then 1, 2, ….
  const texts = fields.map((_, index) => rawColumn(index + 1));
  const text = (index: number): string => texts[index] ?? '';
  const values = fields.map((field, index) => `${valueOf(field, text(index), rules, 'NULL')} AS "value ${index}"`);
  const isBad = fields.map(
    ({ mode }, index) => `("value ${index}" IS NULL${mode === 'REQUIRED' ? '' : ` AND ${text(index)} IS NOT NULL`})`,
  );
  const maximumLine = Math.max(2 * longest, 4 * 1024 * 1024);
  const reader = readCsv([path], [place, ...fields], { ...format, skipRows: 0 }, maximumLine);
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE slice AS SELECT *, list_contains([${isBad.join(', ')}], TRUE) AS bad FROM (SELECT *, ${values.join(', ')} FROM ${reader})`,
  );
  const good = fields.map((_, index) => `"value ${index}"`).join(', ');
  await connection.run(`INSERT INTO ${target} SELECT ${good} FROM slice WHERE NOT bad`);
  const counted = await connection.runAndReadAll('SELECT count(*)::DOUBLE FROM slice WHERE bad');
  const count = Number(counted.getRowsJS()[0]?.[0]);
  const bad = await connection.runAndReadAll(
    `SELECT substr(${rawColumn(0)}, 2) AS place, [${texts.join(', ')}], [${isBad.join(', ')}] FROM slice WHERE bad ORDER BY place::BIGINT LIMIT ${shownErrors}`,
  );
  const messages = badRows
    .parse(bad.getRowsJS())
    .flatMap(([at, cells, flags]) =>
      fields.flatMap((field, index) =>
        flags[index] === true ? [explain(field, index, at, cells[index] ?? null, rules)] : [],
      ),
    );
  await connection.run('DROP TABLE slice');
  return { count, messages };
}

/** Place, texts, and which of them are bad. */
const badRows = z.array(z.tuple([z.string(), z.array(z.string().nullable()), z.array(z.boolean())]));

/** BigQuery's messages quote the value itself: whoever logs one has published it. */
function explain(field: Field, index: number, at: string, value: string | null, rules: TextRules): string {
  if (value === null)
    return `Required column value for column index: ${index} is missing in row starting at position: ${at}`;
  if (field.type === 'STRING') {
    const problem = rules.preserveAsciiControlCharacters
      ? 'Missing close quote character (").'
      : 'Bad character (ASCII 0) encountered.';
    return `Error detected while parsing row starting at position: ${at}. Error: ${problem}`;
  }
  return `Could not parse '${value}' as ${field.type} for field ${field.name} (position ${index}) starting at location ${at} with message 'Unable to parse'`;
}
