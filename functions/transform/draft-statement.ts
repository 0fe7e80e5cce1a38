import type { TablePlan } from '../mirror/plan.ts';
import { fieldsOf, type Field } from '../mirror/schema.ts';
import { column, createTableAs, table as tableName } from '../mirror/sql.ts';
import { draftFunctionSql } from './udf.ts';

/** The statement that makes a twin: every column as it is, and `<column>_<format>` for each format that is asked for. */
export function draftStatement(
  project: string,
  dataset: string,
  source: string,
  target: string,
  table: TablePlan,
  formats: Record<string, readonly string[]>,
  kmsKeyName: string | undefined,
): string {
  const outputs = table.columns.flatMap((plan) =>
    (formats[plan.source] ?? []).map((format) => ({ plan, format, name: `${plan.name}_${format}` })),
  );
  const fields: Field[] = [
    ...fieldsOf(table.columns),
    ...outputs.map(({ plan, format, name }): Field => {
      return { name, type: 'STRING', mode: 'NULLABLE', description: `${plan.name}, Draft.js content as ${format}` };
    }),
  ];
  const selected = [
    ...table.columns.map(({ name }) => column(name)),
    ...outputs.map(({ plan, format, name }) => {
      // Of a missing value TO_JSON_STRING makes the text null, which would read as content.
      const raw = plan.bigquery === 'JSON' ? `NULLIF(TO_JSON_STRING(${column(plan.name)}), 'null')` : column(plan.name);
      return `draft(${raw}, '${format}') AS ${column(name)}`;
    }),
  ];
  const query = `SELECT ${selected.join(', ')}\nFROM ${tableName(project, dataset, source)}`;
  return `${draftFunctionSql()}${createTableAs(tableName(project, dataset, target), fields, kmsKeyName, query)}`;
}
