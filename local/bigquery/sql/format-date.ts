import type { Expression } from './parser.ts';
import { unsupported } from './types.ts';

/** BigQuery's format elements that DuckDB's strftime and strptime have with the same meaning. */
const BOTH: Record<string, string> = {
  Y: '%Y',
  m: '%m',
  d: '%d',
  H: '%H',
  M: '%M',
  S: '%S',
  F: '%Y-%m-%d',
  T: '%H:%M:%S',
  b: '%b',
  B: '%B',
  '%': '%%',
};
const FORMAT_ONLY: Record<string, string> = {
  j: '%j',
  y: '%y',
  a: '%a',
  A: '%A',
  I: '%I',
  p: '%p',
  R: '%H:%M',
  D: '%m/%d/%y',
  U: '%U',
  // Fractions of exactly so many digits.
  E6S: '%S.%f',
  E3S: '%S.%g',
};
const PARSE_ONLY: Record<string, string> = { E6S: '%S.%f', 'E*S': '%S.%f' };

/** DuckDB's format for a literal format of BigQuery's. Throws 501 for an element outside the tested list. */
export function strftime(format: Expression, use: 'format' | 'parse'): string {
  if (format.text === undefined) throw unsupported('a date format that is not a literal');
  return format.text.replaceAll(/%(?<element>E[*0-9]S|[\s\S]?)/gu, (_, element: string) => {
    const found = { ...BOTH, ...(use === 'format' ? FORMAT_ONLY : PARSE_ONLY) }[element];
    if (found === undefined) throw unsupported(`the date format element %${element}`);
    return found;
  });
}
