import { BIGNUMERIC_FIELD, BIGNUMERIC_SCALE, duckType, GEOGRAPHY_FIELD, quoteName, type Field } from './types.ts';

/*
 * BIGNUMERIC and GEOGRAPHY at rest. A query computes with a STRUCT around the unscaled number, or around the geography's text; a
 * stored table, and what a view shows to plain DuckDB, has the text, for whoever opens the file without BigQuery's functions. All of
 * it is in DuckDB's own functions: a view's text has to work there, too.
 */

/** The DuckDB type of a column in a stored table. Throws 501 for a type that has no exact counterpart. */
export function storedType(field: Field): string {
  return duckType(stored(field));
}

function stored(field: Field): Field {
  if (isWrapped(field)) return { ...field, type: 'STRING' };
  return field.fields === undefined ? field : { ...field, fields: field.fields.map(stored) };
}

function isWrapped({ type }: Field): boolean {
  return type === 'BIGNUMERIC' || type === 'GEOGRAPHY';
}

/** Whether the column is stored in another form than a query computes with. */
function differs(field: Field): boolean {
  return isWrapped(field) || (field.fields ?? []).some(differs);
}

export function anyDiffers(fields: Field[]): boolean {
  return fields.some(differs);
}

/** A query's rows as a table stores them; `fields` are the query's columns. */
export function asStored(fields: Field[], sql: string): string {
  return anyDiffers(fields) ? `SELECT * ${replaced(fields, toStored)} FROM (${sql})` : sql;
}

/** A FROM item with a stored table's, or a view's, columns as a query computes with them; `name` is quoted with its schema. */
export function asComputed(fields: Field[], name: string): string {
  return anyDiffers(fields) ? `(SELECT * ${replaced(fields, fromStored)} FROM ${name})` : name;
}

/** The same with each row's id as `rowId`, by which UPDATE and DELETE find it again. */
export function withRowIds(fields: Field[], name: string): string {
  return `(SELECT rowid AS ${rowId}, * ${replaced(fields, fromStored)} FROM ${name})`;
}

/** A name that no BigQuery column can have. */
export const rowId = quoteName('$row');

type Conversion = (field: Field, value: string) => string;

function replaced(fields: Field[], convert: Conversion): string {
  const values = fields.filter(differs).map((field) => {
    const name = quoteName(field.name);
    return `${convert(field, name)} AS ${name}`;
  });
  return `REPLACE (${values.join(', ')})`;
}

/** A computed value of the field's type as it is stored. */
export function toStored(field: Field, value: string): string {
  return converted(field, value, scalarToText, 0);
}

function fromStored(field: Field, value: string): string {
  return converted(field, value, scalarFromText, 0);
}

const scalarToText: Conversion = ({ type }, value) =>
  type === 'GEOGRAPHY' ? geographyToText(value) : bignumericToText(value);

const scalarFromText: Conversion = ({ type }, value) =>
  type === 'GEOGRAPHY' ? geographyFromText(value) : bignumericFromText(value);

function converted(field: Field, value: string, scalar: Conversion, depth: number): string {
  if (!differs(field)) return value;
  if (field.mode === 'REPEATED') {
    const item = quoteName(`$item ${depth}`);
    const element: Field = { ...field, mode: 'NULLABLE' };
    return `list_transform(${value}, lambda ${item}: ${converted(element, item, scalar, depth + 1)})`;
  }
  if (isWrapped(field)) return scalar(field, value);
  const members = (field.fields ?? []).map((member) => {
    const name = quoteName(member.name);
    return `${name} := ${converted(member, `struct_extract(${value}, '${member.name.replaceAll("'", "''")}')`, scalar, depth + 1)}`;
  });
  return `CASE WHEN ${value} IS NOT NULL THEN struct_pack(${members.join(', ')}) END`;
}

/** A BIGNUMERIC as BigQuery writes it, in DuckDB's own functions: '100', '-12.5', '0.33'. */
export function bignumericToText(value: string): string {
  const unscaled = `struct_extract(${value}, '${BIGNUMERIC_FIELD}')::VARCHAR`;
  const shown = `ltrim(${unscaled}, '-')`;
  const digits = `lpad(${shown}, greatest(strlen(${shown}), ${BIGNUMERIC_SCALE + 1})::INTEGER, '0')`;
  const sign = `CASE WHEN starts_with(${unscaled}, '-') THEN '-' ELSE '' END`;
  const point = `left(${digits}, -${BIGNUMERIC_SCALE}) || '.' || right(${digits}, ${BIGNUMERIC_SCALE})`;
  return `CASE WHEN ${value} IS NOT NULL THEN ${sign} || rtrim(rtrim(${point}, '0'), '.') END`;
}

/** The BIGNUMERIC of a text that is stored: what is no number, somebody else has written, and it fails. */
function bignumericFromText(value: string): string {
  const fraction = `rpad(split_part(${value}, '.', 2), ${BIGNUMERIC_SCALE}, '0')`;
  const unscaled = `(split_part(${value}, '.', 1) || ${fraction})::BIGNUM`;
  return `CASE WHEN ${value} IS NOT NULL THEN struct_pack(${quoteName(BIGNUMERIC_FIELD)} := ${unscaled}) END`;
}

/** A geography's WKT. */
export function geographyToText(value: string): string {
  return `struct_extract(${value}, '${GEOGRAPHY_FIELD}')`;
}

function geographyFromText(value: string): string {
  return `CASE WHEN ${value} IS NOT NULL THEN struct_pack(${quoteName(GEOGRAPHY_FIELD)} := ${value}) END`;
}
