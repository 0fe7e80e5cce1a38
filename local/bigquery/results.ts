import {
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTimeValue,
  type DuckDBValue,
} from '@duckdb/node-api';
import { notImplemented } from '../http.ts';
import { canonicalJson } from './sql/json.ts';
import { BIGNUMERIC_FIELD, bignumericText, GEOGRAPHY_FIELD, quoteName, type Field } from './sql/types.ts';

/** How TIMESTAMPs are written: whole microseconds, seconds with a fraction (the API's default), or ISO 8601. */
export type TimestampFormat = 'INT64' | 'FLOAT64' | 'ISO8601_STRING';

export type Row = { f: { v: Cell }[] };
type Cell = string | null | Row | { v: Cell }[];

/**
 * The columns of a result as they have to be fetched: texts as bytes, for DuckDB's client drops a U+FEFF at the start of a string.
 */
export function fetchable(fields: Field[]): string {
  if (fields.length === 0) return 'NULL';
  return fields.map((field) => inBytes(field, quoteName(field.name))).join(', ');
}

function inBytes(field: Field, value: string, depth = 0): string {
  if (!holdsText(field)) return value;
  if (field.mode === 'REPEATED') {
    const element = `element_${depth}`;
    return `list_transform(${value}, lambda ${element}: ${inBytes({ ...field, mode: 'NULLABLE' }, element, depth + 1)})`;
  }
  if (field.type !== 'STRUCT') return `encode(${value}::VARCHAR)`;
  const members = (field.fields ?? []).map((each) => {
    const name = quoteName(each.name);
    return `${name} := ${inBytes(each, `(${value}).${name}`, depth)}`;
  });
  return `CASE WHEN ${value} IS NOT NULL THEN struct_pack(${members.join(', ')}) END`;
}

const holdsText = ({ type, fields = [] }: Field): boolean =>
  type === 'STRING' || type === 'JSON' || fields.some(holdsText);

/** A row in the REST API's form: every value a string, at its column's place. */
export function toRow(fields: Field[], values: readonly DuckDBValue[], timestamps: TimestampFormat): Row {
  return { f: fields.map((field, index) => ({ v: toCell(field, values[index] ?? null, timestamps) })) };
}

function toCell(field: Field, value: DuckDBValue, timestamps: TimestampFormat): Cell {
  if (field.mode === 'REPEATED') {
    const element: Field = { ...field, mode: 'NULLABLE' };
    // BigQuery has no NULL array in a result: it is empty.
    const items = value instanceof DuckDBListValue ? value.items : [];
    return items.map((item) => ({ v: toCell(element, item, timestamps) }));
  }
  if (value === null) return null;
  switch (field.type) {
    case 'STRUCT': {
      if (!(value instanceof DuckDBStructValue)) break;
      const { entries } = value;
      const fields = field.fields ?? [];
      return toRow(
        fields,
        fields.map((each) => entries[each.name] ?? null),
        timestamps,
      );
    }
    case 'BIGNUMERIC': {
      // A stored table has the text already.
      if (typeof value === 'string') return value;
      const unscaled = value instanceof DuckDBStructValue ? value.entries[BIGNUMERIC_FIELD] : undefined;
      if (typeof unscaled !== 'bigint') break;
      return bignumericText(unscaled);
    }
    case 'JSON':
      return canonicalJson(text(value), 'round');
    case 'STRING':
      return text(value);
    case 'BYTES':
      if (!(value instanceof DuckDBBlobValue)) break;
      return Buffer.from(value.bytes).toString('base64');
    case 'FLOAT64':
      return float(Number(value));
    case 'NUMERIC':
      if (!(value instanceof DuckDBDecimalValue)) break;
      return withoutZeros(value.toString());
    case 'TIMESTAMP':
      if (!(value instanceof DuckDBTimestampTZValue)) break;
      return timestamp(value.micros, timestamps);
    case 'DATETIME':
      if (!(value instanceof DuckDBTimestampValue)) break;
      return isoDatetime(value.micros);
    case 'TIME':
      if (!(value instanceof DuckDBTimeValue)) break;
      return isoDatetime(value.micros).slice(11);
    case 'DATE':
      if (!(value instanceof DuckDBDateValue)) break;
      return isoDatetime(BigInt(value.days) * 86_400_000_000n).slice(0, 10);
    case 'INT64':
    case 'BOOL':
      return String(value);
    case 'GEOGRAPHY': {
      // A stored table has the text already; it is plain ASCII.
      const wkt = value instanceof DuckDBStructValue ? value.entries[GEOGRAPHY_FIELD] : value;
      if (typeof wkt !== 'string') break;
      return wkt;
    }
    case 'INTERVAL':
      break;
  }
  throw notImplemented('BigQuery', `results of type ${field.type} (column ${field.name})`);
}

function text(value: DuckDBValue): string {
  // Buffer keeps a U+FEFF at the start.
  return value instanceof DuckDBBlobValue ? Buffer.from(value.bytes).toString('utf8') : String(value);
}

function float(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
  const shortest = Object.is(value, -0) ? '-0' : String(value);
  return /^-?\d+$/.test(shortest) ? `${shortest}.0` : shortest.replace(/e([+-])(\d)$/, 'E$10$2').replace('e', 'E');
}

function withoutZeros(decimal: string): string {
  return decimal.includes('.') ? decimal.replace(/\.?0+$/, '') : decimal;
}

function timestamp(micros: bigint, format: TimestampFormat): string {
  switch (format) {
    case 'INT64':
      return String(micros);
    case 'FLOAT64': {
      const [sign, size] = micros < 0n ? ['-', -micros] : ['', micros];
      const fraction = String(size % 1_000_000n)
        .padStart(6, '0')
        .replace(/0+$/, '');
      return `${sign}${size / 1_000_000n}.${fraction === '' ? '0' : fraction}`;
    }
    case 'ISO8601_STRING':
      return `${isoDatetime(micros)}Z`;
  }
}

/** `2020-01-02T03:04:05` and, where there is one, the fraction in six digits. */
function isoDatetime(micros: bigint): string {
  const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const seconds = (micros - fraction) / 1_000_000n;
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return fraction === 0n ? whole : `${whole}.${String(fraction).padStart(6, '0')}`;
}
