import { styleText } from 'node:util';
import type { Report } from './report.ts';
import { count, size } from './run-view.ts';
import { textTable } from './text-table.ts';

/** Where a person finds what the run has made. */
export type Places = {
  page: string;
  /** The stand-in's file; another BigQuery has none. */
  warehouse: string | undefined;
  logs: string;
  bigquery: string;
  storage: string;
  pubsub: string;
};

/** What is told of a run at its end: how it ended and why, rows by chunk, bad rows by table, time by step, where all of it is. */
export function closingText(report: Report, places: Places): string {
  const { runId, shard, state, reason, tables } = report;
  const published = state === 'published';
  const headline = `Run ${runId}: ${state}${published ? `, shard ${shard}` : ''}`;
  return [
    published ? styleText('green', headline) : styleText('red', headline),
    ...(published ? [] : [styleText('red', reason)]),
    '',
    ...(tables.length > 0 ? [chunkTable(report), ...errorLines(report)] : []),
    ...warningLines(report),
    timeLine(report),
    ...placeLines(places),
  ].join('\n');
}

function placeLines({ page, warehouse, logs, bigquery, storage, pubsub }: Places): string[] {
  const file = warehouse === undefined ? '' : `   Warehouse ${warehouse}`;
  const services =
    bigquery === storage ? `BigQuery, Cloud Storage ${bigquery}` : `BigQuery ${bigquery}   Cloud Storage ${storage}`;
  return [`Page ${page}${file}   Logs ${logs}`, `${services}   Pub/Sub ${pubsub}`];
}

function chunkTable({ tables, coverage }: Report): string {
  const chunks = [...new Set(tables.map(({ chunk }) => chunk))];
  const rows = chunks.map((chunk) =>
    rowOf(
      chunk,
      tables.filter((table) => table.chunk === chunk),
    ),
  );
  const total = rowOf('total', tables, coverage);
  const numbers = ['tables', 'exported', 'loaded', 'errors', 'coverage', 'CSV'];
  return textTable(['chunk', ...numbers], [...rows, total], numbers);
}

function rowOf(name: string, tables: Report['tables'], told?: number | null): string[] {
  const sum = (of: (table: Report['tables'][number]) => number): number =>
    tables.reduce((all, table) => all + of(table), 0);
  const [exported, loaded, errors] = [sum((t) => t.exported), sum((t) => t.loaded), sum((t) => t.errors)];
  const coverage = told ?? (loaded + errors === 0 ? 1 : loaded / (loaded + errors));
  return [
    name,
    count(tables.length),
    count(exported),
    count(loaded),
    count(errors),
    coverage.toFixed(6),
    size(sum((t) => t.bytes)),
  ];
}

const MOST_TABLES = 10;

function errorLines({ tables, shard }: Report): string[] {
  const bad = tables.filter(({ errors }) => errors > 0).toSorted((a, b) => b.errors - a.errors);
  if (bad.length === 0) return [];
  const named = bad.slice(0, MOST_TABLES).map(({ schema, table, errors }) => `${schema}.${table} ${count(errors)}`);
  const more = bad.length - named.length;
  return [`In commons_mirror_errors_${shard}: ${named.join(', ')}${more > 0 ? ` and ${more} more tables` : ''}`];
}

const MOST_WARNINGS = 5;

function warningLines({ warnings }: Report): string[] {
  const more = warnings.length - MOST_WARNINGS;
  return [
    ...warnings.slice(0, MOST_WARNINGS).map((text) => styleText('yellow', `Warning: ${text}`)),
    ...(more > 0 ? [styleText('yellow', `and ${more} more warnings: commons-mirror plan lists them`)] : []),
  ];
}

function timeLine({ seconds }: Report): string {
  const parts = Object.entries(seconds).map(
    ([step, value]) => `${step} ${value === null ? '–' : `${value.toFixed(1)} s`}`,
  );
  return `Time  ${parts.join(', ')}`;
}

/** Commands to go on with, while the stack serves; a failure names its own next action. */
export function nextCommands({ runId, state, shard, views: [view] }: Report, dataDirectory: string): string[] {
  const data = dataDirectory === '.mirror' ? '' : ` --data ${dataDirectory}`;
  const errors = `SELECT source_table, COUNT(*) AS errors FROM commons_mirror_errors_${shard} GROUP BY source_table`;
  return [
    `npx commons-mirror status${data}`,
    ...(view ? [`npx commons-mirror query${data} 'SELECT * FROM \`${view.view}\` LIMIT 5'`] : []),
    ...(view ? [`npx commons-mirror query${data} '${errors}'`] : []),
    ...(state === 'blocked' ? [`npx commons-mirror publish${data} ${runId} --accept-coverage`] : []),
  ];
}
