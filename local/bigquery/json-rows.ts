import type { DuckDBConnection } from '@duckdb/node-api';
import * as z from 'zod';
import { notImplemented } from '../http.ts';
import { literal } from './csv-fast.ts';
import type { RowRules, Source } from './csv-rows.ts';
import { valueOf } from './csv-values.ts';
import type { JobError } from './jobs.ts';
import { quoteName, type Field } from './sql/types.ts';

/** Loads files of one JSON object a line, with the types' rules of CSV; nested and repeated columns are refused. */
export async function loadJson(
  connection: DuckDBConnection,
  target: string,
  sources: Source[],
  fields: Field[],
  rules: RowRules,
): Promise<{ badRecords: number; errors: JobError[] }> {
  const nested = fields.find((field) => field.mode === 'REPEATED' || field.type === 'STRUCT');
  if (nested !== undefined)
    throw notImplemented('BigQuery', `JSON load of nested or repeated columns (column ${nested.name})`);
  const errors: JobError[] = [];
  let badRecords = 0;
  for (const { uri, path } of sources) {
    const { count, examples } = await loadFile(connection, target, path, fields, rules);
    badRecords += count;
    errors.push(
      ...examples.slice(0, 5 - errors.length).map((message) => ({ reason: 'invalid', location: uri, message })),
    );
    if (badRecords > rules.maxBadRecords) break;
  }
  return { badRecords, errors };
}

/** Whether it is an object, its first unknown key, its texts, which of them are bad, and how many bad rows there are. */
const badRows = z.array(
  z.tuple([z.boolean(), z.string().nullable(), z.array(z.string().nullable()), z.array(z.boolean()), z.number()]),
);

async function loadFile(
  connection: DuckDBConnection,
  target: string,
  path: string,
  fields: Field[],
  rules: RowRules,
): Promise<{ count: number; examples: string[] }> {
  const texts = fields.map((_, index) => quoteName(`text ${index}`));
  const names = `[${fields.map((field) => literal(field.name.toLowerCase())).join(', ')}]`;
  // Line by line, each a value of one column that no quote or delimiter divides.
  const lines =
    `read_csv([${literal(path)}], auto_detect = false, header = false, columns = {'line': 'VARCHAR'}, delim = chr(1), quote = '', ` +
    `escape = '', parallel = false, max_line_size = 104857600, buffer_size = 209715200, new_line = '\\n', nullstr = chr(2))`;
  // BigQuery matches keys to columns in any case.
  const found = `SELECT line, json_valid(line) AND json_type(line) = 'OBJECT' AS whole, CASE WHEN whole THEN json_keys(line) ELSE [] END AS keys FROM ${lines} WHERE trim(line) <> ''`;
  const key = (field: Field): string =>
    `list_filter(keys, lambda each: lower(each) = ${literal(field.name.toLowerCase())})[1]`;
  const member = (field: Field): string =>
    `json_extract(line, '/' || replace(replace(${key(field)}, '~', '~0'), '/', '~1'))`;
  const text = (field: Field): string => {
    const value = member(field);
    const plain = field.type === 'JSON' ? `${value}::VARCHAR` : `json_extract_string(${value}, '$')`;
    return `CASE WHEN ${value} IS NULL OR json_type(${value}) = 'NULL' THEN NULL ELSE ${plain} END`;
  };
  const values = fields.map(
    (field, index) =>
      `${valueOf(field, texts[index] ?? '', { ...rules, quotedNewlines: true }, 'NULL')} AS "value ${index}"`,
  );
  const isBad = fields.map(
    (field, index) =>
      `("value ${index}" IS NULL${field.mode === 'REQUIRED' ? '' : ` AND ${texts[index] ?? ''} IS NOT NULL`})`,
  );
  const unknown = rules.ignoreUnknownValues
    ? 'NULL'
    : `list_filter(keys, lambda each: NOT list_contains(${names}, lower(each)))[1]`;
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE slice AS SELECT *, list_contains([NOT whole, unknown IS NOT NULL, ${isBad.join(', ')}], TRUE) AS bad FROM (` +
      `SELECT *, ${values.join(', ')} FROM (SELECT *, ${unknown} AS unknown, ${fields.map((field, index) => `${text(field)} AS ${texts[index] ?? ''}`).join(', ')} FROM (${found})))`,
  );
  await connection.run(
    `INSERT INTO ${target} SELECT ${fields.map((_, index) => `"value ${index}"`).join(', ')} FROM slice WHERE NOT bad`,
  );
  const bad = await connection.runAndReadAll(
    `SELECT whole, unknown, [${texts.join(', ')}], [${isBad.join(', ')}], count(*) OVER ()::DOUBLE FROM slice WHERE bad LIMIT 5`,
  );
  const rows = badRows.parse(bad.getRowsJS());
  const examples = rows.flatMap(([whole, unknownKey, cells, flags]) => {
    const start = 'Error while reading data, error message: JSON processing encountered too many errors, giving up. ';
    if (!whole) return [`${start}Parser terminated before end of string`];
    if (unknownKey !== null) return [`${start}No such field: ${unknownKey}.`];
    return fields.flatMap((field, index) => {
      if (flags[index] !== true) return [];
      const value = cells[index] ?? null;
      return [
        value === null
          ? `${start}Missing required field: ${field.name}.`
          : `${start}Could not convert value to ${field.type}. Field: ${field.name}; Value: ${value}`,
      ];
    });
  });
  return { count: rows[0]?.[4] ?? 0, examples };
}
