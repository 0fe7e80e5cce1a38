import { StatusError, unimplemented } from './status.ts';

type Attributes = Readonly<Record<string, string>>;
type Predicate = (attributes: Attributes) => boolean;

/**
 * Compiles a subscription's filter: `attributes:key`, `attributes.key = "v"`, `attributes.key != "v"`,
 * `hasPrefix(attributes.key, "v")`, joined by AND, OR, NOT (or `-`) and parentheses. Throws INVALID_ARGUMENT where it does
 * not parse, UNIMPLEMENTED for the escapes that are not built.
 */
export function compileFilter(text: string): Predicate {
  // "The maximum length of a filter is 256 bytes."
  if (Buffer.byteLength(text) > 256)
    throw new StatusError(
      'INVALID_ARGUMENT',
      `The value for filter is too large. You passed ${Buffer.byteLength(text)} in the request, but the maximum value is 256.`,
    );
  if (text.trim() === '') return () => true;
  const tokens = tokenize(text);
  let next = 0;

  const filter = expression();
  if (next < tokens.length) throw invalid(text, `expected the end, AND or OR, found ${tokens[next]}`);
  return filter;

  function expression(): Predicate {
    const terms = [negation()];
    const operator = tokens[next];
    if (operator !== 'AND' && operator !== 'OR') return terms[0] ?? (() => true);
    while (tokens[next] === operator) {
      next += 1;
      terms.push(negation());
    }
    // Which of the two binds tighter is a question that the reader of a filter should never have to ask.
    if (tokens[next] === 'AND' || tokens[next] === 'OR') throw invalid(text, 'AND and OR together need parentheses');
    return operator === 'AND'
      ? (attributes) => terms.every((term) => term(attributes))
      : (attributes) => terms.some((term) => term(attributes));
  }

  function negation(): Predicate {
    if (tokens[next] !== 'NOT' && tokens[next] !== '-') return operand();
    next += 1;
    const term = negation();
    return (attributes) => !term(attributes);
  }

  function operand(): Predicate {
    if (tokens[next] === '(') {
      next += 1;
      const inner = expression();
      expect(')');
      return inner;
    }
    if (tokens[next] === 'hasPrefix') {
      next += 1;
      expect('(');
      const key = attributeKey('.');
      expect(',');
      const prefix = literal();
      expect(')');
      return (attributes) => value(attributes, key)?.startsWith(prefix) ?? false;
    }
    if (tokens[next + 1] === ':') {
      const key = attributeKey(':');
      return (attributes) => value(attributes, key) !== undefined;
    }
    const key = attributeKey('.');
    const comparison = tokens[next];
    if (comparison !== '=' && comparison !== '!=')
      throw invalid(text, `expected = or !=, found ${comparison ?? 'the end'}`);
    next += 1;
    const expected = literal();
    return (attributes) => (value(attributes, key) === expected) === (comparison === '=');
  }

  function attributeKey(separator: '.' | ':'): string {
    expect('attributes');
    expect(separator);
    const token = tokens[next];
    if (token === undefined || !/^["A-Za-z0-9_]/.test(token))
      throw invalid(text, `expected a key, found ${token ?? 'the end'}`);
    next += 1;
    return token.startsWith('"') ? unquote(token) : token;
  }

  function literal(): string {
    const token = tokens[next];
    if (token === undefined || !token.startsWith('"'))
      throw invalid(text, `expected a "string", found ${token ?? 'the end'}`);
    next += 1;
    return unquote(token);
  }

  function expect(token: string): void {
    if (tokens[next] !== token) throw invalid(text, `expected ${token}, found ${tokens[next] ?? 'the end'}`);
    next += 1;
  }
}

function tokenize(text: string): string[] {
  const token = /\s*("(?:[^"\\]|\\.)*"|!=|[=:.,()]|[A-Za-z0-9_][A-Za-z0-9_-]*|-)\s*/y;
  const tokens: string[] = [];
  while (token.lastIndex < text.length) {
    const start = token.lastIndex;
    const found = token.exec(text)?.[1];
    if (found === undefined) throw invalid(text, `cannot read from character ${start + 1}`);
    tokens.push(found);
  }
  return tokens;
}

function unquote(token: string): string {
  return token.slice(1, -1).replace(/\\(.)/g, (_, character: string) => {
    if (character !== '"' && character !== '\\') throw unimplemented(`the filter escape \\${character}`);
    return character;
  });
}

function value(attributes: Attributes, key: string): string | undefined {
  return Object.hasOwn(attributes, key) ? attributes[key] : undefined;
}

function invalid(text: string, problem: string): StatusError {
  return new StatusError('INVALID_ARGUMENT', `The value for filter is invalid: ${problem} (filter=${text}).`);
}
