import {
  ANY,
  BIGINT,
  BLOB,
  BOOLEAN,
  DOUBLE,
  DuckDBListValue,
  DuckDBStructValue,
  LIST,
  STRUCT,
  VARCHAR,
  type DuckDBType,
  type DuckDBValue,
} from '@duckdb/node-api';
import { geographyOfField, geographyOfWkt, NoGeography } from '../geography.ts';
import { anyJson } from './any-json.ts';
import { divideNumeric, multiplyNumeric, roundedFloat, roundedText } from './decimal.ts';
import { fingerprint64 } from './fingerprint.ts';
import { atPointer, canonicalJson, JsonError, parseJson, scalarText, writeJson, type Json } from './json.ts';
import type { Scalar } from './scalars.ts';
import { GEOGRAPHY_FIELD, InvalidQuery } from './types.ts';

/** A function of strings alone. */
function ofStrings(
  name: string,
  count: number,
  call: (...args: string[]) => DuckDBValue,
  returns: DuckDBType = VARCHAR,
): Scalar {
  return {
    name,
    parameters: Array.from({ length: count }, () => VARCHAR),
    returns,
    call: (...args) => call(...args.map(String)),
  };
}

/** BigQuery's functions on JSON in a STRING answer NULL where it is no JSON. */
function part(document: string, pointer: string): Json | undefined {
  try {
    return atPointer(parseJson(document), pointer);
  } catch (error) {
    if (error instanceof JsonError) return undefined;
    throw error;
  }
}

function canonicalOrNull(text: string, wideNumbers: 'exact' | 'round'): string | null {
  try {
    return canonicalJson(text, wideNumbers);
  } catch (error) {
    if (error instanceof JsonError) return null;
    throw error;
  }
}

function geographyOrNull(parse: (text: string) => string, text: string): string | null {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof NoGeography) return null;
    throw error;
  }
}

function geographyOfQuery(text: string): string {
  try {
    return geographyOfWkt(text);
  } catch (error) {
    if (error instanceof NoGeography) throw new InvalidQuery(`ST_GeogFromText failed: ${error.message}`);
    throw error;
  }
}

const GEOGRAPHY = STRUCT({ [GEOGRAPHY_FIELD]: VARCHAR });

const geographyValue = (text: string | null): DuckDBValue =>
  text === null ? null : new DuckDBStructValue({ [GEOGRAPHY_FIELD]: text });

function items(document: string, pointer: string): Json[] | null {
  const found = part(document, pointer);
  return found?.kind === 'array' ? found.items : null;
}

export const SCALAR_FUNCTIONS: Scalar[] = [
  {
    ...ofStrings('bq_fail', 1, (message) => {
      throw new InvalidQuery(message);
    }),
  },
  {
    name: 'bq_rounded',
    parameters: [VARCHAR, BIGINT],
    returns: VARCHAR,
    call: (text, scale) => roundedText(String(text), Number(scale)),
  },
  {
    name: 'bq_rounded_float',
    parameters: [DOUBLE, BIGINT],
    returns: VARCHAR,
    call: (value, scale) => roundedFloat(Number(value), Number(scale)),
  },
  ofStrings('bq_numeric_multiply', 2, multiplyNumeric),
  ofStrings('bq_numeric_divide', 2, divideNumeric),
  ofStrings('bq_comparable', 2, comparable, BOOLEAN),
  ofStrings('bq_zone', 1, zone),
  ofStrings('bq_unicode_upper', 1, (text) => text.toUpperCase()),
  ofStrings('bq_unicode_lower', 1, (text) => text.toLowerCase()),
  ofStrings('bq_reverse', 1, (text) => Array.from(text).toReversed().join('')),
  ofStrings('bq_characters', 1, (text) => new DuckDBListValue(Array.from(text)), LIST(VARCHAR)),
  {
    name: 'bq_fingerprint64',
    parameters: [BLOB],
    returns: BIGINT,
    call: (value) => fingerprint64(value),
  },
  ofStrings('bq_json_canonical', 2, (text, mode) => canonicalJson(text, mode === 'round' ? 'round' : 'exact')),
  ofStrings('bq_safe_json_canonical', 2, (text, mode) => canonicalOrNull(text, mode === 'round' ? 'round' : 'exact')),
  ofStrings('bq_json_scalar_at', 2, (text, pointer) => scalarText(part(text, pointer))),
  ofStrings('bq_json_part_at', 2, (text, pointer) => {
    const found = part(text, pointer);
    return found === undefined ? null : writeJson(found);
  }),
  ofStrings(
    'bq_json_parts_at',
    2,
    (text, pointer) => listOf(items(text, pointer), (item) => writeJson(item)),
    LIST(VARCHAR),
  ),
  ofStrings('bq_json_scalars_at', 2, (text, pointer) => listOf(items(text, pointer), scalarText), LIST(VARCHAR)),
  ofStrings('bq_json_kind', 1, (text) => parseJson(text).kind),
  ofStrings('bq_json_string_value', 1, (text) => valueOf(text, 'string')),
  ofStrings('bq_json_bool_value', 1, (text) => valueOf(text, 'boolean')),
  ofStrings('bq_json_number', 2, jsonNumber),
  ofStrings('bq_geography', 1, (text) => geographyValue(geographyOfQuery(text)), GEOGRAPHY),
  ofStrings('bq_safe_geography', 1, (text) => geographyValue(geographyOrNull(geographyOfWkt, text)), GEOGRAPHY),
  // For a stored table, which has the text.
  ofStrings('bq_loaded_geography', 1, (text) => geographyOrNull(geographyOfField, text)),
  {
    name: 'bq_any_json',
    parameters: [ANY],
    returns: VARCHAR,
    takesNulls: true,
    call: () => null,
    typed: anyJson,
  },
];

function listOf(found: Json[] | null, write: (item: Json) => string | null): DuckDBListValue | null {
  return found === null ? null : new DuckDBListValue(found.map(write));
}

/** The name, if it is a time zone's. */
function zone(name: string): string | null {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone === '' ? null : name;
  } catch {
    return null;
  }
}

function valueOf(text: string, kind: 'string' | 'boolean'): string {
  const json = parseJson(text);
  if (json.kind !== kind) throw new InvalidQuery(`The provided JSON input is not a ${kind}`);
  return scalarText(json) ?? '';
}

function jsonNumber(text: string, type: string): string {
  const json = parseJson(text);
  if (json.kind !== 'number') throw new InvalidQuery('The provided JSON input is not a number');
  if (type === 'FLOAT64') return json.raw;
  const value = Number(json.raw);
  const whole = /^-?\d+$/u.test(json.raw) ? BigInt(json.raw) : Number.isInteger(value) ? BigInt(value) : undefined;
  if (whole === undefined || BigInt.asIntN(64, whole) !== whole) {
    throw new InvalidQuery(`The provided JSON number: ${json.raw} cannot be converted to an int64`);
  }
  return String(whole);
}

/** Whether BigQuery compares these types of DuckDB's at all. */
function comparable(left: string, right: string): true {
  const kind = (type: string) => (/^(?:BIGINT|DOUBLE|DECIMAL.*|INTEGER)$/u.test(type) ? 'a number' : type);
  if (kind(left) !== kind(right) && ![left, right].includes('"NULL"')) {
    throw new InvalidQuery(`No matching signature for a comparison of ${left} and ${right}`);
  }
  return true;
}
