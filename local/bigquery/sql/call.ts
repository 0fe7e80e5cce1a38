import type { Expression } from './parser.ts';

/** How a function of the tested list is written and what it becomes. */
export type Call = {
  min: number;
  max: number;
  /** The argument that is a date part, such as MONTH or WEEK(MONDAY). */
  part?: number;
  /** The argument that is INTERVAL n part. */
  interval?: number;
  /** Arguments that may be given by name, name => value. */
  named?: string[];
  /** It has a reading of its own behind SAFE., which answers NULL instead of failing; the others are tried. */
  safely?: true;
  emit: (args: Expression[], written: Written) => Expression;
};
export type Written = { name: string; part: string; named: Map<string, Expression>; safe: boolean };
