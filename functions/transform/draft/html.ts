import type { Block, Content } from './content.ts';
import { enterList, headerLevel, isAtomic, isRule, joinCode, type Group, type List } from './groups.ts';
import { splitRuns } from './runs.ts';
import { backwards, normalizeLines, withoutNul } from './strings.ts';
import { nestRuns, type Token } from './tokens.ts';

export function groupToHtml(group: Group, content: Content): string {
  if (group.kind === 'list') return listToHtml(group.blocks, content);
  if (group.kind === 'code') return '<pre><code>' + escapeHtml(joinCode(group.blocks), '\n') + '</code></pre>';
  return group.blocks.map((block) => blockToHtml(block, content)).join('');
}

function blockToHtml(block: Block, content: Content): string {
  const runs = splitRuns(block, content);
  if (isRule(block, runs)) return '<hr>';
  const tokens = nestRuns(runs, false);
  const inner = tokens.map(tokenToHtml).join('');
  const level = headerLevel(block.type);
  if (level > 0) return '<h' + level + '>' + inner + '</h' + level + '>';
  if (block.type === 'blockquote') return '<blockquote>' + inner + '</blockquote>';
  if (isAtomic(block) && tokens.some((token) => token.kind === 'image')) return '<figure>' + inner + '</figure>';
  return '<p>' + (inner.trim() === '' ? '<br>' : inner) + '</p>';
}

function listToHtml(blocks: Block[], content: Content): string {
  const lists: List[] = [];
  const html: string[] = [];
  for (const block of blocks) {
    for (const list of enterList(lists, block)) html.push('</li></' + list.tag + '>');
    const list = lists[lists.length - 1];
    if (list === undefined) continue;
    html.push(list.count === 0 ? '<' + list.tag + '>' : '</li>', '<li>');
    list.count += 1;
    html.push(nestRuns(splitRuns(block, content), false).map(tokenToHtml).join(''));
  }
  for (const list of backwards(lists)) html.push('</li></' + list.tag + '>');
  return html.join('');
}

function tokenToHtml(token: Token): string {
  if (token.kind === 'image') {
    return (
      '<img' +
      attribute('src', token.image.url) +
      ' alt="' +
      escapeHtml(token.text, ' ') +
      '"' +
      attribute('width', token.image.width) +
      attribute('height', token.image.height) +
      '>'
    );
  }
  if (token.kind === 'text' || token.kind === 'code') return escapeHtml(token.text, '<br>');
  const wrap = token.element.wrap;
  if (token.kind === 'close') return wrap.kind === 'link' ? '</a>' : '</' + wrap.tag + '>';
  if (wrap.kind === 'style') return '<' + wrap.tag + '>';
  return '<a' + attribute('href', wrap.url) + attribute('title', wrap.title) + ' rel="noopener noreferrer nofollow">';
}

function attribute(name: string, value: string): string {
  return value === '' ? '' : ' ' + name + '="' + escapeHtml(value, ' ') + '"';
}

const HTML_ESCAPES = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
  ["'", '&#39;'],
]);

export function escapeHtml(text: string, lineBreak: string): string {
  const escaped = text.replace(/[&<>"']/g, (character) => HTML_ESCAPES.get(character) || '');
  return withoutNul(normalizeLines(escaped)).replace(/\n/g, lineBreak);
}
