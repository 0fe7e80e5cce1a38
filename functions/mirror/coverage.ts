import type { Config } from './config.ts';
import { entryOf, tableText } from './table-pattern.ts';

/** Row counts of one loaded table. */
export type Counts = { loaded: number; errors: number };

/** Rows loaded / (rows loaded + error rows); an empty table has 1. */
export function coverage({ loaded, errors }: Counts): number {
  return loaded + errors === 0 ? 1 : loaded / (loaded + errors);
}

export function totalOf(counts: readonly Counts[]): Counts {
  let loaded = 0;
  let errors = 0;
  for (const count of counts) {
    loaded += count.loaded;
    errors += count.errors;
  }
  return { loaded, errors };
}

export type Shortfall = { what: string; coverage: number; threshold: number; errors: number };

/** Where coverage is below its threshold: a table's own threshold, or `coverage.perTable`; and the total's. */
export function shortfalls(
  tables: readonly (Counts & { schema: string; table: string })[],
  thresholds: Config['coverage'],
): Shortfall[] {
  const found = tables.flatMap((table) => {
    const threshold = entryOf(thresholds.tables, table) ?? thresholds.perTable;
    return below(`table ${tableText(table)}`, table, threshold);
  });
  return [...found, ...below('total', totalOf(tables), thresholds.total)];
}

function below(what: string, counts: Counts, threshold: number): Shortfall[] {
  const reached = coverage(counts);
  return reached < threshold ? [{ what, coverage: reached, threshold, errors: counts.errors }] : [];
}
