import { constants, createContext, Script, type Context } from 'node:vm';
import {
  BOOLEAN,
  DOUBLE,
  DuckDBListValue,
  LIST,
  VARCHAR,
  type DuckDBConnection,
  type DuckDBType,
  type DuckDBValue,
} from '@duckdb/node-api';
import { registerMissing, type Registered, type Scalar } from './scalars.ts';
import { javaScriptName, type JavaScriptFunction } from './parser.ts';
import { InvalidQuery, unsupported, type Field } from './types.ts';

// BigQuery: "Inline code blob: maximum size 32 KB", "amount of data that your JavaScript UDF outputs … approximately 5 MB or less".
const MOST_CODE = 32 * 1024;
const MOST_OUTPUT = 5 * 1024 * 1024;

/**
 * Registers a query's JavaScript functions with the database, which keeps them. Throws InvalidQuery for code over 32 KB or that
 * does not compile, 501 for types that are not on the tested list.
 */
export function installJavaScript(
  connection: DuckDBConnection,
  functions: JavaScriptFunction[],
  registered: Registered,
): void {
  const scalars = functions.map((each): Scalar => {
    const call = compile(each);
    return {
      // DuckDB cannot drop a function, and it belongs to the whole database: its name says which code it is.
      name: javaScriptName(each),
      parameters: each.parameters.map((field) => duckOf(field, 'parameter')),
      returns: duckOf(each.returns, 'result'),
      takesNulls: true,
      call: (...args) => result(each, call(...args.map(argument))),
    };
  });
  registerMissing(connection, scalars, registered);
}

/** The function in a context of its own, with ECMAScript's built-ins and nothing of Node. */
function compile({ name, parameters, body }: JavaScriptFunction): (...args: unknown[]) => unknown {
  if (Buffer.byteLength(body) > MOST_CODE) {
    throw new InvalidQuery(
      `JavaScript UDF ${name}: inline code is ${Buffer.byteLength(body)} bytes, the maximum is ${MOST_CODE}: shorten it or load it as a library`,
    );
  }
  const names = parameters.map((field) => field.name).join(', ');
  try {
    const made: unknown = new Script(`(function (${names}) {${body}\n})`).runInContext(fresh());
    if (typeof made !== 'function') throw new TypeError('the body is no function body');
    return (...args) => Reflect.apply(made, undefined, args) as unknown;
  } catch (error) {
    throw new InvalidQuery(`JavaScript UDF ${name} does not compile: ${message(error)}`);
  }
}

/** A context whose globals are plain: with an object of ours for them, every use of `JSON` or `String` asks an interceptor. */
function fresh(): Context {
  return createContext(constants.DONT_CONTEXTIFY);
}

function duckOf(field: Field, use: 'parameter' | 'result'): DuckDBType {
  if (field.mode === 'REPEATED') return LIST(duckOf({ ...field, mode: 'NULLABLE' }, use));
  switch (field.type) {
    case 'STRING':
      return VARCHAR;
    case 'FLOAT64':
      return DOUBLE;
    case 'BOOL':
      return BOOLEAN;
    case 'INT64':
      // BigQuery: "INT64 is unsupported as an input type for JavaScript UDFs".
      throw new InvalidQuery('INT64 is not supported in JavaScript UDFs: use FLOAT64 or STRING');
    default:
      throw unsupported(`JavaScript UDFs with a ${use} of type ${field.type}`);
  }
}

function argument(value: DuckDBValue): unknown {
  return value instanceof DuckDBListValue ? value.items.map(argument) : value;
}

function result({ name, returns }: JavaScriptFunction, value: unknown): DuckDBValue {
  if (value === null || value === undefined) return null;
  const written = returns.mode === 'REPEATED' ? listResult(value, returns) : scalarResult(value, returns);
  const size = typeof written === 'string' ? Buffer.byteLength(written) : 0;
  if (size > MOST_OUTPUT) {
    throw new InvalidQuery(
      `JavaScript UDF ${name}: output of ${size} bytes for one row, the maximum is ${MOST_OUTPUT}`,
    );
  }
  return written;
}

function listResult(value: unknown, field: Field): DuckDBListValue {
  if (!Array.isArray(value)) throw new InvalidQuery(`Failed to coerce output value to ARRAY<${field.type}>`);
  return new DuckDBListValue(value.map((item: unknown) => (item === null ? null : scalarResult(item, field))));
}

function scalarResult(value: unknown, field: Field): DuckDBValue {
  if (field.type === 'STRING') return String(value);
  if (field.type === 'BOOL') return Boolean(value);
  if (typeof value !== 'number') throw new InvalidQuery(`Failed to coerce output value to ${field.type}`);
  return value;
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
