import * as z from 'zod';
import { ApiError, notImplemented } from '../http.ts';
import { changeTime, tableName, type Catalog, type Table, type TableKey } from './catalog.ts';
import { mergeMetadata } from './metadata.ts';
import { measure } from './duck-tables.ts';
import type { writeDisposition } from './job-request.ts';
import { schemaChanges } from './schema.ts';
import type { Field } from './sql/types.ts';
import { newTable } from './tables.ts';
import { duckName } from './views.ts';

/**
 * The destination of a job with its dispositions applied: the table as it will be, or a failure.
 * @throws ApiError notFound, duplicate or invalid, as BigQuery reports them
 */
export async function writeTarget(
  catalog: Catalog,
  key: TableKey,
  before: Table | undefined,
  write: z.infer<typeof writeDisposition>,
  {
    createDisposition,
    destinationEncryptionConfiguration: encryption,
  }: { createDisposition: string; destinationEncryptionConfiguration?: { kmsKeyName: string } | undefined },
  fields: Field[],
): Promise<Table> {
  const encrypted = encryption === undefined ? {} : { encryptionConfiguration: encryption };
  if (before === undefined) {
    if (createDisposition === 'CREATE_NEVER') throw new ApiError(404, 'notFound', `Not found: Table ${tableName(key)}`);
    const created = newTable(catalog, key, fields);
    return { ...created, metadata: mergeMetadata(created.metadata, encrypted) };
  }
  if (before.view !== undefined) {
    throw new ApiError(
      400,
      'invalid',
      `${tableName(key)} is not allowed for this operation because it is currently a VIEW.`,
    );
  }
  const table: Table = {
    ...before,
    modified: changeTime(before, catalog.now()),
    size: undefined,
    metadata: mergeMetadata(before.metadata, encrypted),
  };
  if (write === 'WRITE_TRUNCATE') {
    // The new table has the columns of the job, and keys no more.
    return { ...table, fields, metadata: mergeMetadata(table.metadata, { tableConstraints: null }) };
  }
  if (write === 'WRITE_EMPTY') {
    const { rows } = await catalog.withConnection((connection) => measure(connection, duckName(catalog, key), []));
    if (rows > 0) throw new ApiError(409, 'duplicate', `Already Exists: Table ${tableName(key)}`);
  }
  const { added, relaxed } = schemaChanges(tableName(key), before.fields, fields);
  const changed = added[0] ?? relaxed[0];
  if (changed !== undefined) {
    const why =
      added.length > 0
        ? `Cannot add fields (field: ${changed.name})`
        : `Field ${changed.name} has changed mode from ${changed.mode} to NULLABLE`;
    throw new ApiError(400, 'invalid', `Provided Schema does not match Table ${tableName(key)}. ${why}`);
  }
  // By position the job's columns rule, and the table keeps its own.
  const order = fields.map((field) => field.name.toLowerCase()).join('\n');
  if (order !== before.fields.map((field) => field.name.toLowerCase()).join('\n')) {
    throw notImplemented('BigQuery', 'appending with the columns in another order than the table has');
  }
  return table;
}
