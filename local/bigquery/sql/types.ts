import { DuckDBTypeId, type DuckDBType } from '@duckdb/node-api';
import { ApiError, notImplemented } from '../../http.ts';

export type FieldType =
  | 'STRING'
  | 'INT64'
  | 'FLOAT64'
  | 'BOOL'
  | 'BYTES'
  | 'DATE'
  | 'TIME'
  | 'DATETIME'
  | 'TIMESTAMP'
  | 'NUMERIC'
  | 'BIGNUMERIC'
  | 'JSON'
  | 'GEOGRAPHY'
  | 'INTERVAL'
  | 'STRUCT';

/** A column or a STRUCT's field, with BigQuery's standard SQL type names. */
export type Field = {
  name: string;
  type: FieldType;
  mode: 'NULLABLE' | 'REQUIRED' | 'REPEATED';
  fields?: Field[];
  description?: string;
  precision?: number;
  scale?: number;
};

/** What BigQuery answers to a query that it refuses or that fails on its data: 400 `invalidQuery`. */
export class InvalidQuery extends ApiError {
  constructor(message: string) {
    super(400, 'invalidQuery', message);
    this.name = 'InvalidQuery';
  }
}
export const BIGQUERY_INVALID = InvalidQuery;

/** What is BigQuery's but not ours: 501, naming the construct, so that no query gets a silently different result. */
export function unsupported(construct: string): ApiError {
  return notImplemented('BigQuery', construct);
}

/** BIGNUMERIC's decimals: the value × 10^38 is a whole number, which DuckDB's BIGNUM holds, compares and sorts exactly. */
export const BIGNUMERIC_SCALE = 38;

/** The one field of the STRUCT around it, a name that no BigQuery field can have. The STRUCT keeps DuckDB from casting an INT64
 * or a FLOAT64 to the unscaled number, which would be wrong by 10^38 and without an error. */
export const BIGNUMERIC_FIELD = '$bignumeric';

/** The one field of the STRUCT around a geography's text: with it DuckDB tells its type from STRING's, and no function of texts takes it. */
export const GEOGRAPHY_FIELD = '$geography';

const DUCK_TYPES: Partial<Record<FieldType, string>> = {
  STRING: 'VARCHAR',
  INT64: 'BIGINT',
  FLOAT64: 'DOUBLE',
  BOOL: 'BOOLEAN',
  BYTES: 'BLOB',
  DATE: 'DATE',
  TIME: 'TIME',
  DATETIME: 'TIMESTAMP',
  TIMESTAMP: 'TIMESTAMP WITH TIME ZONE',
  BIGNUMERIC: `STRUCT("${BIGNUMERIC_FIELD}" BIGNUM)`,
  JSON: 'JSON',
  GEOGRAPHY: `STRUCT("${GEOGRAPHY_FIELD}" VARCHAR)`,
};

/** The DuckDB type of a column. Throws 501 for a type that has no exact counterpart. */
export function duckType(field: Field): string {
  return field.mode === 'REPEATED' ? `${elementType(field)}[]` : elementType(field);
}

function elementType(field: Field): string {
  if (field.type === 'STRUCT') {
    const fields = field.fields ?? [];
    return `STRUCT(${fields.map((each) => `${quoteName(each.name)} ${duckType(each)}`).join(', ')})`;
  }
  // DuckDB's DECIMAL(p, s) rounds half away from zero and refuses overflow when it stores, as a parameterized NUMERIC does.
  if (field.type === 'NUMERIC') {
    return field.precision === undefined ? 'DECIMAL(38,9)' : `DECIMAL(${field.precision},${field.scale ?? 0})`;
  }
  const type = DUCK_TYPES[field.type];
  if (type === undefined) throw unsupported(`columns of type ${field.type}`);
  return type;
}

/** A name quoted for DuckDB. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The BigQuery field of a DuckDB result or table column. Throws 501 for a type that BigQuery does not have. */
export function fieldOf(name: string, duck: DuckDBType): Field {
  if (duck.typeId === DuckDBTypeId.LIST) {
    const element = fieldOf(name, duck.valueType);
    if (element.mode === 'REPEATED') throw new InvalidQuery(`Cannot construct array with element type ARRAY: ${name}`);
    return { ...element, mode: 'REPEATED' };
  }
  if (duck.typeId === DuckDBTypeId.STRUCT) {
    if (duck.entryNames[0] === BIGNUMERIC_FIELD) return { name, type: 'BIGNUMERIC', mode: 'NULLABLE' };
    if (duck.entryNames[0] === GEOGRAPHY_FIELD) return { name, type: 'GEOGRAPHY', mode: 'NULLABLE' };
    const fields = duck.entryTypes.map((type, index) => fieldOf(duck.entryNames[index] ?? '', type));
    return { name, type: 'STRUCT', mode: 'NULLABLE', fields };
  }
  // A parameterized NUMERIC keeps its parameters, a plain one is DECIMAL(38,9).
  if (duck.typeId === DuckDBTypeId.DECIMAL) {
    const plain = duck.width === 38 && duck.scale === 9;
    const parameters = plain ? {} : { precision: duck.width, scale: duck.scale };
    return { name, type: 'NUMERIC', mode: 'NULLABLE', ...parameters };
  }
  return { name, type: scalarType(name, duck), mode: 'NULLABLE' };
}

function scalarType(name: string, duck: DuckDBType): FieldType {
  switch (duck.typeId) {
    case DuckDBTypeId.VARCHAR:
      return duck.alias === 'JSON' ? 'JSON' : 'STRING';
    case DuckDBTypeId.BOOLEAN:
      return 'BOOL';
    case DuckDBTypeId.TINYINT:
    case DuckDBTypeId.SMALLINT:
    case DuckDBTypeId.INTEGER:
    case DuckDBTypeId.BIGINT:
    // An untyped NULL is an INT64 in BigQuery.
    case DuckDBTypeId.SQLNULL:
      return 'INT64';
    case DuckDBTypeId.DOUBLE:
      return 'FLOAT64';
    case DuckDBTypeId.BLOB:
      return 'BYTES';
    case DuckDBTypeId.DATE:
      return 'DATE';
    case DuckDBTypeId.TIME:
      return 'TIME';
    case DuckDBTypeId.TIMESTAMP:
      return 'DATETIME';
    case DuckDBTypeId.TIMESTAMP_TZ:
      return 'TIMESTAMP';
    default:
      throw unsupported(`a result of DuckDB's type ${duck.toString()} in column ${name}`);
  }
}

/** BIGNUMERIC as BigQuery writes it, from the bigint in its STRUCT: 150n × 10^36 is '1.5'. */
export function bignumericText(unscaled: bigint): string {
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(BIGNUMERIC_SCALE + 1, '0');
  const fraction = digits.slice(-BIGNUMERIC_SCALE).replace(/0+$/u, '');
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -BIGNUMERIC_SCALE)}${fraction === '' ? '' : `.${fraction}`}`;
}
