import * as z from 'zod';
import { ApiError, notImplemented } from '../http.ts';
import { duckType, type Field, type FieldType } from './sql/types.ts';

/** TableFieldSchema of the REST API, as clients send it. */
export type ApiField = {
  name: string;
  type: string;
  mode?: string | undefined;
  fields?: ApiField[] | undefined;
  description?: string | undefined;
  precision?: string | undefined;
  scale?: string | undefined;
};

const decimalDigits = z.union([z.string(), z.number()]).transform(String).optional();

const apiField: z.ZodType<ApiField> = z.lazy(() =>
  z
    .looseObject({
      name: z.string(),
      type: z.string(),
      mode: z.string().optional(),
      fields: z.array(apiField).optional(),
      description: z.string().optional(),
      precision: decimalDigits,
      scale: decimalDigits,
    })
    .superRefine((field) => {
      // What would change how values are stored or read must not be dropped in silence.
      for (const option of ['maxLength', 'defaultValueExpression', 'policyTags', 'collation', 'rangeElementType']) {
        if (field[option] !== undefined) throw notImplemented('BigQuery', `a column's ${option}`);
      }
      if (field['roundingMode'] !== undefined && field['roundingMode'] !== 'ROUND_HALF_AWAY_FROM_ZERO') {
        throw notImplemented(
          'BigQuery',
          `a column's roundingMode other than ROUND_HALF_AWAY_FROM_ZERO (column ${field.name})`,
        );
      }
    }),
);

export const apiSchema = z.looseObject({ fields: z.array(apiField).default([]) });

/** The REST API answers with the names of old; it takes both. */
const typeNames: Record<string, FieldType> = {
  STRING: 'STRING',
  BYTES: 'BYTES',
  INTEGER: 'INT64',
  INT64: 'INT64',
  FLOAT: 'FLOAT64',
  FLOAT64: 'FLOAT64',
  BOOLEAN: 'BOOL',
  BOOL: 'BOOL',
  NUMERIC: 'NUMERIC',
  BIGNUMERIC: 'BIGNUMERIC',
  TIMESTAMP: 'TIMESTAMP',
  DATE: 'DATE',
  TIME: 'TIME',
  DATETIME: 'DATETIME',
  JSON: 'JSON',
  GEOGRAPHY: 'GEOGRAPHY',
  INTERVAL: 'INTERVAL',
  RECORD: 'STRUCT',
  STRUCT: 'STRUCT',
};
const legacyNames: Partial<Record<FieldType, string>> = {
  INT64: 'INTEGER',
  FLOAT64: 'FLOAT',
  BOOL: 'BOOLEAN',
  STRUCT: 'RECORD',
};

/**
 * BigQuery's fields of a schema in a request.
 * @throws ApiError 400 `invalid` in BigQuery's words for names and types that it refuses, 501 for types that have no counterpart here
 */
export function parseSchema(schema: z.infer<typeof apiSchema>): Field[] {
  const fields = parseFields(schema.fields);
  // BigQuery: "a table can have up to 10,000 columns".
  if (fields.length > 10_000) throw invalid(`Too many columns: ${fields.length}. The limit is 10000.`);
  for (const field of fields) duckType(field);
  return fields;
}

function parseFields(fields: ApiField[]): Field[] {
  const seen = new Set<string>();
  return fields.map((field) => {
    checkName(field.name);
    // BigQuery: "duplicate column names are not allowed even if the case differs".
    const key = field.name.toLowerCase();
    if (seen.has(key)) {
      throw invalid(`Duplicate field name: ${field.name}. Field names are case insensitive within the same schema.`);
    }
    seen.add(key);
    const type = typeNames[field.type.toUpperCase()];
    if (type === undefined) {
      throw invalid(`Invalid value for type: ${field.type} is not a valid value`);
    }
    const mode = field.mode?.toUpperCase() ?? 'NULLABLE';
    if (mode !== 'NULLABLE' && mode !== 'REQUIRED' && mode !== 'REPEATED') {
      throw invalid(`Invalid value for mode: ${field.mode} is not a valid value`);
    }
    if (type === 'STRUCT' && (field.fields ?? []).length === 0) {
      throw invalid(`Field ${field.name} is type RECORD but has no schema`);
    }
    return {
      name: field.name,
      type,
      mode,
      ...(field.fields !== undefined && type === 'STRUCT' ? { fields: parseFields(field.fields) } : {}),
      ...(field.description !== undefined ? { description: field.description } : {}),
      ...(field.precision !== undefined ? { precision: Number(field.precision) } : {}),
      ...(field.scale !== undefined ? { scale: Number(field.scale) } : {}),
    };
  });
}

// BigQuery's "flexible column names": letters, marks, numbers, and these; not "! " $ ( ) * , . / ; ? @ [ \ ] ^ ` { } ~".
const namePattern = /^[\p{L}\p{M}\p{N}\p{Pc}\p{Pd}&%=+:'<>#| \t]+$/u;
const reservedPrefixes = [
  '_TABLE_',
  '_FILE_',
  '_PARTITION',
  '_ROW_TIMESTAMP',
  '__ROOT__',
  '_COLIDENTIFIER',
  '_CHANGE_SEQUENCE_NUMBER',
  '_CHANGE_TYPE',
  '_CHANGE_TIMESTAMP',
];

function checkName(name: string): void {
  // BigQuery: "a column name ... can't be more than 300 characters long".
  if (name.length === 0 || name.length > 300 || !namePattern.test(name)) {
    throw invalid(
      `Invalid field name "${name}". Fields must contain the allowed characters, and be at most 300 characters long. ` +
        'For allowed characters, please refer to https://cloud.google.com/bigquery/docs/schemas#column_names',
    );
  }
  const prefix = reservedPrefixes.find((each) => name.toUpperCase().startsWith(each));
  if (prefix !== undefined) {
    throw invalid(
      `Invalid field name "${name}". Field names are not allowed to start with the (case-insensitive) prefixes ${reservedPrefixes.join(', ')}`,
    );
  }
}

/** Fields in the form that the REST API answers with. */
export function toApiSchema(fields: Field[]): { fields: ApiField[] } {
  return {
    fields: fields.map((field) => ({
      name: field.name,
      type: legacyNames[field.type] ?? field.type,
      mode: field.mode,
      ...(field.fields !== undefined ? toApiSchema(field.fields) : {}),
      ...(field.description !== undefined ? { description: field.description } : {}),
      ...(field.precision !== undefined ? { precision: String(field.precision) } : {}),
      ...(field.scale !== undefined ? { scale: String(field.scale) } : {}),
    })),
  };
}

/**
 * What a patched schema adds and relaxes.
 * @throws ApiError 400 `invalid` where it drops a column, changes a type, or makes a mode stricter
 */
export function schemaChanges(table: string, before: Field[], after: Field[]): { added: Field[]; relaxed: Field[] } {
  const mismatch = (why: string): ApiError => invalid(`Provided Schema does not match Table ${table}. ${why}`);
  const relaxed: Field[] = [];
  for (const old of before) {
    const field = after.find((each) => each.name.toLowerCase() === old.name.toLowerCase());
    if (field === undefined) throw mismatch(`Field ${old.name} is missing in new schema`);
    if (
      duckType(field) !== duckType({ ...old, mode: field.mode === 'REPEATED' ? 'REPEATED' : 'NULLABLE' }) ||
      (old.mode === 'REPEATED') !== (field.mode === 'REPEATED')
    ) {
      if (field.mode !== old.mode && field.type === old.type)
        throw mismatch(`Field ${old.name} has changed mode from ${old.mode} to ${field.mode}`);
      throw mismatch(
        `Field ${old.name} has changed type from ${legacyNames[old.type] ?? old.type} to ${legacyNames[field.type] ?? field.type}`,
      );
    }
    if (field.mode !== old.mode) {
      if (field.mode !== 'NULLABLE')
        throw mismatch(`Field ${old.name} has changed mode from ${old.mode} to ${field.mode}`);
      relaxed.push(old);
    }
  }
  const added = after.filter((field) => !before.some((old) => old.name.toLowerCase() === field.name.toLowerCase()));
  const required = added.find((field) => field.mode === 'REQUIRED');
  if (required !== undefined)
    throw mismatch(`Cannot add required fields to an existing schema. (field: ${required.name})`);
  return { added, relaxed };
}

function invalid(message: string): ApiError {
  return new ApiError(400, 'invalid', message);
}
