import type { Block, Content } from './content.ts';
import { enterList, headerLevel, isRule, joinCode, type Group, type List } from './groups.ts';
import { inlineToMarkdown, longestBackticks } from './markdown-inline.ts';
import { splitRuns } from './runs.ts';
import { withoutNul } from './strings.ts';

/** Markdown of whole blocks; what is within one is in markdown-inline.ts. */

export function groupsToMarkdown(groups: Group[], content: Content): string {
  const parts: string[] = [];
  let previousTag = '';
  let other = false;
  for (const group of groups) {
    if (group.kind === 'list') {
      // Only another marker parts two lists of a kind that have nothing, or an empty block, between them.
      const first = group.blocks[0];
      const tag = first !== undefined && first.type === 'ordered-list-item' ? 'ol' : 'ul';
      other = tag === previousTag && !other;
      const list = listToMarkdown(group.blocks, content, other);
      parts.push(list.text);
      previousTag = list.lastTag;
    } else {
      const part = group.kind === 'code' ? fenceCode(joinCode(group.blocks)) : blockToMarkdown(group, content);
      if (part !== '') previousTag = '';
      parts.push(part);
    }
  }
  return joinParts(parts, '\n\n');
}

export function joinParts(parts: string[], separator: string): string {
  return parts.filter((part) => part !== '').join(separator);
}

function blockToMarkdown(group: Group, content: Content): string {
  const block = group.blocks[0];
  if (block === undefined) return '';
  const runs = splitRuns(block, content);
  if (isRule(block, runs)) return '---';
  const lines = inlineToMarkdown(runs);
  if (lines.length === 0) return '';
  const level = headerLevel(block.type);
  // A header is one line, and drops number signs at its end.
  if (level > 0) return '#'.repeat(level) + ' ' + escapeHeaderEnd(lines.join('<br>'));
  if (block.type === 'blockquote') return '> ' + lines.join('\\\n> ');
  return lines.join('\\\n');
}

function escapeHeaderEnd(line: string): string {
  let end = line.length;
  while (end > 0 && line.charAt(end - 1) === '#') end -= 1;
  return end < line.length && /[ \t]/.test(line.charAt(end - 1)) ? line.slice(0, end) + '\\' + line.slice(end) : line;
}

function listToMarkdown(blocks: Block[], content: Content, other: boolean): { text: string; lastTag: string } {
  const lists: List[] = [];
  const lines: string[] = [];
  for (const block of blocks) {
    enterList(lists, block);
    const list = lists[lists.length - 1];
    if (list === undefined) continue;
    list.count += 1;
    const marker = list.tag === 'ul' ? (other ? '* ' : '- ') : list.count + (other ? ') ' : '. ');
    list.innerIndent = list.indent + ' '.repeat(marker.length);
    const inner = inlineToMarkdown(splitRuns(block, content)).join('\\\n' + list.innerIndent);
    // An empty item inside another would be read as the underline of a header, or as text.
    lines.push(list.indent + marker + (inner === '' ? '<!-- -->' : inner));
  }
  const outermost = lists[0];
  return { text: lines.join('\n'), lastTag: outermost === undefined ? '' : outermost.tag };
}

function fenceCode(code: string): string {
  const fence = '\x60'.repeat(Math.max(3, longestBackticks(code) + 1));
  return fence + '\n' + withoutNul(code) + '\n' + fence;
}
