import { cast } from './literals.ts';
import { macro, plain, type Expression } from './parser.ts';
import { InvalidQuery, unsupported } from './types.ts';

/** FORMAT with a literal format of %s, %d, %i, %f, %t, %T of strings' and numbers' plain forms, %x, %X, %o and %%. */
export function formatCall(args: Expression[]): Expression {
  const [format, ...values] = args;
  if (format?.text === undefined) throw unsupported('FORMAT with a format that is not a literal');
  const parts: Expression[] = [];
  let taken = 0;
  for (const [piece] of format.text.matchAll(/%[-+ #0']*(?:\d+|\*)?(?:\.(?:\d+|\*))?[a-zA-Z%]|[^%]+|%/gu)) {
    if (piece === '%%') parts.push(literal('%'));
    else if (piece.startsWith('%')) {
      const value = values[taken];
      taken += 1;
      if (value === undefined) throw new InvalidQuery('Too few arguments to FORMAT for its format');
      parts.push(specifier(piece, value));
    } else parts.push(literal(piece));
  }
  if (taken < values.length) throw new InvalidQuery('Too many arguments to FORMAT for its format');
  if (parts.length === 0) return literal('');
  return plain(`(${parts.map((part) => part.sql).join(' || ')})`, parts, { type: 'STRING' });
}

function specifier(piece: string, value: Expression): Expression {
  const string = { name: '', type: 'STRING', mode: 'NULLABLE' } as const;
  if (piece === '%t') return plain(`coalesce(${cast(value, string, false).sql}, 'NULL')`, [value]);
  // %s takes a STRING only; %t takes anything.
  if (piece === '%s') return macro('bq_concatenable', [value]);
  const printf = /^%(?:[-+ 0]*\d*(?:\.\d+)?f|[-+ 0]*\d*[dixXo])$/u;
  if (!printf.test(piece)) throw unsupported(`FORMAT's specifier ${piece}`);
  return macro(piece.endsWith('f') ? 'bq_format_float' : 'bq_format_integer', [
    literal(piece.replace(/i$/u, 'd')),
    value,
  ]);
}

function literal(text: string): Expression {
  return plain(`'${text.replaceAll("'", "''")}'`, []);
}
