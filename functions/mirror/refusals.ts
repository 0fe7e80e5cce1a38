import type { Copy, Inside, Mapping, Refusal, SourceType } from './types.ts';

/** COPY expressions that put a refusal in front of each value which a typed load would accept and change. */

/** What an extension has beside its type, such as a function: no search path leads there. */
export const own = ({ schema }: SourceType, name: string): string => `"${schema.replaceAll('"', '""')}".${name}`;

/** A typed load rounds beyond 38 decimals, so such a value must not look like a number. NaN and infinities have no scale. */
export const exactNumeric: Copy = (c, refusal) =>
  `CASE WHEN scale(${c}) <= 38 THEN ${c}::text WHEN scale(trim_scale(${c})) <= 38 THEN trim_scale(${c})::text ` +
  `WHEN ${c} = 'NaN' THEN ${refusal('not-a-number')} || ${c}::text ` +
  `WHEN scale(${c}) IS NULL THEN ${refusal('infinite')} || ${c}::text ELSE ${refusal('too-precise')} || ${c}::text END`;

/** BigQuery's CSV has no arrays ("Arrays are not supported in CSV") and no records: both are one JSON value. */
export function document({ name, schema, kind, inside }: SourceType): Mapping {
  const toJson = kind === 'array' ? 'array_to_json' : 'to_json';
  if (inside?.ownJson) {
    // Element by element as text. What is in a composite cannot be reached so: it stays its text as a whole.
    return inside.composites || kind === 'composite'
      ? { bigquery: 'STRING' }
      : documentOf(kind, inside, (c) => `${toJson}(${c}::text[])`);
  }
  const isIntegers = schema === 'pg_catalog' && INTEGER_ARRAYS.has(name);
  return documentOf(kind, inside, (c) => `${toJson}(${c})`, isIntegers ? integerList : undefined);
}

const INTEGER_ARRAYS = new Set(['_int2', '_int4', '_int8']);

/**
 * A list of whole numbers as array_to_json writes it, which looks up anew for each array how its elements are written: of a COPY
 * of short ones that took a sixth.
 */
const integerList = (c: string): string => `'[' || array_to_string(${c}, ',', 'null') || ']'`;

function documentOf(
  kind: SourceType['kind'],
  inside: Inside | undefined,
  toJson: (c: string) => string,
  listToJson = (c: string): string => `${toJson(c)}::text`,
): Mapping {
  const hasBounds = (c: string): string[] => [
    ...(kind === 'array' ? [`${c}::text LIKE '[%=%'`] : []),
    // Deeper down, bounds stand somewhere in the text. A text that looks just like them is refused too, rather than guessed.
    ...(inside?.arrays ? [`${c}::text ~ '(\\[-?[0-9]+:-?[0-9]+\\])+=\\{'`] : []),
  ];
  const bounded = kind === 'array' || inside?.arrays === true;
  return {
    bigquery: 'JSON',
    refusals: [...(bounded ? (['array-bounds'] as const) : []), ...(inside?.json ? JSON_REFUSALS : [])],
    copy: (c, refusal, version) => {
      // Most arrays are lists, of which nothing is refused: they need not be written as text to find that out.
      const isList = `WHEN array_ndims(${c}) = 1 AND array_lower(${c}, 1) = 1 THEN ${listToJson(c)} `;
      const list = kind === 'array' && !inside?.arrays && !inside?.json ? isList : '';
      // JSON has no lower bounds other than 1, and with them the subscripts that the source's queries use would be lost.
      const bounds = bounded ? `WHEN ${hasBounds(c).join(' OR ')} THEN ${refusal('array-bounds')} || ${c}::text ` : '';
      const keys = inside?.json ? wrongJson(toJson(c), c, refusal, version) : '';
      return bounds || keys ? `CASE ${list}${bounds}${keys}ELSE ${toJson(c)}::text END` : toJson(c);
    },
  };
}

export const uniqueKeys: Copy = (c, refusal, version) => `CASE ${wrongJson(c, c, refusal, version)}ELSE ${c}::text END`;

export const JSON_REFUSALS = ['unparseable', 'duplicate-key'] as const;

/** `json` (unlike jsonb) takes half a surrogate pair, which is no Unicode text, and a key twice. */
function wrongJson(json: string, c: string, refusal: Refusal, version: number): string {
  return (
    `WHEN ${hasHalfPair(`${json}::text`)} THEN ${refusal('unparseable')} || ${c}::text ` +
    `WHEN ${hasKeyTwice(json, version)} THEN ${refusal('duplicate-key')} || ${c}::text `
  );
}

/**
 * An escape of half a pair stands alone, once escaped backslashes and whole pairs are gone. Few texts have any such escape: the
 * regular expressions take three times what everything else about a value does.
 */
const hasHalfPair = (text: string): string =>
  `${text} LIKE '%\\\\u%' AND ` +
  `regexp_replace(replace(${text}, '\\\\', ''), '\\\\u[dD][89aAbB]..\\\\u[dD][c-fC-F]..', '', 'g') ~ '\\\\u[dD][89a-fA-F]'`;

/**
 * BigQuery keeps the first of two equal keys, silently. Before PostgreSQL 16, colons are counted against jsonb's, which has dropped
 * the duplicates, each with its colon, and writes as it is one that stood as an escape. Of U+0000 PostgreSQL cannot say whether keys
 * are unique, and jsonb, which would end the COPY, can hold neither it nor numbers beyond numeric: both are judged by other values
 * in their place.
 */
function hasKeyTwice(json: string, serverVersion: number): string {
  const text = `replace(${json}::text, '\\u0000', '\\u0001')`;
  if (serverVersion >= 160000) return `NOT (${text} IS JSON WITH UNIQUE KEYS)`;
  const smaller = `regexp_replace(${text}, '([0-9])[eE][-+]?[0-9]{4,}', '\\1', 'g')`;
  // Behind an escaped backslash u003a is no escape.
  const colons = `replace(replace(replace(${json}::text, '\\\\', ''), '\\u003a', ':'), '\\u003A', ':')`;
  const count = (of: string): string => `cardinality(string_to_array(${of}, ':'))`;
  return `${count(colons)} <> ${count(`${smaller}::jsonb::text`)}`;
}
