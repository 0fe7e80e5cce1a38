import { z } from 'zod';
import { log } from '../cloud/log.ts';
import { tableText } from '../mirror/table-pattern.ts';
import type { TablePlan } from '../mirror/plan.ts';

/** The log's words for it, by which the local stack finds these lines. */
export const PROGRESS_MESSAGE = 'Exporting';

const SHORTEST_MS = 500;
const LONGEST_MS = 30_000;

/** Seconds and bytes as they are; `secondsLeft` is null while it is too early to tell. */
export const ReportSchema = z.object({
  rows: z.number(),
  bytes: z.number(),
  tables: z.number(),
  tablesEnded: z.number(),
  seconds: z.number(),
  secondsLeft: z.number().nullable(),
  active: z.array(
    z.object({
      table: z.string(),
      rows: z.number(),
      /** PostgreSQL's, not above 0 where it has none. */
      estimatedRows: z.number(),
      bytes: z.number(),
      seconds: z.number(),
      secondsLeft: z.number().nullable(),
    }),
  ),
});
export type Report = z.infer<typeof ReportSchema>;

// The table whose block comes just now is not what the line is about.
const logReport = (report: Report): void =>
  log.info(PROGRESS_MESSAGE, { ...report, chunk: undefined, table: undefined });

type Counts = { rows: number; bytes: number };
/** A table as PostgreSQL estimates it. */
type Table = Pick<TablePlan, 'schema' | 'table' | 'estimatedRows' | 'estimatedBytes'>;
type TableState = { table: Table; startedAt: number; ranges: Map<number, Counts> };

/**
 * Tells the log how far the export is: every half second at first, then less often the longer it takes, at most twice a minute. It
 * goes by the blocks that arrive, without a timer; PostgreSQL's estimates are what the shares and the time left rest on.
 */
export class ExportProgress {
  readonly #tables: readonly Table[];
  readonly #states = new Map<Table, TableState>();
  readonly #ended = new Set<Table>();
  readonly #startedAt: number;
  readonly #now: () => number;
  readonly #tell: (report: Report) => void;
  #next: number;

  constructor(tables: readonly Table[], tell: (report: Report) => void = logReport, now: () => number = Date.now) {
    this.#tables = tables;
    this.#tell = tell;
    this.#now = now;
    this.#startedAt = now();
    this.#next = this.#startedAt + SHORTEST_MS;
  }

  /** Where a range's rows and bytes are counted; one that starts again counts from nothing. */
  range(table: Table, index: number): (rows: number, bytes: number) => void {
    const state = this.#states.get(table) ?? { table, startedAt: this.#now(), ranges: new Map<number, Counts>() };
    this.#states.set(table, state);
    const counts = { rows: 0, bytes: 0 };
    state.ranges.set(index, counts);
    return (rows, bytes) => {
      counts.rows += rows;
      counts.bytes += bytes;
      const now = this.#now();
      if (now < this.#next) return;
      this.#next = now + Math.min(Math.max((now - this.#startedAt) / 10, SHORTEST_MS), LONGEST_MS);
      this.#tell(this.#report(now));
    };
  }

  ended(table: Table): void {
    this.#ended.add(table);
  }

  #report(now: number): Report {
    const states = [...this.#states.values()].map((state) => ({ ...state, ...total([...state.ranges.values()]) }));
    const share = this.#share(states);
    const elapsed = (now - this.#startedAt) / 1000;
    return {
      ...total(states),
      tables: this.#tables.length,
      tablesEnded: this.#ended.size,
      seconds: elapsed,
      secondsLeft: secondsLeft(elapsed, share),
      active: states
        .filter(({ table }) => !this.#ended.has(table))
        .map(({ table, startedAt, rows, bytes }) => {
          const seconds = (now - startedAt) / 1000;
          const left = secondsLeft(seconds, shareOf(table, rows, bytes));
          return {
            table: tableText(table),
            rows,
            estimatedRows: table.estimatedRows,
            bytes,
            seconds,
            secondsLeft: left,
          };
        }),
    };
  }

  /** Of the whole export, by the tables' sizes in the database. */
  #share(states: readonly (Counts & { table: Table })[]): number {
    const weight = (table: Table): number => Math.max(table.estimatedBytes, 1);
    const whole = this.#tables.reduce((sum, table) => sum + weight(table), 0);
    const done = states.reduce((sum, { table, rows, bytes }) => {
      return sum + weight(table) * (this.#ended.has(table) ? 1 : shareOf(table, rows, bytes));
    }, 0);
    return done / whole;
  }
}

function total(counts: readonly Counts[]): Counts {
  return counts.reduce((sum, { rows, bytes }) => ({ rows: sum.rows + rows, bytes: sum.bytes + bytes }), {
    rows: 0,
    bytes: 0,
  });
}

/** An estimate never says that a table is at its end: only the end does. */
const MOST = 0.99;

function shareOf(table: Table, rows: number, bytes: number): number {
  if (table.estimatedRows > 0) return Math.min(rows / table.estimatedRows, MOST);
  return table.estimatedBytes > 0 ? Math.min(bytes / table.estimatedBytes, MOST) : 0;
}

/** Null while it is too early to tell. */
function secondsLeft(elapsed: number, share: number): number | null {
  return share < 0.02 ? null : Math.round((elapsed * (1 - share)) / share);
}
