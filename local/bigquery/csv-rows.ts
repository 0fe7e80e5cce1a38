import { createReadStream, createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import type { DuckDBConnection } from '@duckdb/node-api';
import * as z from 'zod';
import type { Field } from './sql/types.ts';
import { rawColumn, readCsv, type CsvFormat } from './csv-fast.ts';
import { scanCsv, type CsvCell, type CsvRow } from './csv-scan.ts';
import { valueOf, type TextRules } from './csv-values.ts';
import type { JobError } from './jobs.ts';

export type Source = { uri: string; path: string };

export type RowRules = TextRules & {
  allowJaggedRows: boolean;
  ignoreUnknownValues: boolean;
  maxBadRecords: number;
};

/** BigQuery: "the first errors encountered": how many a job's status shows. */
const shownErrors = 5;

/** A slice of a file is loaded at a time: enough for DuckDB to be fast, little enough to end early at the first bad rows. */
const sliceBytes = 8 * 1024 * 1024;

/**
 * Loads files row by row: what DuckDB's reader does not take, and what it took and found bad. Each bad row is counted and, for the
 * first ones, explained. Stops when there are more than `maxBadRecords`.
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
  const slice = join(scratch, randomUUID());
  try {
    for (const source of sources) {
      let lines: string[] = [];
      let size = 0;
      let longest = 0;
      let read = 0;
      for await (const row of scanCsv(createReadStream(source.path, { highWaterMark: 1024 * 1024 }), format)) {
        if (read++ < format.skipRows) continue;
        const line = checkRow(row, fields, format, rules);
        if (typeof line !== 'string') {
          note(
            [
              {
                reason: 'invalid',
                location: source.uri,
                message: `Error while reading data, error message: ${line.problem}`,
              },
            ],
            1,
          );
          if (badRecords > rules.maxBadRecords) return { badRecords, errors };
          continue;
        }
        lines.push(line);
        size += line.length;
        longest = Math.max(longest, line.length);
        if (size >= sliceBytes && (await loadSlice(source, longest))) return { badRecords, errors };
      }
      if (lines.length > 0 && (await loadSlice(source, longest))) return { badRecords, errors };

      /** Loads the lines gathered so far; true when there are too many bad ones. */
      async function loadSlice(source: Source, longest: number): Promise<boolean> {
        signal.throwIfAborted();
        await writeLines(slice, lines);
        lines = [];
        size = 0;
        const bad = await insertSlice(connection, target, slice, fields, rules, longest);
        note(
          bad.examples.map((each) => ({ ...each, location: source.uri })),
          bad.count,
        );
        return badRecords > rules.maxBadRecords;
      }
    }
    return { badRecords, errors };
  } finally {
    await rm(slice, { force: true });
  }

  function note(found: JobError[], count: number): void {
    errors.push(...found.slice(0, shownErrors - errors.length));
    badRecords += count;
  }
}

/** The row in one canonical form, with its place in the file before it, or what is wrong with its shape. */
function checkRow(row: CsvRow, fields: Field[], format: CsvFormat, rules: RowRules): string | { problem: string } {
  if (row.problem !== undefined) {
    return { problem: `Error detected while parsing row starting at position: ${row.start}. Error: ${row.problem}` };
  }
  const { length } = row.cells;
  if (length > fields.length && !rules.ignoreUnknownValues) {
    return {
      problem: `Too many values in row starting at position: ${row.start}. Found ${length} column(s) while expected ${fields.length}.`,
    };
  }
  if (length < fields.length && !rules.allowJaggedRows) {
    return {
      problem: `CSV table references column position ${length}, but line starting at position:${row.start} contains only ${length} columns.`,
    };
  }
  const texts = fields.map((_, index) => {
    const cell = row.cells[index];
    return cell === undefined || isNull(cell, format) ? '' : `"${cell.text.replaceAll('"', '""')}"`;
  });
  return `${row.start},${texts.join(',')}\n`;
}

function isNull(cell: CsvCell, format: CsvFormat): boolean {
  if (!format.nullMarkers.includes(cell.text)) return false;
  return !cell.quoted || (format.quotedMarkerIsNull && cell.text !== '');
}

async function writeLines(path: string, lines: string[]): Promise<void> {
  const file = createWriteStream(path);
  for (const line of lines) if (!file.write(line)) await once(file, 'drain');
  file.end();
  await once(file, 'finish');
}

const canonical: CsvFormat = {
  delimiter: ',',
  quote: '"',
  quotedNewlines: true,
  encoding: 'UTF-8',
  skipRows: 0,
  nullMarkers: [''],
  quotedMarkerIsNull: false,
};

/** Place, texts, and which of them are bad. */
const badRows = z.array(z.tuple([z.string(), z.array(z.string().nullable()), z.array(z.boolean())]));

const position: Field = { name: 'position', type: 'INT64', mode: 'REQUIRED' };

async function insertSlice(
  connection: DuckDBConnection,
  target: string,
  path: string,
  fields: Field[],
  rules: TextRules,
  longest: number,
): Promise<{ count: number; examples: { reason: string; message: string }[] }> {
  // In the file the place of the row comes first, then its texts: raw column 0, then 1, 2, ….
  const texts = fields.map((_, index) => rawColumn(index + 1));
  const values = fields.map(
    (field, index) => `${valueOf(field, texts[index] ?? '', rules, 'NULL')} AS "value ${index}"`,
  );
  const isBad = fields.map(
    (field, index) =>
      `("value ${index}" IS NULL${field.mode === 'REQUIRED' ? '' : ` AND ${texts[index] ?? ''} IS NOT NULL`})`,
  );
  const reader = readCsv([path], [position, ...fields], canonical, Math.max(2 * longest, 4 * 1024 * 1024));
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE slice AS SELECT *, list_contains([${isBad.join(', ')}], TRUE) AS bad FROM (SELECT *, ${values.join(', ')} FROM ${reader})`,
  );
  await connection.run(
    `INSERT INTO ${target} SELECT ${fields.map((_, index) => `"value ${index}"`).join(', ')} FROM slice WHERE NOT bad`,
  );
  const counted = await connection.runAndReadAll('SELECT count(*)::DOUBLE FROM slice WHERE bad');
  const count = Number(counted.getRowsJS()[0]?.[0]);
  if (count === 0) return { count, examples: [] };
  const bad = await connection.runAndReadAll(
    `SELECT ${rawColumn(0)}, [${texts.join(', ')}], [${isBad.join(', ')}] FROM slice WHERE bad ORDER BY ${rawColumn(0)}::BIGINT LIMIT ${shownErrors}`,
  );
  const examples = badRows
    .parse(bad.getRowsJS())
    .flatMap(([at, cells, flags]) =>
      fields.flatMap((field, index) =>
        flags[index] === true
          ? [{ reason: 'invalid', message: explain(field, index, at, cells[index] ?? null, rules) }]
          : [],
      ),
    );
  return { count, examples };
}

/** BigQuery's messages quote the value itself: whoever logs one has published it. */
function explain(field: Field, index: number, at: string, value: string | null, rules: TextRules): string {
  const start = 'Error while reading data, error message: ';
  if (value === null) {
    return `${start}Required column value for column index: ${index} is missing in row starting at position: ${at}`;
  }
  if (field.type === 'STRING') {
    const problem = rules.preserveAsciiControlCharacters
      ? 'Missing close quote character (").'
      : 'Bad character (ASCII 0) encountered.';
    return `${start}Error detected while parsing row starting at position: ${at}. Error: ${problem}`;
  }
  return `${start}Could not parse '${value}' as ${field.type} for field ${field.name} (position ${index}) starting at location ${at} with message 'Unable to parse'`;
}
