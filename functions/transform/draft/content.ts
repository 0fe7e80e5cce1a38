import type { Target } from './entities.ts';
import { backwards } from './strings.ts';

/** Whatever JSON there is becomes blocks of a known shape. */

/** The deepest list level. Draft's own style sheet knows 0 to 4. */
export const MAX_DEPTH = 10;

export interface Content {
  blocks: Block[];
  entities: Map<string, Target | null>;
  entityMap: unknown;
}

export interface Block {
  type: string;
  text: string;
  depth: number;
  styleRanges: unknown;
  entityRanges: unknown;
}

export interface Fields {
  [name: string]: unknown;
}

export function parseContent(raw: string): Content | null {
  let value = parseJson(raw);
  if (typeof value === 'string') value = parseJson(value);
  if (!isFields(value) || !Array.isArray(value.blocks)) return null;
  const entries: unknown[] = value.blocks;
  const isDraft =
    entries.length === 0 ||
    value.entityMap !== undefined ||
    entries.some((entry) => isFields(entry) && typeof entry.text === 'string');
  return isDraft ? { blocks: readBlocks(entries), entities: new Map(), entityMap: value.entityMap } : null;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads the blocks in document order. Children are flattened with a stack of our own: nesting may be deeper than the engine's. */
function readBlocks(entries: unknown[]): Block[] {
  const blocks: Block[] = [];
  const stack: { entry: unknown; parent: Block | null }[] = [];
  for (const entry of backwards(entries)) stack.push({ entry, parent: null });
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const fields = isFields(next.entry) ? next.entry : { text: next.entry };
    const block = readBlock(fields);
    if (next.parent !== null && isItem(block) && next.parent.type === block.type) {
      block.depth = Math.min(next.parent.depth + 1, MAX_DEPTH);
    }
    const children: unknown[] = Array.isArray(fields.children) ? fields.children : [];
    if (children.length === 0 || !isItem(block) || block.text !== '') blocks.push(block);
    for (const entry of backwards(children)) stack.push({ entry, parent: block });
  }
  return blocks;
}

function readBlock(fields: Fields): Block {
  const depth = typeof fields.depth === 'number' ? Math.floor(fields.depth) : 0;
  return {
    type: typeof fields.type === 'string' ? fields.type : 'unstyled',
    text: readText(fields.text),
    depth: Math.max(0, Math.min(depth, MAX_DEPTH)),
    styleRanges: fields.inlineStyleRanges,
    entityRanges: fields.entityRanges,
  };
}

export function readText(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

export function isItem(block: Block): boolean {
  return block.type === 'unordered-list-item' || block.type === 'ordered-list-item';
}
