import {
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTimeValue,
  DuckDBTypeId,
  type DuckDBType,
  type DuckDBValue,
} from '@duckdb/node-api';
import { bignumericText, BIGNUMERIC_FIELD, GEOGRAPHY_FIELD, unsupported } from './types.ts';

const MOST_EXACT = 2n ** 53n;

/** TO_JSON_STRING: numbers that every JSON reader can hold as numbers, the others and all times as strings. */
export function anyJson(value: DuckDBValue, type: DuckDBType): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return String(value);
  // What a JSON column holds is canonical.
  if (typeof value === 'string') return type.alias === 'JSON' ? value : JSON.stringify(value);
  if (typeof value === 'bigint') return wideNumber(String(value));
  if (typeof value === 'number') return type.typeId === DuckDBTypeId.DOUBLE ? float(value) : String(value);
  if (value instanceof DuckDBDecimalValue)
    return wideNumber(bignumericText(value.value * 10n ** BigInt(38 - value.scale)));
  if (value instanceof DuckDBListValue && type.typeId === DuckDBTypeId.LIST) {
    return `[${value.items.map((item) => anyJson(item, type.valueType)).join(',')}]`;
  }
  if (value instanceof DuckDBStructValue && type.typeId === DuckDBTypeId.STRUCT) return structJson(value, type);
  if (value instanceof DuckDBBlobValue) return JSON.stringify(Buffer.from(value.bytes).toString('base64'));
  if (value instanceof DuckDBDateValue || value instanceof DuckDBTimeValue)
    return JSON.stringify(fraction(value.toString()));
  if (value instanceof DuckDBTimestampValue) return JSON.stringify(fraction(value.toString()).replace(' ', 'T'));
  if (value instanceof DuckDBTimestampTZValue) {
    return JSON.stringify(`${fraction(new DuckDBTimestampValue(value.micros).toString()).replace(' ', 'T')}Z`);
  }
  throw unsupported(`TO_JSON_STRING of DuckDB's type ${type.toString()}`);
}

function structJson(value: DuckDBStructValue, type: Extract<DuckDBType, { typeId: DuckDBTypeId.STRUCT }>): string {
  const big = value.entries[BIGNUMERIC_FIELD];
  if (typeof big === 'bigint') return wideNumber(bignumericText(big));
  if (type.entryNames[0] === GEOGRAPHY_FIELD) throw unsupported('TO_JSON_STRING of GEOGRAPHY');
  const members = type.entryNames.map((name, index) => {
    const entry = type.entryTypes[index];
    return `${JSON.stringify(name)}:${entry ? anyJson(value.entries[name] ?? null, entry) : 'null'}`;
  });
  return `{${members.join(',')}}`;
}

function wideNumber(text: string): string {
  const whole = /^-?\d+$/u.test(text) ? BigInt(text) : undefined;
  return whole !== undefined && whole >= -MOST_EXACT && whole <= MOST_EXACT ? text : `"${text}"`;
}

function float(value: number): string {
  if (Number.isNaN(value)) return '"NaN"';
  if (!Number.isFinite(value)) return value > 0 ? '"Infinity"' : '"-Infinity"';
  return JSON.stringify(value);
}

/** No fraction, milliseconds or microseconds. */
function fraction(text: string): string {
  return text.replace(
    /\.(\d+)$/u,
    (_, digits: string) => `.${digits.length > 3 ? digits.padEnd(6, '0') : digits.padEnd(3, '0')}`,
  );
}
