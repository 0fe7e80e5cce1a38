import type { Run } from './runs.ts';
import { leadingBlanks, normalizeLines, trailingBlanks, trimWhile, withoutNul } from './strings.ts';
import { addText, nestRuns, type Element, type Token } from './tokens.ts';

/** Markdown within a block. */

/** A block's lines, to be joined by hard breaks; none where there is nothing to see. */
export function inlineToMarkdown(runs: Run[]): string[] {
  const tokens = moveBlanksOut(nestRuns(runs, true));
  const marks = chooseMarks(tokens);
  const parts = tokens.map((token, index): string => {
    if (token.kind === 'text') {
      const text = escapeMarkdown(normalizeLines(token.text));
      // "!" and a link would be an image.
      return text.endsWith('!') && opensLink(tokens[index + 1]) ? text.slice(0, -1) + '\\!' : text;
    }
    if (token.kind === 'code') return codeSpan(token.text);
    if (token.kind === 'image') return '!' + markdownLink(token.text, token.image.url, '');
    const wrap = token.element.wrap;
    if (wrap.kind === 'link') return token.kind === 'open' ? '[' : '](' + linkTarget(wrap.url, wrap.title) + ')';
    const mark = marks.get(token.element);
    if (mark !== undefined) return mark;
    return (token.kind === 'open' ? '<' : '</') + wrap.tag + '>';
  });
  return markdownLines(parts.join(''));
}

function opensLink(token: Token | undefined): boolean {
  return token !== undefined && token.kind === 'open' && token.element.wrap.kind === 'link';
}

/** Marks beside blanks are no marks, so blanks at the ends of an element move outside it; elements of blanks alone vanish. */
function moveBlanksOut(tokens: Token[]): Token[] {
  const moved: Token[] = [];
  for (const token of tokens) {
    if (token.kind === 'text') addBehindOpens(moved, token.text);
    else if (token.kind === 'close') closeBeforeBlanks(moved, token);
    else moved.push(token);
  }
  return moved;
}

function addBehindOpens(moved: Token[], text: string): void {
  let opens = moved.length;
  for (let last = moved[opens - 1]; last !== undefined && last.kind === 'open'; last = moved[opens - 1]) opens -= 1;
  const begin = opens === moved.length ? 0 : leadingBlanks(text);
  if (begin > 0) {
    const elements = moved.splice(opens);
    addText(moved, text.slice(0, begin));
    for (const element of elements) moved.push(element);
  }
  if (begin < text.length) addText(moved, text.slice(begin));
}

function closeBeforeBlanks(moved: Token[], close: Token): void {
  let blanks = '';
  const last = moved[moved.length - 1];
  if (last !== undefined && last.kind === 'text') {
    const end = last.text.length - trailingBlanks(last.text);
    blanks = last.text.slice(end);
    last.text = last.text.slice(0, end);
    if (end === 0) moved.pop();
  }
  const begin = moved[moved.length - 1];
  if (begin !== undefined && begin.kind === 'open') moved.pop();
  else moved.push(close);
  addText(moved, blanks);
}

type Edge = 'clear' | 'letter' | 'other' | 'markup';

/**
 * The marks for the elements where CommonMark surely sees them as such; the others are written as tags.
 *
 * CommonMark: an opening run is "not followed by Unicode whitespace, and either not followed by a Unicode punctuation character,
 * or followed by [one] and preceded by Unicode whitespace or a Unicode punctuation character"; a closing run the mirror image;
 * "_" moreover does not work within words. Blanks have moved out already, and no two elements of one style touch, so what is
 * left to see to is that a letter is inside, or a blank or punctuation outside. Runs of the same character would merge: italics
 * that touch other marks take "_".
 */
function chooseMarks(tokens: Token[]): Map<Element, string> {
  const marks = new Map<Element, string>();
  const begins = new Map<Element, number>();
  tokens.forEach((token, index) => {
    if (token.kind === 'open') begins.set(token.element, index);
    if (token.kind !== 'close' || token.element.wrap.kind !== 'style' || token.element.wrap.mark === '') return;
    const begin = begins.get(token.element) || 0;
    const before = edgeOf(tokens[begin - 1], true);
    const first = edgeOf(tokens[begin + 1], false);
    const last = edgeOf(tokens[index - 1], true);
    const after = edgeOf(tokens[index + 1], false);
    const flanks = (first === 'letter' || isClear(before)) && (last === 'letter' || isClear(after));
    const touches = [before, first, last, after].indexOf('markup') >= 0;
    if (token.element.wrap.mark === '*' && touches) {
      if (isClear(before) && isClear(after)) marks.set(token.element, '_');
    } else if (flanks) {
      marks.set(token.element, token.element.wrap.mark);
    }
  });
  return marks;
}

function isClear(edge: Edge): boolean {
  return edge === 'clear' || edge === 'markup';
}

/** Blanks as CommonMark knows them, and ASCII punctuation, which every version of it knows. */
const CLEAR = /[\t\n\f\r \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000!-/:-@[-\x60{-~]/;

/** Surely letters or digits, in the most used scripts; \p{L} would need the engine's Unicode data. */
const LETTER =
  /[0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0391-\u03c9\u0400-\u0481\u05d0-\u05ea\u0620-\u064a\u0904-\u0939\u0e01-\u0e30\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]/;

function edgeOf(token: Token | undefined, atEnd: boolean): Edge {
  if (token === undefined) return 'clear';
  if (token.kind !== 'text') return 'markup';
  const character = token.text.charAt(atEnd ? token.text.length - 1 : 0);
  return CLEAR.test(character) ? 'clear' : LETTER.test(character) ? 'letter' : 'other';
}

function codeSpan(text: string): string {
  const code = withoutNul(normalizeLines(text)).replace(/\n/g, ' ');
  const fence = '\x60'.repeat(longestBackticks(code) + 1);
  // Where both ends are blank, the reader takes one off each.
  const isPadded = code.startsWith(' ') && code.endsWith(' ') && code.trim() !== '';
  const pad = isPadded || code.startsWith('\x60') || code.endsWith('\x60') ? ' ' : '';
  return fence + pad + code + pad + fence;
}

function markdownLink(text: string, url: string, title: string): string {
  return '[' + escapeMarkdown(oneLine(text)) + '](' + linkTarget(url, title) + ')';
}

function linkTarget(url: string, title: string): string {
  const escaped = url.replace(/[()]|&(?=#?[0-9A-Za-z]+;)/g, '\\$&');
  const quoted = withoutNul(oneLine(title)).replace(/["\\]|&(?=#?[0-9A-Za-z]+;)/g, '\\$&');
  return quoted === '' ? escaped : escaped + ' "' + quoted + '"';
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

export function escapeMarkdown(text: string): string {
  return withoutNul(text).replace(/[\\\x60*_[\]<~|]|&(?=#?[0-9A-Za-z]+;)/g, '\\$&');
}

/** The lines without the blanks that Markdown would read as indentation or breaks, and with what would begin a block escaped. */
export function markdownLines(inline: string): string[] {
  const lines = inline.split('\n').map((line) => {
    const trimmed = trimWhile(line, (unit) => unit === 32 || unit === 9);
    return trimmed.replace(/^(?:[-+>=#]|:(?=-))/, '\\$&').replace(/^(\d{1,9})([.)])(?=[ \t]|$)/, '$1\\$2');
  });
  let begin = 0;
  let end = lines.length;
  while (begin < end && lines[begin] === '') begin += 1;
  while (begin < end && lines[end - 1] === '') end -= 1;
  return lines.slice(begin, end);
}

export function longestBackticks(text: string): number {
  return (text.match(/\x60+/g) || []).reduce((longest, run) => Math.max(longest, run.length), 0);
}
