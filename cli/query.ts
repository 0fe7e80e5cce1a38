import type { Rows } from '../functions/cloud/query.ts';
import { textTable } from '../local/text-table.ts';
import { parseArguments, type Options } from './arguments.ts';
import { chooseTarget, targetOptions } from './target.ts';

const FORMATS = ['table', 'csv', 'json'] as const;

const options = {
  ...targetOptions,
  format: {
    type: 'string',
    value: 'FORMAT',
    meaning: `One of ${FORMATS.join(', ')} (default table)`,
    takes: { what: `one of ${FORMATS.join(', ')}`, has: (text: string) => FORMATS.some((each) => each === text) },
  },
} as const satisfies Options;

export const command = {
  summary: 'Asks the warehouse: GoogleSQL, in which tables of the dataset need no dataset before their names.',
  positionals: ['SQL'],
  options,
  run: async (args: string[]): Promise<number> => {
    const { values, positionals } = parseArguments('query', args, options, ['SQL']);
    const format = FORMATS.find((each) => each === values.format) ?? 'table';
    const dataset = await chooseTarget(values);
    const { queryRows } = await import('../functions/cloud/query.ts');
    let rows: Rows;
    try {
      rows = await queryRows(positionals[0] ?? '', dataset);
    } catch (error) {
      // The person's own query against their own rows: BigQuery's text is for them.
      console.error(`BigQuery: ${error instanceof Error ? error.message : String(error)}`);
      return 1;
    }
    process.stdout.write({ table: asTable, csv: asCsv, json: asJson }[format](rows));
    return 0;
  },
};

function asJson({ columns, rows }: Rows): string {
  const objects = rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i] ?? null])));
  return `${JSON.stringify(objects, null, 2)}\n`;
}

/** NULL is nothing between two commas, an empty text `""`. */
function asCsv({ columns, rows }: Rows): string {
  const field = (value: unknown): string =>
    value === null || value === undefined ? '' : `"${text(value).replaceAll('"', '""')}"`;
  return [columns, ...rows].map((row) => `${row.map(field).join(',')}\n`).join('');
}

const WIDEST = 60;

function asTable({ columns, rows }: Rows): string {
  const cells = rows.map((row) =>
    row.map((value) => shorten(value === null || value === undefined ? 'NULL' : text(value))),
  );
  return `${textTable(columns, cells)}(${rows.length} row${rows.length === 1 ? '' : 's'})\n`;
}

/** One line a row: line ends and control characters are shown, not sent to the terminal. */
function shorten(value: string): string {
  const visible = value.replaceAll(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1));
  return visible.length > WIDEST ? `${visible.slice(0, WIDEST - 1)}…` : visible;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
