import * as z from 'zod';
import { ApiError } from '../http.ts';
import { tableName, type Catalog, type TableKey } from './catalog.ts';
import type { Field } from './sql/types.ts';

/** Primary and foreign keys: kept and given back, never enforced, but checked as BigQuery's documentation has it. */

const columnReference = z.object({ referencedColumn: z.string(), referencingColumn: z.string() });

export const tableConstraints = z.object({
  primaryKey: z.object({ columns: z.array(z.string()) }).optional(),
  foreignKeys: z
    .array(
      z.object({
        name: z.string().optional(),
        referencedTable: z.object({ projectId: z.string(), datasetId: z.string(), tableId: z.string() }),
        columnReferences: z.array(columnReference).min(1),
      }),
    )
    .optional(),
});

/** "Primary keys and foreign keys must be of one of the following types", at the top level. */
const KEY_TYPES = ['BIGNUMERIC', 'BOOL', 'DATE', 'DATETIME', 'INT64', 'NUMERIC', 'STRING', 'TIMESTAMP'];

/** @throws ApiError 400 where the table cannot have such keys */
export function checkConstraints(catalog: Catalog, key: TableKey, constraints: unknown, fields: Field[]): void {
  const { primaryKey, foreignKeys = [] } = tableConstraints.nullish().parse(constraints) ?? {};
  const own = tableName(key);
  if (primaryKey) {
    const { columns } = primaryKey;
    if (columns.length === 0 || columns.length > 16) refuse(own, 'a primary key has 1 to 16 columns');
    if (new Set(columns.map(fold)).size < columns.length) refuse(own, 'a primary key has each column once');
    for (const column of columns) keyField(own, fields, column);
  }
  if (foreignKeys.length > 64) refuse(own, 'a table has up to 64 foreign keys');
  for (const { referencedTable, columnReferences } of foreignKeys) {
    const { projectId: project, datasetId: dataset, tableId: table } = referencedTable;
    if (project !== key.project || dataset !== key.dataset) refuse(own, 'a foreign key stays within its dataset');
    if (table === key.table) refuse(own, 'a foreign key refers to another table');
    const target = catalog.getTable({ project, dataset, table });
    const held = tableConstraints.nullish().parse(target.metadata['tableConstraints'])?.primaryKey?.columns ?? [];
    const referenced = columnReferences.map(({ referencedColumn }) => fold(referencedColumn));
    if (held.map(fold).toSorted().join('\n') !== referenced.toSorted().join('\n')) {
      refuse(own, `a foreign key refers to the primary key of ${tableName({ project, dataset, table })}`);
    }
    for (const { referencingColumn, referencedColumn } of columnReferences) {
      const one = keyField(own, fields, referencingColumn);
      const other = keyField(own, target.fields, referencedColumn);
      if (one.type !== other.type) refuse(own, `${one.name} is ${one.type}, ${other.name} is ${other.type}`);
    }
  }
}

function keyField(own: string, fields: readonly Field[], column: string): Field {
  const field = fields.find(({ name }) => fold(name) === fold(column));
  if (!field) refuse(own, `the column ${column} is not found in the schema`);
  if (field.mode === 'REPEATED' || !KEY_TYPES.includes(field.type)) {
    refuse(own, `the column ${column} is ${field.mode} ${field.type}; allowed: ${KEY_TYPES.join(', ')}`);
  }
  return field;
}

function refuse(own: string, what: string): never {
  throw new ApiError(400, 'invalid', `Table constraints of ${own}: ${what}`);
}

const fold = (name: string): string => name.toLowerCase();
