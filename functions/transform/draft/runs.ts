import { isFields, type Block, type Content, type Fields } from './content.ts';
import { findTarget, type Target } from './entities.ts';
import { backwards, countCodePoints } from './strings.ts';

/** Stretches of one block's text with the same styles and the same target. */

export interface Style {
  name: string;
  kind: 'style';
  bit: number;
  tag: string;
  /** Markdown's mark; empty: there is none. */
  mark: string;
}

const STYLES: Style[] = [
  { name: 'BOLD', kind: 'style', bit: 1, tag: 'strong', mark: '**' },
  { name: 'ITALIC', kind: 'style', bit: 2, tag: 'em', mark: '*' },
  { name: 'UNDERLINE', kind: 'style', bit: 4, tag: 'u', mark: '' },
  { name: 'STRIKETHROUGH', kind: 'style', bit: 8, tag: 's', mark: '~~' },
  { name: 'HIGHLIGHT', kind: 'style', bit: 16, tag: 'mark', mark: '' },
  { name: 'SUBSCRIPT', kind: 'style', bit: 32, tag: 'sub', mark: '' },
  { name: 'SUPERSCRIPT', kind: 'style', bit: 64, tag: 'sup', mark: '' },
  { name: 'CODE', kind: 'style', bit: 128, tag: 'code', mark: '' },
];
export const CODE = 128;

export interface Run {
  text: string;
  /** The styles' bits. */
  mask: number;
  target: Target | null;
  /** The styles, the one that goes on longest first: opened in this order, they seldom have to be closed early. */
  styles: Style[];
}

/** A change of state at a position: a style's range begins (+1) or ends (-1), or another target begins. */
interface Change {
  at: number;
  style: Style | null;
  step: number;
  target: Target | null;
}

/** Sorts the ranges' ends once and sweeps over them: n log n in the number of ranges, however they overlap. */
export function splitRuns(block: Block, content: Content): Run[] {
  const changes = styleChanges(block).concat(targetChanges(block, content));
  changes.sort((a, b) => a.at - b.at);
  changes.push({ at: block.text.length, style: null, step: 0, target: null });

  const runs: Run[] = [];
  const depths = new Map<Style, number>();
  let mask = 0;
  let target: Target | null = null;
  let position = 0;
  for (const change of changes) {
    if (change.at > position) {
      addRun(runs, block.text.slice(position, change.at), mask, target);
      position = change.at;
    }
    if (change.style === null) {
      target = change.target;
    } else {
      const depth = (depths.get(change.style) || 0) + change.step;
      depths.set(change.style, depth);
      mask = depth > 0 ? mask | change.style.bit : mask & ~change.style.bit;
    }
  }
  orderStyles(runs);
  return runs;
}

function addRun(runs: Run[], text: string, mask: number, target: Target | null): void {
  // A style says nothing about an image or an embed, and would cut it in two.
  const isWhole = target !== null && (target.kind === 'image' || (target.kind === 'link' && target.showsUrl));
  const kept = isWhole ? 0 : mask;
  const last = runs[runs.length - 1];
  if (last !== undefined && last.mask === kept && last.target === target) last.text += text;
  else runs.push({ text, mask: kept, target, styles: [] });
}

function orderStyles(runs: Run[]): void {
  const lastRun = new Map<Style, number>();
  let following = 0;
  for (let index = runs.length - 1; index >= 0; index--) {
    const run = runs[index];
    if (run === undefined) continue;
    for (const style of STYLES) {
      if ((run.mask & style.bit & ~following) !== 0) lastRun.set(style, index);
    }
    const ordered = STYLES.filter((style) => (run.mask & style.bit) !== 0);
    run.styles = ordered.sort((a, b) => (lastRun.get(b) || 0) - (lastRun.get(a) || 0) || a.bit - b.bit);
    following = run.mask;
  }
}

function styleChanges(block: Block): Change[] {
  const changes: Change[] = [];
  for (const range of readRanges(block.text, block.styleRanges)) {
    for (const style of STYLES) {
      if (style.name !== range.fields.style) continue;
      changes.push({ at: range.start, style, step: 1, target: null }, { at: range.end, style, step: -1, target: null });
    }
  }
  return changes;
}

interface Piece {
  at: number;
  target: Target | null;
  /** Itself while unpainted, then a piece further on. */
  next: Piece | null;
}

/**
 * The last of overlapping ranges wins. So paint from the last range to the first, each piece between two range ends only once:
 * painted pieces are skipped by following `next`, whose paths are halved on the way.
 */
function targetChanges(block: Block, content: Content): Change[] {
  const ranges = readRanges(block.text, block.entityRanges).filter((range) => isEntity(content, range.fields.key));
  const ends = new Set<number>();
  for (const range of ranges) ends.add(range.start).add(range.end);
  const pieces = new Map<number, Piece>();
  let after: Piece | null = null;
  const ordered: Piece[] = [];
  for (const at of Array.from(ends).sort((a, b) => b - a)) {
    const piece: Piece = { at, target: null, next: after };
    ordered.push(piece);
    pieces.set(at, piece);
    after = piece;
  }
  const painted = new Set<Piece>();
  for (const range of backwards(ranges)) {
    const target = findTarget(content, range.fields.key);
    let piece = firstUnpainted(pieces.get(range.start) || null, painted);
    while (piece !== null && piece.at < range.end) {
      piece.target = target;
      painted.add(piece);
      piece = firstUnpainted(piece, painted);
    }
  }
  return backwards(ordered).map((piece) => ({ at: piece.at, style: null, step: 0, target: piece.target }));
}

function firstUnpainted(start: Piece | null, painted: Set<Piece>): Piece | null {
  let piece = start;
  while (piece !== null && painted.has(piece)) {
    if (piece.next !== null && painted.has(piece.next)) piece.next = piece.next.next;
    piece = piece.next;
  }
  return piece;
}

/** Draft drops a range without an entity before it lets the last range win. */
function isEntity(content: Content, key: unknown): boolean {
  return (
    (typeof key === 'string' || typeof key === 'number') &&
    typeof content.entityMap === 'object' &&
    content.entityMap !== null &&
    Object.prototype.hasOwnProperty.call(content.entityMap, String(key))
  );
}

interface Range {
  start: number;
  end: number;
  fields: Fields;
}

/** The ranges as positions in the string, cut to it, without empty and unreadable ones. */
function readRanges(text: string, value: unknown): Range[] {
  if (!Array.isArray(value) || value.length === 0) return [];
  const entries: unknown[] = value;
  const positions = codePointPositions(text);
  const count = positions === null ? text.length : positions.length - 1;
  const position = (codePoint: number): number => {
    const bounded = Math.max(0, Math.min(codePoint, count));
    return positions === null ? bounded : positions[bounded] || 0;
  };
  const ranges: Range[] = [];
  for (const entry of entries) {
    if (!isFields(entry) || !isInteger(entry.offset) || !isInteger(entry.length)) continue;
    const start = position(entry.offset);
    const end = position(entry.offset + entry.length);
    if (start < end) ranges.push({ start, end, fields: entry });
  }
  return ranges;
}

function isInteger(value: unknown): value is number {
  return Number.isInteger(value);
}

/** Where each code point begins, and the text's end; null where every code point is one unit. */
function codePointPositions(text: string): Uint32Array | null {
  const count = countCodePoints(text);
  if (count === text.length) return null;
  const positions = new Uint32Array(count + 1);
  let index = 0;
  let position = 0;
  for (const codePoint of text) {
    positions[index] = position;
    position += codePoint.length;
    index += 1;
  }
  positions[index] = position;
  return positions;
}
