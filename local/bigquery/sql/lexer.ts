import { InvalidQuery } from './types.ts';

export type Token = {
  kind: 'word' | 'quoted' | 'string' | 'bytes' | 'integer' | 'float' | 'parameter' | 'symbol' | 'end';
  /** A word as written, a quoted identifier or string with its escapes resolved, a number as written. */
  text: string;
  bytes?: Buffer;
  start: number;
  end: number;
};

const SYMBOLS = ['=>', '<=', '>=', '!=', '<>', '||', '<<', '>>', ...'()[],.;+-*/=<>&|^~@?:'.split('')];
const ESCAPES: Record<string, string> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '?': '?',
  '"': '"',
  "'": "'",
  '`': '`',
};

/** Splits BigQuery SQL into tokens by its lexical rules. Throws InvalidQuery with line and column where a token is malformed. */
export function tokenize(sql: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (;;) {
    at = skipBlanksAndComments(sql, at);
    if (at >= sql.length) break;
    const token = readToken(sql, at);
    tokens.push(token);
    at = token.end;
  }
  tokens.push({ kind: 'end', text: '', start: sql.length, end: sql.length });
  return tokens;
}

/** `[line:column]`, as BigQuery places its syntax errors. */
export function position(sql: string, at: number): string {
  const before = sql.slice(0, at).split('\n');
  return `[${before.length}:${(before.at(-1)?.length ?? 0) + 1}]`;
}

function skipBlanksAndComments(sql: string, from: number): number {
  const blank = /(?:\s+|#[^\n]*|--[^\n]*|\/\*[\s\S]*?\*\/)+/uy;
  blank.lastIndex = from;
  return blank.test(sql) ? blank.lastIndex : from;
}

function readToken(sql: string, start: number): Token {
  const literal = /(?<prefix>[rR][bB]?|[bB][rR]?)?(?<quote>"""|'''|"|')/uy;
  literal.lastIndex = start;
  const opening = literal.exec(sql);
  if (opening?.groups) {
    return readString(sql, start, (opening.groups['prefix'] ?? '').toLowerCase(), opening.groups['quote'] ?? '');
  }
  if (sql[start] === '`') {
    const { text, end } = readQuoted(sql, start, start + 1, '`', false);
    if (text === '') throw new InvalidQuery(`Syntax error: Invalid empty identifier at ${position(sql, start)}`);
    return { kind: 'quoted', text, start, end };
  }
  return (
    match(sql, start, 'word', /[A-Za-z_][A-Za-z0-9_]*/uy) ??
    match(sql, start, 'integer', /0[xX][0-9A-Fa-f]+/uy) ??
    match(sql, start, 'float', /(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+/uy) ??
    match(sql, start, 'integer', /\d+/uy) ??
    match(sql, start, 'parameter', /@[A-Za-z_][A-Za-z0-9_]*|\?/uy) ??
    symbol(sql, start)
  );
}

function match(sql: string, start: number, kind: Token['kind'], pattern: RegExp): Token | undefined {
  pattern.lastIndex = start;
  const text = pattern.exec(sql)?.[0];
  if (text === undefined) return undefined;
  if ((kind === 'integer' || kind === 'float') && /[A-Za-z_]/u.test(sql[start + text.length] ?? '')) {
    throw new InvalidQuery(`Syntax error: Missing whitespace between literal and alias at ${position(sql, start)}`);
  }
  return { kind, text, start, end: start + text.length };
}

function symbol(sql: string, start: number): Token {
  const text = SYMBOLS.find((each) => sql.startsWith(each, start));
  if (text === undefined) {
    const character = String.fromCodePoint(sql.codePointAt(start) ?? 0);
    throw new InvalidQuery(
      `Syntax error: Illegal input character ${JSON.stringify(character)} at ${position(sql, start)}`,
    );
  }
  return { kind: 'symbol', text, start, end: start + text.length };
}

function readString(sql: string, start: number, prefix: string, quote: string): Token {
  const raw = prefix.includes('r');
  const from = start + prefix.length + quote.length;
  if (!prefix.includes('b')) {
    const { text, end } = readQuoted(sql, start, from, quote, raw);
    return { kind: 'string', text, start, end };
  }
  // In a bytes literal \xFF is one byte, while other characters stand for their UTF-8 bytes: escapes up to 0xFF are kept apart.
  const pieces: Buffer[] = [];
  const { end } = readQuoted(sql, start, from, quote, raw, (piece, escaped) => {
    if (escaped && (piece.codePointAt(0) ?? 0) > 0xff) {
      throw new InvalidQuery(`Syntax error: Illegal escape in bytes literal at ${position(sql, start)}`);
    }
    pieces.push(Buffer.from(piece, escaped ? 'latin1' : 'utf8'));
  });
  return { kind: 'bytes', text: '', bytes: Buffer.concat(pieces), start, end };
}

/** Reads up to the closing quote. A raw string keeps its backslashes, yet a backslash still shields the quote after it. */
function readQuoted(
  sql: string,
  start: number,
  from: number,
  quote: string,
  raw: boolean,
  onPiece: (piece: string, escaped: boolean) => void = () => {},
): { text: string; end: number } {
  let text = '';
  let at = from;
  const add = (piece: string, escaped: boolean, length: number) => {
    text += piece;
    onPiece(piece, escaped);
    at += length;
  };
  for (;;) {
    const character = sql[at];
    if (character === undefined || (character === '\n' && quote.length === 1)) {
      const what = quote === '`' ? 'identifier' : 'string literal';
      throw new InvalidQuery(`Syntax error: Unclosed ${what} at ${position(sql, start)}`);
    }
    if (sql.startsWith(quote, at)) return { text, end: at + quote.length };
    if (character !== '\\') {
      const plain = String.fromCodePoint(sql.codePointAt(at) ?? 0);
      // CR and CRLF inside triple quotes are read as LF.
      if (plain === '\r') add('\n', false, sql[at + 1] === '\n' ? 2 : 1);
      else add(plain, false, plain.length);
    } else if (raw) add(sql.slice(at, at + 2), false, 2);
    else {
      const { value, length } = escape(sql, at, start);
      add(value, true, length);
    }
  }
}

function escape(sql: string, at: number, start: number): { value: string; length: number } {
  const simple = ESCAPES[sql[at + 1] ?? ''];
  if (simple !== undefined) return { value: simple, length: 2 };
  const numeric =
    /\\(?:[xX](?<byte>[0-9A-Fa-f]{2})|u(?<short>[0-9A-Fa-f]{4})|U(?<long>[0-9A-Fa-f]{8})|(?<octal>[0-3][0-7]{2}))/uy;
  numeric.lastIndex = at;
  const found = numeric.exec(sql);
  const digits = found?.groups;
  const code = digits?.['octal']
    ? Number.parseInt(digits['octal'], 8)
    : Number.parseInt(digits?.['byte'] ?? digits?.['short'] ?? digits?.['long'] ?? '', 16);
  if (found === null || Number.isNaN(code) || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    throw new InvalidQuery(
      `Syntax error: Illegal escape sequence: ${sql.slice(at, at + 2)} in literal at ${position(sql, start)}`,
    );
  }
  return { value: String.fromCodePoint(code), length: found[0].length };
}
