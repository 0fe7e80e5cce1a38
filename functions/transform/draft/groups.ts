import { isItem, type Block } from './content.ts';
import type { Run } from './runs.ts';
import { normalizeLines } from './strings.ts';

/** Blocks that belong together, and what kind each is. */

/** Consecutive list items are one group, and so are consecutive code blocks; any other block is alone. */
export interface Group {
  kind: 'list' | 'code' | 'block';
  blocks: Block[];
}

export function groupBlocks(blocks: Block[]): Group[] {
  const groups: Group[] = [];
  for (const block of blocks) {
    const kind = isItem(block) ? 'list' : block.type === 'code-block' ? 'code' : 'block';
    const last = groups[groups.length - 1];
    if (last !== undefined && last.kind === kind && kind !== 'block') last.blocks.push(block);
    else groups.push({ kind, blocks: [block] });
  }
  return groups;
}

export function joinCode(blocks: Block[]): string {
  return normalizeLines(blocks.map((block) => block.text).join('\n'));
}

export function isAtomic(block: Block): boolean {
  return block.type === 'atomic' || block.type === 'media';
}

export function isRule(block: Block, runs: Run[]): boolean {
  return isAtomic(block) && runs.some((run) => run.target !== null && run.target.kind === 'rule');
}

/** 1 to 6, or 0 for what is no header. */
export function headerLevel(type: string): number {
  return ['header-one', 'header-two', 'header-three', 'header-four', 'header-five', 'header-six'].indexOf(type) + 1;
}

export interface List {
  tag: string;
  depth: number;
  count: number;
  /** Markdown: the blanks before its items, and before what belongs to its last item. */
  indent: string;
  innerIndent: string;
}

/**
 * Enters the list that an item belongs to; `lists` are the open ones, outermost first. Returns the lists that end, innermost first.
 * A jump in depth opens one level only; an item that comes back to between the two joins the level that the jump opened.
 */
export function enterList(lists: List[], block: Block): List[] {
  const tag = block.type === 'ordered-list-item' ? 'ol' : 'ul';
  const ended: List[] = [];
  const leave = (): void => {
    const list = lists.pop();
    if (list !== undefined) ended.push(list);
  };
  for (let outer = lists[lists.length - 2]; outer !== undefined && outer.depth >= block.depth;) {
    leave();
    outer = lists[lists.length - 2];
  }
  const last = lists[lists.length - 1];
  if (last !== undefined && last.depth > block.depth) last.depth = block.depth;
  if (last !== undefined && last.depth === block.depth && last.tag !== tag) leave();
  const parent = lists[lists.length - 1];
  if (parent === undefined || parent.depth < block.depth) {
    const indent = parent === undefined ? '' : parent.innerIndent;
    lists.push({ tag, depth: block.depth, count: 0, indent, innerIndent: indent });
  }
  return ended;
}
