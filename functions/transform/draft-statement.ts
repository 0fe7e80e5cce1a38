import type { TablePlan } from '../mirror/plan.ts';
import { fieldsOf, type Field } from '../mirror/schema.ts';
import { column, createTableAs, table as tableName } from '../mirror/sql.ts';
import { draftFunctionSql } from './udf.ts';

/** The same for every twin; made of ten files, whose types are stripped. */
let draftFunction: string | undefined;

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
  const converted = table.columns
    .map((plan) => ({ plan, wanted: formats[plan.source] ?? [] }))
    .filter(({ wanted }) => wanted.length > 0);
  const outputs = converted.flatMap(({ plan, wanted }, index) =>
    wanted.map((format, place) => ({ plan, format, name: `${plan.name}_${format}`, index, place })),
  );
  const fields: Field[] = [
    ...fieldsOf(table.columns),
    ...outputs.map(({ plan, format, name }): Field => {
      return { name, type: 'STRING', mode: 'NULLABLE', description: `${plan.name}, Draft.js content as ${format}` };
    }),
  ];
  const arrays = arrayNames(table, converted.length);
  const calls = converted.map(({ plan, wanted }, index) => {
    // Of a missing value TO_JSON_STRING makes the text null, which would read as content.
    const raw = plan.bigquery === 'JSON' ? `NULLIF(TO_JSON_STRING(${column(plan.name)}), 'null')` : column(plan.name);
    return `draft(${raw}, [${wanted.map((format) => `'${format}'`).join(', ')}]) AS ${arrays[index]}`;
  });
  const selected = [
    ...table.columns.map(({ name }) => column(name)),
    ...outputs.map(({ name, index, place }) => `${arrays[index]}[OFFSET(${place})] AS ${column(name)}`),
  ];
  const read = `(SELECT ${['*', ...calls].join(', ')}\nFROM ${tableName(project, dataset, source)})`;
  const query = `SELECT ${selected.join(', ')}\nFROM ${read}`;
  draftFunction ??= draftFunctionSql();
  return `${draftFunction}${createTableAs(tableName(project, dataset, target), fields, kmsKeyName, query)}`;
}

/** Names for the arrays of results, unlike any column of the table: `draft_0`, or with as many underscores as it takes. */
function arrayNames(table: TablePlan, count: number): string[] {
  let prefix = 'draft_';
  while (table.columns.some(({ name }) => name.toLowerCase().startsWith(prefix))) prefix += '_';
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}
