import { accept, expect, identifier, isIdentifier, list, next, peek, unexpected, type Parser } from './parser.ts';
import { InvalidQuery, unsupported, type Field, type FieldType } from './types.ts';

const NAMES: Record<string, FieldType> = {
  STRING: 'STRING',
  INT64: 'INT64',
  INT: 'INT64',
  SMALLINT: 'INT64',
  INTEGER: 'INT64',
  BIGINT: 'INT64',
  TINYINT: 'INT64',
  BYTEINT: 'INT64',
  FLOAT64: 'FLOAT64',
  BOOL: 'BOOL',
  BOOLEAN: 'BOOL',
  BYTES: 'BYTES',
  DATE: 'DATE',
  TIME: 'TIME',
  DATETIME: 'DATETIME',
  TIMESTAMP: 'TIMESTAMP',
  NUMERIC: 'NUMERIC',
  DECIMAL: 'NUMERIC',
  BIGNUMERIC: 'BIGNUMERIC',
  BIGDECIMAL: 'BIGNUMERIC',
  JSON: 'JSON',
  GEOGRAPHY: 'GEOGRAPHY',
  INTERVAL: 'INTERVAL',
};

/** The type that a word names, undefined if it names none. */
export function typeNamed(word: string): FieldType | undefined {
  return Object.hasOwn(NAMES, word.toUpperCase()) ? NAMES[word.toUpperCase()] : undefined;
}

/** Parses a type as a column's or a cast's: `NUMERIC(10, 2)`, `ARRAY<STRUCT<a INT64, b STRING>>`. */
export function typeName(parser: Parser, name = ''): Field {
  if (accept(parser, 'ARRAY')) {
    expect(parser, '<');
    const element = typeName(parser, name);
    if (element.mode === 'REPEATED') throw new InvalidQuery('Arrays of arrays are not supported');
    closeAngle(parser);
    return { ...element, mode: 'REPEATED' };
  }
  if (accept(parser, 'STRUCT')) {
    expect(parser, '<');
    let unnamed = 0;
    const fields = list(parser, () => {
      unnamed += 1;
      // `a INT64` has a name, a lone `INT64` or `ARRAY<…>` has not.
      const named =
        isIdentifier(peek(parser)) &&
        (isIdentifier(peek(parser, 1)) || /^(?:array|struct|interval)$/iu.test(peek(parser, 1).text));
      return typeName(parser, named ? identifier(parser) : `_field_${unnamed}`);
    });
    closeAngle(parser);
    return { name, type: 'STRUCT', mode: 'NULLABLE', fields };
  }
  const token = next(parser);
  const type = token.kind === 'word' ? typeNamed(token.text) : undefined;
  if (type === undefined) throw new InvalidQuery(`Type not found: ${token.text}`);
  return { name, type, mode: 'NULLABLE', ...typeParameters(parser, type) };
}

function typeParameters(parser: Parser, type: FieldType): { precision?: number; scale?: number } {
  if (!accept(parser, '(')) return {};
  const [precision, scale = 0] = list(parser, () => {
    if (peek(parser).kind !== 'integer') throw unexpected(parser, 'integer literal');
    return Number(next(parser).text);
  });
  expect(parser, ')');
  // A column that cuts or refuses what exceeds its length would have to do so on every write: only NUMERIC's is kept by DuckDB's own type.
  if (type !== 'NUMERIC' || precision === undefined) throw unsupported(`type parameters of ${type}`);
  if (scale > 9 || precision < Math.max(1, scale) || precision > scale + 29) {
    throw new InvalidQuery(
      `In NUMERIC(P, S), S must be 0 to 9 and P between max(1, S) and S + 29: got (${precision}, ${scale})`,
    );
  }
  return { precision, scale };
}

function closeAngle(parser: Parser): void {
  const token = peek(parser);
  // `>>` closes two at once: take one half, leave the other.
  if (token.kind === 'symbol' && token.text === '>>') {
    parser.tokens[parser.at] = { ...token, text: '>', start: token.start + 1 };
    return;
  }
  expect(parser, '>');
}
