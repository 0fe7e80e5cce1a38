import type { Field } from './schema.ts';

/** Pieces of GoogleSQL. */

/** A string literal: JSON's escapes are GoogleSQL's too. */
export const literal = (text: string): string => JSON.stringify(text);

/** A column's name; mapped names hold letters, marks, digits and underscores only. */
export const column = (name: string): string => `\`${name}\``;

/** A table's full name, back-quoted; ids hold no back quote. */
export const table = (project: string, dataset: string, id: string): string => `\`${project}.${dataset}.${id}\``;

/**
 * `CREATE OR REPLACE TABLE … AS query`, atomic, with the columns' modes and descriptions, which a query's destination
 * table would lose.
 */
export function createTableAs(
  target: string,
  fields: readonly Field[],
  kmsKeyName: string | undefined,
  query: string,
): string {
  const columns = fields.map(
    ({ name, type, mode, description }) =>
      `${column(name)} ${type}${mode === 'REQUIRED' ? ' NOT NULL' : ''}` +
      (description ? ` OPTIONS(description=${literal(description)})` : ''),
  );
  const options = kmsKeyName ? `\nOPTIONS(kms_key_name=${literal(kmsKeyName)})` : '';
  return `CREATE OR REPLACE TABLE ${target} (\n  ${columns.join(',\n  ')}\n)${options}\nAS ${query}`;
}
