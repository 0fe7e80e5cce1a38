import { tableName, type Catalog, type TableKey } from './catalog.ts';
import type { Statement } from './sql/translate.ts';
import type { Done } from './statements.ts';

export function queryStatistics(bytes: number, type: string, done: Done[]): Record<string, unknown> {
  const only = done.length === 1 ? done[0] : undefined;
  return {
    totalBytesProcessed: String(bytes),
    query: {
      statementType: type,
      totalBytesProcessed: String(bytes),
      totalBytesBilled: String(bytes),
      cacheHit: false,
      ...(type === 'SCRIPT' || only === undefined ? {} : only),
    },
  };
}

/** All columns of all tables below a query; BigQuery counts only the columns that it reads. */
export function bytesRead(catalog: Catalog, statements: Statement[]): number {
  const seen = new Map<string, TableKey>();
  const visit = (key: TableKey): void => {
    const table = catalog.findTable(key);
    if (table === undefined || seen.has(tableName(key))) return;
    seen.set(tableName(key), key);
    for (const reference of table.view?.references ?? []) visit(reference);
  };
  for (const statement of statements) if ('reads' in statement) for (const key of statement.reads) visit(key);
  return [...seen.values()].reduce((sum, key) => sum + (catalog.findTable(key)?.size?.bytes ?? 0), 0);
}
