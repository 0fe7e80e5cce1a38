import type { DuckDBValue } from '@duckdb/node-api';
import { ApiError } from '../http.ts';
import type { Catalog, TableKey } from './catalog.ts';
import { type Answer } from './select.ts';
import { fetchable, toRow, type Row, type TimestampFormat } from './results.ts';
import type { Field } from './sql/types.ts';
import { rowsName } from './shared-rows.ts';

export type Page = { rows: Row[]; total: number; next: number | undefined };

export type PageRequest = { start: number; maximum: number; timestamps: TimestampFormat };

/** BigQuery: a page of results is limited to "10 MB"; ours also keeps a request's work short. */
const pageBytes = 10 * 1024 * 1024;

/** How many answers stay readable; BigQuery keeps them for a day. */
const keptAnswers = 200;

/** The rows that queries have answered, encoded page by page as they are asked for. */
export function openAnswers(catalog: Catalog) {
  const answers = new Map<string, Answer>();
  return {
    keep: (job: string, answer: Answer): void => {
      answers.delete(job);
      answers.set(job, answer);
      for (const oldest of [...answers.keys()].slice(0, -keptAnswers)) answers.delete(oldest);
    },
    fieldsOf: (job: string): Field[] | undefined => answers.get(job)?.fields,
    page: async (job: string, request: PageRequest): Promise<Page> => {
      const answer = answers.get(job);
      if (answer === undefined)
        throw new ApiError(
          404,
          'notFound',
          `Not found: the results of job ${job} are not kept any more. Run the query again.`,
        );
      if ('table' in answer) return tablePage(catalog, answer.table, answer.fields, request);
      return resultPage(answer, request);
    },
  };
}

function resultPage(
  { fields, rows }: Extract<Answer, { rows: unknown }>,
  { start, maximum, timestamps }: PageRequest,
): Page {
  const page: Row[] = [];
  let bytes = 0;
  let first = 0;
  for (let index = 0; index < rows.chunkCount; index++) {
    const chunk = rows.getChunk(index);
    const last = first + chunk.rowCount;
    if (last > start) {
      const columns = fields.map((_, column) => chunk.getColumnVector(column));
      for (let row = Math.max(start - first, 0); row < chunk.rowCount; row++) {
        if (page.length >= maximum || bytes >= pageBytes)
          return { rows: page, total: rows.rowCount, next: start + page.length };
        const encoded = toRow(
          fields,
          columns.map((column) => column.getItem(row)),
          timestamps,
        );
        bytes += sizeOf(encoded);
        page.push(encoded);
      }
    }
    first = last;
  }
  return { rows: page, total: rows.rowCount, next: undefined };
}

/** Rows of a table in the order that they are stored in, which stays as long as nobody writes. */
export async function tablePage(
  catalog: Catalog,
  key: TableKey,
  fields: Field[],
  { start, maximum, timestamps }: PageRequest,
): Promise<Page> {
  const limit = Math.min(maximum, 50_000);
  return catalog.withConnection(async (connection) => {
    const name = rowsName(catalog, key);
    const counted = await connection.runAndReadAll(`SELECT count(*)::DOUBLE FROM ${name}`);
    const total = Number(counted.getRowsJS()[0]?.[0]);
    const read = await connection.runAndReadAll(
      `SELECT ${fetchable(fields)} FROM ${name} ORDER BY rowid LIMIT ${limit} OFFSET ${start}`,
    );
    const page: Row[] = [];
    let bytes = 0;
    for (const values of read.getRows()) {
      if (bytes >= pageBytes) break;
      const encoded = toRow(fields, values satisfies DuckDBValue[], timestamps);
      bytes += sizeOf(encoded);
      page.push(encoded);
    }
    const end = start + page.length;
    return { rows: page, total, next: end < total && page.length > 0 ? end : undefined };
  });
}

/** The fields that a request selects, by their top-level names. */
export function selectFields(fields: Field[], selected: string | null): Field[] {
  if (selected === null || selected === '') return fields;
  const names = selected.split(',').map((name) => name.split('.')[0]?.toLowerCase());
  return fields.filter((field) => names.includes(field.name.toLowerCase()));
}

function sizeOf(row: Row): number {
  return row.f.reduce(
    (sum, { v }) => sum + (typeof v === 'string' ? v.length : v === null ? 0 : JSON.stringify(v).length) + 8,
    0,
  );
}
