import type { TableRef } from './parser.ts';
import type { Field } from './types.ts';

export type Statement =
  | { kind: 'select'; sql: string; reads: TableRef[] }
  | {
      kind: 'createTable';
      target: TableRef;
      orReplace: boolean;
      ifNotExists: boolean;
      fields?: Field[];
      options: Record<string, string | number>;
      /** The AS SELECT, for DuckDB; with `fields`, its columns have their names and types. */
      sql?: string;
      reads: TableRef[];
    }
  | {
      kind: 'createView';
      target: TableRef;
      orReplace: boolean;
      /** The query in BigQuery's SQL, as written. */
      query: string;
      sql: string;
      reads: TableRef[];
    }
  | { kind: 'drop'; object: 'table' | 'view'; target: TableRef; ifExists: boolean }
  | {
      kind: 'dml';
      verb: 'insert' | 'update' | 'delete' | 'truncate' | 'merge';
      target: TableRef;
      sql: string;
      reads: TableRef[];
    }
  | { kind: 'begin' }
  | { kind: 'commit' }
  | { kind: 'rollback' };
