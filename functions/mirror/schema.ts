import type { ColumnPlan } from './plan.ts';

/** BigQuery's own form of a schema, as load jobs, tables and `bq load --schema` take it. */
export type Field = {
  name: string;
  type: string;
  mode: 'NULLABLE' | 'REQUIRED' | 'REPEATED';
  description?: string;
  fields?: Field[];
};

export function fieldsOf(columns: readonly ColumnPlan[]): Field[] {
  return columns.map(({ name, bigquery, required, description }) => ({
    name,
    type: bigquery,
    mode: required ? 'REQUIRED' : 'NULLABLE',
    ...(description && { description }),
  }));
}

/** All columns as text, for the split: nothing is refused there. */
export function stagingFields(columns: readonly ColumnPlan[]): Field[] {
  return columns.map(({ name }) => ({ name, type: 'STRING', mode: 'NULLABLE' }));
}

const text = (name: string, description: string): Field => ({ name, type: 'STRING', mode: 'NULLABLE', description });

/** The errors table: one row per source row that BigQuery cannot hold. It holds patients' data. */
export const ERROR_FIELDS: Field[] = [
  { ...text('run_id', 'The run that met the row'), mode: 'REQUIRED' },
  text('source_schema', 'Schema of the source table'),
  text('source_table', 'Source table'),
  text('part', 'The CSV object that the row was in, where known'),
  {
    name: 'failures',
    type: 'RECORD',
    mode: 'REPEATED',
    description: 'Every column of the row that failed',
    fields: [
      text('column_name', 'Column in BigQuery'),
      text('postgres_type', 'Its type in PostgreSQL'),
      text('bigquery_type', 'Its type in BigQuery'),
      text('reason', 'Class of the reason, such as not-a-number'),
      text('detail', 'What BigQuery allows'),
    ],
  },
  {
    name: 'raw_row',
    type: 'RECORD',
    mode: 'REPEATED',
    description: 'Every column of the row, as text, as PostgreSQL wrote it',
    fields: [text('name', 'Column in BigQuery'), text('value', 'Its text; NULL for NULL')],
  },
];

/** Coverage per run: one row per table, and one with no table for the total. */
export const SLI_FIELDS: Field[] = [
  { ...text('run_id', 'The run'), mode: 'REQUIRED' },
  text('shard', 'The date that the run is for'),
  text('source_schema', 'Schema of the table; NULL in the total'),
  text('source_table', 'The table; NULL in the total'),
  { name: 'loaded', type: 'INT64', mode: 'NULLABLE', description: 'Rows loaded' },
  { name: 'errors', type: 'INT64', mode: 'NULLABLE', description: 'Rows in the errors table' },
  {
    name: 'coverage',
    type: 'FLOAT64',
    mode: 'NULLABLE',
    description: 'loaded / (loaded + errors); 1 for an empty table',
  },
  { name: 'measured_at', type: 'TIMESTAMP', mode: 'NULLABLE', description: 'When the last chunk was loaded' },
];
