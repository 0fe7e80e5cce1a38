import { callExpression } from './calls.ts';
import { arrayLiteral, caseExpression, castExpression, struct, structExpression } from './constructors.ts';
import {
  floatLiteral,
  bytesLiteral,
  integerLiteral,
  NULL,
  parameter,
  stringLiteral,
  typedLiteral,
} from './literals.ts';
import { arithmetic, bitwise, coerce, coerceTo, compare, concatenate, isComparison, negate } from './operators.ts';
import {
  accept,
  ahead,
  expect,
  identifier,
  isIdentifier,
  list,
  macro,
  next,
  peek,
  plain,
  unexpected,
  type Expression,
  type Parser,
} from './parser.ts';
import { typeName, typeNamed } from './typenames.ts';
import { quoteName, unsupported, type Field } from './types.ts';

/** Parses one expression by BigQuery's precedence and gives it in DuckDB's SQL. */
export function expression(parser: Parser): Expression {
  let left = conjunction(parser);
  while (accept(parser, 'OR')) left = logical('OR', left, conjunction(parser));
  return left;
}

function conjunction(parser: Parser): Expression {
  let left = negation(parser);
  while (accept(parser, 'AND')) left = logical('AND', left, negation(parser));
  return left;
}

function logical(operator: 'AND' | 'OR', left: Expression, right: Expression): Expression {
  return plain(`(${left.sql} ${operator} ${right.sql})`, [left, right], { type: 'BOOL' });
}

function negation(parser: Parser): Expression {
  if (!accept(parser, 'NOT')) return comparison(parser);
  const value = negation(parser);
  return plain(`(NOT ${value.sql})`, [value], { type: 'BOOL' });
}

function comparison(parser: Parser): Expression {
  const left = bitOr(parser);
  const operator = peek(parser);
  if (operator.kind === 'symbol' && isComparison(operator.text)) {
    next(parser);
    const result = compare(operator.text, left, bitOr(parser));
    const after = peek(parser);
    if (after.kind === 'symbol' && isComparison(after.text)) throw unexpected(parser);
    return result;
  }
  if (accept(parser, 'IS')) return isTest(parser, left);
  const not =
    (ahead(parser, 'NOT', 'IN') || ahead(parser, 'NOT', 'LIKE') || ahead(parser, 'NOT', 'BETWEEN')) &&
    accept(parser, 'NOT');
  const negated = (sql: string, parts: Expression[]) => plain(not ? `(NOT ${sql})` : sql, parts, { type: 'BOOL' });
  if (accept(parser, 'IN')) {
    const found = membership(parser, left);
    return negated(found.sql, [found]);
  }
  if (accept(parser, 'LIKE')) {
    if (ahead(parser, 'ANY') || ahead(parser, 'ALL') || ahead(parser, 'SOME')) throw unsupported('LIKE ANY, SOME, ALL');
    const pattern = bitOr(parser);
    return negated(`(${left.sql} LIKE ${pattern.sql} ESCAPE '\\')`, [left, pattern]);
  }
  if (accept(parser, 'BETWEEN')) {
    const low = compare('>=', left, bitOr(parser));
    expect(parser, 'AND');
    const high = compare('<=', left, bitOr(parser));
    return negated(`(${low.sql} AND ${high.sql})`, [low, high]);
  }
  return left;
}

function isTest(parser: Parser, left: Expression): Expression {
  const not = accept(parser, 'NOT') ? 'NOT ' : '';
  if (accept(parser, 'DISTINCT', 'FROM')) {
    const right = bitOr(parser);
    const [a, b] = coerce([left, right]) as [Expression, Expression];
    return plain(`(${a.sql} IS ${not}DISTINCT FROM ${b.sql})`, [a, b], { type: 'BOOL' });
  }
  for (const word of ['NULL', 'TRUE', 'FALSE']) {
    if (accept(parser, word)) return plain(`(${left.sql} IS ${not}${word})`, [left], { type: 'BOOL' });
  }
  throw unexpected(parser, 'NULL, TRUE, FALSE or DISTINCT FROM');
}

function membership(parser: Parser, left: Expression): Expression {
  if (accept(parser, 'UNNEST', '(')) {
    const array = expression(parser);
    expect(parser, ')');
    return plain(`(${left.sql} IN (SELECT unnest(${array.sql})))`, [left, array]);
  }
  expect(parser, '(');
  if (ahead(parser, 'SELECT') || ahead(parser, 'WITH')) {
    const { sql } = parser.query(parser);
    expect(parser, ')');
    return plain(`(${left.sql} IN (${sql}))`, [left]);
  }
  const items = list(parser, () => coerceTo(left, expression(parser)));
  expect(parser, ')');
  const isShort = items.length <= 8 && left.sql.length <= 200;
  const sql = isShort
    ? // DuckDB makes a join of each IN, and plans a statement with hundreds of them for minutes.
      items.map((item) => `${left.sql} = ${item.sql}`).join(' OR ')
    : `${left.sql} IN (${items.map((item) => item.sql).join(', ')})`;
  return plain(`(${sql})`, [left, ...items]);
}

function bitOr(parser: Parser): Expression {
  let left = bitXor(parser);
  while (accept(parser, '|')) left = bitwise('|', left, bitXor(parser));
  return left;
}

function bitXor(parser: Parser): Expression {
  let left = bitAnd(parser);
  while (accept(parser, '^')) left = bitwise('^', left, bitAnd(parser));
  return left;
}

function bitAnd(parser: Parser): Expression {
  let left = sum(parser);
  while (accept(parser, '&')) left = bitwise('&', left, sum(parser));
  if (ahead(parser, '<<') || ahead(parser, '>>')) throw unsupported('the operators << and >>');
  return left;
}

function sum(parser: Parser): Expression {
  let left = product(parser);
  for (;;) {
    if (accept(parser, '+')) left = arithmetic('+', left, product(parser));
    else if (accept(parser, '-')) left = arithmetic('-', left, product(parser));
    else return left;
  }
}

function product(parser: Parser): Expression {
  let left = unary(parser);
  for (;;) {
    if (accept(parser, '*')) left = arithmetic('*', left, unary(parser));
    else if (accept(parser, '/')) left = arithmetic('/', left, unary(parser));
    else if (ahead(parser, '||')) {
      const parts = [left];
      while (accept(parser, '||')) parts.push(unary(parser));
      left = concatenate(parts);
    } else return left;
  }
}

function unary(parser: Parser): Expression {
  if (accept(parser, '-')) return negate(unary(parser));
  if (accept(parser, '+')) return unary(parser);
  if (ahead(parser, '~')) throw unsupported('the operator ~');
  return postfix(parser, primary(parser));
}

function postfix(parser: Parser, start: Expression): Expression {
  let value = start;
  for (;;) {
    if (accept(parser, '.')) {
      if (ahead(parser, '*')) {
        parser.at -= 1;
        return value;
      }
      const name = identifier(parser);
      value = plain(`(${value.sql}).${quoteName(name)}`, [value], { name });
    } else if (accept(parser, '[')) value = subscript(parser, value);
    else return value;
  }
}

function subscript(parser: Parser, array: Expression): Expression {
  for (const mode of ['OFFSET', 'ORDINAL', 'SAFE_OFFSET', 'SAFE_ORDINAL']) {
    if (accept(parser, mode, '(')) {
      const index = expression(parser);
      expect(parser, ')');
      expect(parser, ']');
      return macro(`bq_${mode.toLowerCase()}`, [array, index]);
    }
  }
  const index = expression(parser);
  expect(parser, ']');
  if (index.literal === 'string') return macro('bq_json_member', [array, index], { type: 'JSON' });
  throw unsupported('array[index] without OFFSET, ORDINAL, SAFE_OFFSET or SAFE_ORDINAL');
}

function primary(parser: Parser): Expression {
  const token = peek(parser);
  switch (token.kind) {
    case 'string':
      return stringLiteral(next(parser).text);
    case 'bytes':
      return bytesLiteral(next(parser).bytes ?? Buffer.alloc(0));
    case 'integer':
      return integerLiteral(next(parser).text);
    case 'float':
      return floatLiteral(next(parser).text);
    case 'parameter':
      return parameter(parser, next(parser).text);
    case 'quoted':
    case 'word':
      return word(parser);
    case 'symbol':
      if (accept(parser, '(')) return parenthesized(parser);
      if (accept(parser, '[')) return arrayLiteral(parser, expression);
      throw unexpected(parser);
    default:
      throw unexpected(parser);
  }
}

function word(parser: Parser): Expression {
  const token = peek(parser);
  const after = peek(parser, 1);
  if (token.kind === 'word') {
    const special = SPECIAL[token.text.toUpperCase()];
    if (
      special &&
      (isKeywordAlone(token.text) || ['(', '[', '<'].includes(after.text) || token.text.toUpperCase() === 'CASE')
    ) {
      next(parser);
      return special(parser);
    }
    const type = typeNamed(token.text);
    if (type !== undefined && after.kind === 'string') {
      next(parser);
      return typedLiteral(type, next(parser).text);
    }
    if (token.text.toUpperCase() === 'INTERVAL') throw unsupported('INTERVAL outside date and time functions');
    // IF, LEFT, RIGHT and GROUPING are reserved and functions at once.
    if (after.text === '(' && after.kind === 'symbol') return callExpression(parser, expression);
    if (after.text === '.' && after.kind === 'symbol' && peek(parser, 3).text === '(' && isIdentifier(token)) {
      return callExpression(parser, expression);
    }
    const value =
      CURRENT.has(token.text.toUpperCase()) && isIdentifier(token) ? callExpression(parser, expression) : undefined;
    if (value) return value;
  }
  return path(parser);
}

const CURRENT = new Set(['CURRENT_TIMESTAMP', 'CURRENT_DATE', 'CURRENT_DATETIME', 'CURRENT_TIME']);

function isKeywordAlone(text: string): boolean {
  return /^(?:true|false|null)$/iu.test(text);
}

const PSEUDO = new Set(['_TABLE_SUFFIX', '_PARTITIONTIME', '_PARTITIONDATE', '_FILE_NAME']);

/** A name or dotted path; a SELECT alias where one is in scope. */
function path(parser: Parser): Expression {
  const names = [identifier(parser)];
  while (ahead(parser, '.') && !(peek(parser, 1).text === '*' && peek(parser, 1).kind === 'symbol')) {
    next(parser);
    // After a dot any word is a name, reserved or not.
    const token = next(parser);
    if (token.kind !== 'word' && token.kind !== 'quoted') throw unexpected(parser, 'identifier');
    names.push(token.text);
  }
  const pseudo = names.find((name) => PSEUDO.has(name.toUpperCase()));
  if (pseudo !== undefined) throw unsupported(`the pseudo-column ${pseudo}`);
  const [first = ''] = names;
  const alias = names.length === 1 ? parser.aliases.get(first.toLowerCase()) : undefined;
  const name = names.at(-1) ?? '';
  if (alias) return { ...alias, name: first, path: names };
  // DuckDB chooses among a typed macro's bodies before it looks into the outer query.
  const inner = parser.ranges.slice(parser.outer);
  const range = first.toLowerCase();
  const outer = names.length > 1 && !inner.includes(range) && parser.ranges.includes(range);
  return { ...plain(names.map(quoteName).join('.'), [], { name, path: names }), ...(outer ? { model: null } : {}) };
}

function parenthesized(parser: Parser): Expression {
  if (ahead(parser, 'SELECT') || ahead(parser, 'WITH') || ahead(parser, '(', 'SELECT')) {
    const start = parser.at;
    const { sql } = parser.query(parser, 'scalar');
    if (accept(parser, ')')) return plain(`(${sql})`, []);
    parser.at = start;
  }
  const items = list(parser, () => expression(parser));
  expect(parser, ')');
  const [only] = items;
  if (items.length === 1 && only) return { ...only, sql: `(${only.sql})` };
  return struct(items.map((value) => ({ value })));
}

const SPECIAL: Record<string, (parser: Parser) => Expression> = {
  TRUE: () => plain('TRUE', [], { type: 'BOOL' }),
  FALSE: () => plain('FALSE', [], { type: 'BOOL' }),
  NULL: () => NULL,
  CASE: (parser) => caseExpression(parser, expression),
  CAST: (parser) => castExpression(parser, expression, false),
  SAFE_CAST: (parser) => castExpression(parser, expression, true),
  EXISTS: (parser) => {
    expect(parser, '(');
    const { sql } = parser.query(parser);
    expect(parser, ')');
    return plain(`EXISTS (${sql})`, [], { type: 'BOOL' });
  },
  ARRAY: (parser) => {
    if (accept(parser, '[')) return arrayLiteral(parser, expression);
    if (ahead(parser, '<')) {
      parser.at -= 1;
      const element: Field = { ...typeName(parser), mode: 'NULLABLE' };
      expect(parser, '[');
      return arrayLiteral(parser, expression, element);
    }
    expect(parser, '(');
    const { sql, list } = parser.query(parser, 'array');
    expect(parser, ')');
    return plain(list ?? `ARRAY(${sql})`, [], { type: 'ARRAY' });
  },
  STRUCT: (parser) => structExpression(parser, expression),
};
