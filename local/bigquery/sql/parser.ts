import { createHash } from 'node:crypto';
import { position, type Token } from './lexer.ts';
import { asComputed } from './stored.ts';
import { duckType, InvalidQuery, unsupported, type Field, type FieldType } from './types.ts';

export type TableRef = { project: string; dataset: string; table: string };
export type ParameterType = {
  type: string;
  arrayType?: ParameterType;
  structTypes?: { name?: string; type: ParameterType }[];
};
export type ParameterValue = {
  value?: string | null;
  arrayValues?: ParameterValue[];
  structValues?: Record<string, ParameterValue>;
};
/** A query parameter as the REST API's `queryParameters` carries it; without a name it is positional. */
export type QueryParameter = { name?: string; parameterType: ParameterType; parameterValue: ParameterValue };

export type Context = {
  project: string;
  dataset?: string;
  parameters?: QueryParameter[];
  /** The DuckDB name of a table. */
  quote: (table: TableRef) => string;
  /** Its columns, for those that are stored in another form than queries compute with; undefined if it is not there yet. */
  fields?: (table: TableRef) => Field[] | undefined;
};

/** A table as a FROM item whose columns have the types that queries compute with. */
export function readable({ context }: Parser, table: TableRef): string {
  return asComputed(context.fields?.(table) ?? [], context.quote(table));
}

/** A CREATE TEMP FUNCTION … LANGUAGE js. */
export type JavaScriptFunction = { name: string; parameters: Field[]; returns: Field; body: string };

/** The DuckDB name of a JavaScript function. It tells one query's `f` from another's, as DuckDB's functions are the whole database's. */
export function javaScriptName(definition: JavaScriptFunction): string {
  return `bq_js_${createHash('sha256').update(JSON.stringify(definition)).digest('hex').slice(0, 32)}`;
}

/** A translated expression: DuckDB SQL that needs no parentheses around it, and what is known of it without a catalogue. */
export type Expression = {
  sql: string;
  /** Known for literals, casts and functions of a fixed type; a column's type is left to DuckDB's binder. */
  type?: FieldType | 'NULL' | 'ARRAY';
  literal?: 'string' | 'float' | 'integer' | 'null';
  /** The value of a string literal. */
  text?: string;
  /** The name that a SELECT list infers: a path's last part. */
  name?: string;
  path?: string[];
  /** Field names of a STRUCT, or of the STRUCTs in an array literal. */
  fields?: (string | undefined)[];
  /** The STRUCT's values, so that an array can give its elements the first one's field names. */
  values?: Expression[];
  /**
   * SQL of the same type for choosing among a typed macro's bodies, which DuckDB does before it can bind an aggregate, a window
   * function or an outer query's column. Undefined: the expression itself serves. Null: there is none.
   */
  model?: string | null;
  /** How many typed macros are nested in it: DuckDB binds a typed macro's arguments twice. */
  depth: number;
};

/** One pass over a statement. `query` parses a query expression: injected, as expressions and queries contain each other. */
export type Parser = {
  source: string;
  tokens: Token[];
  at: number;
  context: Context;
  reads: TableRef[];
  functions: JavaScriptFunction[];
  /** Names of WITH queries in scope, innermost last, lower case. */
  ctes: string[];
  /** Names that FROM clauses in scope give to their tables, lower case: `alias.array` in FROM is an array of that row. */
  ranges: string[];
  /** How many of them, from the first, are those of enclosing queries. */
  outer: number;
  /** SELECT-list aliases that GROUP BY, HAVING and ORDER BY may use, lower case. */
  aliases: Map<string, Expression>;
  positional: number;
  unnamed: number;
  query: (parser: Parser, as?: 'array' | 'scalar') => Query;
};

/** A translated query. */
export type Query = {
  sql: string;
  /** Its columns' names, undefined where a star hides them. */
  columns: (string | undefined)[] | undefined;
  /** The array of its rows as an expression without a subquery, where it only picks elements of an array. */
  list?: string | undefined;
};

/** Beyond this, binding would take seconds: each level of typed macros doubles it. */
const DEEPEST = 14;

/** A call of one of our typed macros. Throws InvalidQuery beyond the depth that DuckDB binds in reasonable time. */
export function macro(name: string, parts: (Expression | string)[], known: Partial<Expression> = {}): Expression {
  const given = parts.map((part) => (typeof part === 'string' ? { sql: part, depth: 0 } : part));
  const depth = 1 + Math.max(0, ...given.map((part) => part.depth));
  if (depth > DEEPEST) {
    throw new InvalidQuery(
      `The local BigQuery nests at most ${DEEPEST} operators and functions in one expression: use a subquery`,
    );
  }
  const values = given.map((part) => part.sql).join(', ');
  if (given.every((part) => part.model === undefined)) return { sql: `${name}(${values})`, depth, ...known };
  const models = given.map(modelOf);
  if (models.includes(null)) {
    throw unsupported(
      `${name.replace('bq_', '').toUpperCase()} of an aggregate, window function or outer column here: name it in a subquery first`,
    );
  }
  const model = typedNull(known.type) ?? `${name}(${models.join(', ')})`;
  return { sql: `${name}_of_model(${models.join(', ')}, ${values})`, depth, model, ...known };
}

/** SQL that tells the expression's type where DuckDB cannot see it yet. */
export function modelOf(value: Expression): string | null {
  return value.model === undefined ? value.sql : value.model;
}

/** SQL of our own around translated parts. */
export function plain(sql: string, parts: Expression[], known: Partial<Expression> = {}): Expression {
  const depth = Math.max(0, ...parts.map((part) => part.depth));
  if (parts.every((part) => part.model === undefined)) return { sql, depth, ...known };
  return { sql, depth, model: typedNull(known.type), ...known };
}

/** SQL of our own whose type follows from its parts' types. */
export function composed(
  build: (parts: string[]) => string,
  parts: Expression[],
  known: Partial<Expression> = {},
): Expression {
  const models = parts.map(modelOf).filter((model) => model !== null);
  const model = models.length === parts.length ? { model: build(models) } : {};
  const result = plain(build(parts.map((part) => part.sql)), parts, known);
  return result.model === null ? { ...result, ...model } : result;
}

function typedNull(type: Expression['type']): string | null {
  if (type === undefined || type === 'NULL' || type === 'ARRAY' || type === 'STRUCT') return null;
  return `NULL::${duckType({ name: '', type, mode: 'NULLABLE' })}`;
}

export function peek(parser: Parser, ahead = 0): Token {
  const token = parser.tokens[Math.min(parser.at + ahead, parser.tokens.length - 1)];
  if (token === undefined) throw new InvalidQuery('Syntax error: Unexpected end of script');
  return token;
}

export function next(parser: Parser): Token {
  const token = peek(parser);
  if (token.kind !== 'end') parser.at += 1;
  return token;
}

/** Whether the tokens ahead are these keywords or symbols. */
export function ahead(parser: Parser, ...texts: string[]): boolean {
  return texts.every((text, index) => {
    const token = peek(parser, index);
    return (token.kind === 'word' || token.kind === 'symbol') && token.text.toUpperCase() === text;
  });
}

/** Consumes these keywords or symbols if they are ahead. */
export function accept(parser: Parser, ...texts: string[]): boolean {
  if (!ahead(parser, ...texts)) return false;
  parser.at += texts.length;
  return true;
}

export function expect(parser: Parser, ...texts: string[]): void {
  if (!accept(parser, ...texts)) throw unexpected(parser, texts.join(' '));
}

export function unexpected(parser: Parser, wanted?: string): InvalidQuery {
  const token = peek(parser);
  const found = token.kind === 'end' ? 'end of script' : JSON.stringify(parser.source.slice(token.start, token.end));
  const where = position(parser.source, token.start);
  return new InvalidQuery(
    `Syntax error: ${wanted === undefined ? `Unexpected ${found}` : `Expected ${wanted} but got ${found}`} at ${where}`,
  );
}

/** One or more `parse`d items with commas between them. */
export function list<T>(parser: Parser, parse: () => T): T[] {
  const items = [parse()];
  while (accept(parser, ',')) items.push(parse());
  return items;
}

// Words that BigQuery reserves: unquoted, they are never identifiers or aliases.
const RESERVED = new Set(
  `ALL AND ANY ARRAY AS ASC ASSERT_ROWS_MODIFIED AT BETWEEN BY CASE CAST COLLATE CONTAINS CREATE CROSS CUBE CURRENT DEFAULT DEFINE
  DESC DISTINCT ELSE END ENUM ESCAPE EXCEPT EXCLUDE EXISTS EXTRACT FALSE FETCH FOLLOWING FOR FROM FULL GRAPH_TABLE GROUP GROUPING
  GROUPS HASH HAVING IF IGNORE IN INNER INTERSECT INTERVAL INTO IS JOIN LATERAL LEFT LIKE LIMIT LOOKUP MERGE NATURAL NEW NO NOT NULL
  NULLS OF ON OR ORDER OUTER OVER PARTITION PRECEDING PROTO QUALIFY RANGE RECURSIVE RESPECT RIGHT ROLLUP ROWS SELECT SET SOME STRUCT
  TABLESAMPLE THEN TO TREAT TRUE UNBOUNDED UNION UNNEST USING WHEN WHERE WINDOW WITH WITHIN`.split(/\s+/u),
);

export function isIdentifier(token: Token): boolean {
  return token.kind === 'quoted' || (token.kind === 'word' && !RESERVED.has(token.text.toUpperCase()));
}

export function identifier(parser: Parser): string {
  if (!isIdentifier(peek(parser))) throw unexpected(parser, 'identifier');
  return next(parser).text;
}

/** `AS alias`, or an alias alone. */
export function optionalAlias(parser: Parser): string | undefined {
  if (accept(parser, 'AS')) return identifier(parser);
  return isIdentifier(peek(parser)) ? next(parser).text : undefined;
}
