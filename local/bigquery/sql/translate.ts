import { position, tokenize } from './lexer.ts';
import { accept, peek, unexpected, type Context, type JavaScriptFunction, type Parser } from './parser.ts';
import { query } from './queries.ts';
import type { Statement } from './statement.ts';
import { statement, temporaryFunction } from './statements.ts';
import { InvalidQuery } from './types.ts';

export type { Statement } from './statement.ts';
export type { Context, QueryParameter, ParameterType, ParameterValue, TableRef } from './parser.ts';
export type Functions = JavaScriptFunction[];

/**
 * Translates a BigQuery script into DuckDB statements, which need `installFunctions` on their connection and, for its JavaScript
 * functions, `installJavaScript`. Throws InvalidQuery where BigQuery would refuse the text, and 501 `notImplemented`, naming the
 * construct, for whatever is outside the tested list.
 */
export function translate(sql: string, context: Context): { statements: Statement[]; functions: Functions } {
  const parser = open(sql, context);
  const statements = [...rest(parser)];
  if (statements.length === 0 && parser.functions.length === 0) {
    throw new InvalidQuery(`Syntax error: Unexpected end of statement at ${position(sql, sql.length)}`);
  }
  return { statements, functions: parser.functions };
}

/**
 * The same statements, each translated when it is asked for: a script's tables have the columns that the statements before it gave
 * them.
 */
export function translateInTurn(sql: string, context: Context): Generator<Statement, void, void> {
  return rest(open(sql, context));
}

function open(sql: string, context: Context): Parser {
  return {
    source: sql,
    tokens: tokenize(sql),
    at: 0,
    context,
    reads: [],
    functions: [],
    ctes: [],
    ranges: [],
    outer: 0,
    aliases: new Map(),
    positional: 0,
    unnamed: 0,
    query,
  };
}

function* rest(parser: Parser): Generator<Statement, void, void> {
  while (peek(parser).kind !== 'end') {
    if (accept(parser, ';')) continue;
    const declared = temporaryFunction(parser);
    if (declared) {
      parser.functions.push(declared);
      expectEnd(parser);
      continue;
    }
    parser.reads = [];
    const translated = statement(parser);
    expectEnd(parser);
    yield translated;
  }
}

function expectEnd(parser: Parser): void {
  if (peek(parser).kind !== 'end' && !accept(parser, ';')) throw unexpected(parser, 'end of statement');
}
