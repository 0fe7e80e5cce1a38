import { createObject } from '../cloud/storage.ts';
import { environment } from '../environment.ts';
import { dataPrefix, tablesOf, type ColumnPlan, type Plan } from '../mirror/plan.ts';
import { fieldsOf } from '../mirror/schema.ts';
import { bounded } from '../mirror/bounded.ts';

/** Beside the rows: `schema.json` per table, as `bq load` takes it, and one `schema.csv` of all columns. */
export async function writeSchemaFiles(plan: Plan): Promise<void> {
  const prefix = dataPrefix(plan.runId, plan.attempt);
  const write = (name: string, content: string, type: string): Promise<string> =>
    createObject(environment().DATA_BUCKET, `${prefix}${name}`, Buffer.from(content), type);
  await bounded(tablesOf(plan), 8, ({ warehouseTable, columns }) =>
    write(`${warehouseTable}/schema.json`, `${JSON.stringify(fieldsOf(columns), null, 2)}\n`, 'application/json'),
  );
  await write('schema.csv', schemaCsv(plan), 'text/csv');
}

const COLUMNS = [
  'schema',
  'table',
  'position',
  'column',
  'type',
  'nullable',
  'description',
  'warehouse_table',
  'warehouse_column',
  'warehouse_type',
];

function schemaCsv(plan: Plan): string {
  const lines = tablesOf(plan).flatMap(({ schema, table, warehouseTable, columns }) =>
    columns.map((column: ColumnPlan, i) => [
      schema,
      table,
      i + 1,
      column.source,
      column.postgresType,
      !column.required,
      column.description,
      warehouseTable,
      column.name,
      column.bigquery,
    ]),
  );
  return [COLUMNS, ...lines].map((line) => `${line.map(csvField).join(',')}\n`).join('');
}

const csvField = (value: string | number | boolean): string => `"${String(value).replaceAll('"', '""')}"`;
