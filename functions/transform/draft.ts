/**
 * Draft.js rich text (raw content: `{blocks, entityMap}`) to plain text, Markdown or HTML.
 *
 * The file runs inside BigQuery as the body of a JavaScript UDF (see udf.ts) and is imported by tests. So it imports nothing,
 * has ASCII characters only and no backtick outside comments (udf.ts drops whole comment lines and must be sure that they are
 * comments), and keeps to ECMAScript 2019 without Intl, modules or a DOM.
 *
 * | Input                                   | Result                                                                           |
 * |-----------------------------------------|----------------------------------------------------------------------------------|
 * | NULL                                    | NULL                                                                             |
 * | Draft content                           | converted: an object whose `blocks` is an array that is empty, or stands beside  |
 * |                                         | an `entityMap`, or has an entry with a string `text` (Slack's and Editor.js's    |
 * |                                         | `{blocks}` have neither)                                                         |
 * | a JSON string that holds Draft content  | unwrapped once, converted                                                        |
 * | anything else, JSON or not              | is the plain text itself: text unchanged; Markdown escaped, line breaks kept     |
 * |                                         | (blank lines part paragraphs); HTML escaped, line breaks are `<br>`              |
 * | result over MAX_OUTPUT_BYTES, or        | `[content too large to convert: N characters]`, N = the input's code points      |
 * | input over MAX_INPUT_CHARACTERS         |                                                                                  |
 * | unpaired surrogates (JSON `\ud83d`)     | U+FFFD, since UTF-8 has no form for them                                         |
 *
 * | In Draft content                        | Result                                                                           |
 * |-----------------------------------------|----------------------------------------------------------------------------------|
 * | text format                             | the blocks' texts joined by a line feed, as draft-js' getPlainText() gives it;   |
 * |                                         | links and images add nothing. Blocks that share a key are all kept (Draft keeps  |
 * |                                         | one)                                                                             |
 * | block that is no object                 | an unstyled block: a string, number or boolean is its text                       |
 * | text missing or no string               | empty; a number or boolean as JSON writes it                                     |
 * | type unknown, missing                   | unstyled; `media` is atomic (its name before Draft 0.5)                          |
 * | depth                                   | whole part, 0 to MAX_DEPTH; else 0                                               |
 * | children (Draft's tree form)            | follow their parent; list parents without text are left out, as Draft does       |
 * | offset, length                          | Unicode code points, as Draft counts; cut to the text; ranges with a value that  |
 * |                                         | is no integer are ignored                                                        |
 * | entityMap missing, null, a list         | no entities; a list is looked up by index                                        |
 * | entity ranges that overlap              | the last one wins, as in Draft; a key without an entity is no entity             |
 * | style unknown                           | ignored                                                                          |
 * | LINK (url, href; title)                 | link if http, https or mailto. Other schemes, relative and protocol-relative     |
 * |                                         | URLs (nothing to resolve them against in a warehouse) and URLs with a backslash  |
 * |                                         | (clients disagree on them) leave the text alone. As in the WHATWG URL parser,    |
 * |                                         | tabs and line breaks anywhere and blanks around do not count                     |
 * | VIDEO, AUDIO, EMBED, EMBEDDED_LINK      | a link to src, url or href; its text is the URL where the text is blank          |
 * | IMAGE (src, url; alt, width, height)    | image if http or https, alt falls back to the text; else the alt text alone      |
 * | HR, HORIZONTAL_RULE, DIVIDER            | in an atomic block: a rule                                                       |
 * | MENTION, HASHTAG, unknown entities      | their text                                                                       |
 * | atomic without image or rule            | a paragraph                                                                      |
 * | code-block                              | consecutive ones are one block; styles and entities in it are dropped            |
 * | lists                                   | nested by depth; a jump in depth counts as one level; each list counts from 1    |
 * | empty unstyled blocks, headers, quotes  | HTML: a paragraph is `<p><br></p>` (Draft's blank line); Markdown: none          |
 * | line breaks within a block              | HTML `<br>`; Markdown a backslash break, `<br>` in headers, a blank in code      |
 *
 * HTML: every `<a>` has rel="noopener noreferrer nofollow", for users wrote the links; styles that cross are closed and reopened.
 *
 * Markdown is CommonMark plus GitHub's `~~`. Underline, highlight, sub- and superscript have no mark there and are written as
 * tags (`<u>`, `<mark>`, `<sub>`, `<sup>`). So is emphasis where CommonMark would not see a mark as one, as in `x<em>y</em>`
 * next to other marks, or in Japanese text, where a bold run that ends in a full stop is followed by a letter.
 */
export type DraftFormat = 'text' | 'markdown' | 'html';

/**
 * The longest result, in UTF-8 bytes. BigQuery: what a UDF "outputs when processing a single row should be approximately 5 MB or
 * less". 1 MB for a value leaves room for four of them in a row.
 */
export const MAX_OUTPUT_BYTES = 1000000;

/**
 * The longest input that is parsed, in UTF-16 units. BigQuery bounds a UDF's memory without saying where, and one row beyond it
 * fails the whole query. Draft content of this length is a pasted image's data, hardly text.
 */
export const MAX_INPUT_CHARACTERS = 10000000;

/** The deepest list level. Draft's own style sheet knows 0 to 4. */
export const MAX_DEPTH = 10;

/** Converts one value; the cases are in the table above. Never throws, whatever the value holds. */
export function convertDraft(raw: string | null, format: DraftFormat): string | null {
  const results = convertDraftToAll(raw, [format]);
  return results === null ? null : (results[0] as string);
}

/** The same for several formats, one result for each in their order: reading the content is half of the work, and done once. */
export function convertDraftToAll(raw: string | null, formats: DraftFormat[]): string[] | null {
  if (raw === null) return null;
  const isShort = raw.length <= MAX_INPUT_CHARACTERS;
  const content = isShort ? parseContent(raw) : null;
  return formats.map((format) => {
    const result = isShort
      ? wellFormed(content === null ? convertPlain(raw, format) : convertContent(content, format))
      : null;
    if (result !== null && fitsOutput(result)) return result;
    return '[content too large to convert: ' + countCodePoints(raw) + ' characters]';
  });
}

// ---- Reading: whatever JSON there is becomes blocks of a known shape ----

interface Content {
  blocks: Block[];
  entities: Map<string, Target | null>;
  entityMap: unknown;
}

interface Block {
  type: string;
  text: string;
  depth: number;
  styleRanges: unknown;
  entityRanges: unknown;
}

interface Fields {
  [name: string]: unknown;
}

function parseContent(raw: string): Content | null {
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

function isFields(value: unknown): value is Fields {
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

function readText(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

function isItem(block: Block): boolean {
  return block.type === 'unordered-list-item' || block.type === 'ordered-list-item';
}

// ---- Entities: what a range points at, with its URL already judged ----

type Target = Link | Image | Rule;

interface Link {
  kind: 'link';
  url: string;
  title: string;
  /** An embed has no text of its own: it shows its URL. */
  showsUrl: boolean;
}

interface Image {
  kind: 'image';
  /** Empty where the source is not allowed. */
  url: string;
  alt: string;
  width: string;
  height: string;
}

interface Rule {
  kind: 'rule';
}

function findTarget(content: Content, key: unknown): Target | null {
  if (typeof key !== 'string' && typeof key !== 'number') return null;
  const name = String(key);
  let target = content.entities.get(name);
  if (target === undefined) {
    target = readTarget(content.entityMap, name);
    content.entities.set(name, target);
  }
  return target;
}

function readTarget(entityMap: unknown, name: string): Target | null {
  if (typeof entityMap !== 'object' || entityMap === null) return null;
  const property = Object.getOwnPropertyDescriptor(entityMap, name);
  const entity: unknown = property === undefined ? undefined : property.value;
  if (!isFields(entity) || typeof entity.type !== 'string') return null;
  const data = isFields(entity.data) ? entity.data : {};
  switch (entity.type.toUpperCase()) {
    case 'LINK':
      return readLink(firstText(data.url, data.href), data, false);
    case 'VIDEO':
    case 'AUDIO':
    case 'EMBED':
    case 'EMBEDDED_LINK':
      return readLink(firstText(data.src, data.url, data.href), data, true);
    case 'IMAGE':
      return {
        kind: 'image',
        url: allowedUrl(firstText(data.src, data.url), /^https?:\/\/[^/?#]/i),
        alt: readText(data.alt),
        width: readPixels(data.width),
        height: readPixels(data.height),
      };
    case 'HR':
    case 'HORIZONTAL_RULE':
    case 'DIVIDER':
      return { kind: 'rule' };
    default:
      return null;
  }
}

function readLink(address: string, data: Fields, showsUrl: boolean): Link | null {
  const url = allowedUrl(address, /^(?:https?:\/\/[^/?#]|mailto:[^?])/i);
  return url === '' ? null : { kind: 'link', url, title: readText(data.title), showsUrl };
}

function firstText(...values: unknown[]): string {
  for (const value of values) if (typeof value === 'string' && value !== '') return value;
  return '';
}

function readPixels(value: unknown): string {
  const match = /^(\d{1,5})(?:\.\d+)?(?:px)?$/.exec(readText(value));
  return match === null || match[1] === undefined ? '' : match[1];
}

/**
 * The URL, if it has an allowed beginning, with every character that could end an attribute or a Markdown link percent-encoded;
 * else ''. What browsers skip is removed before the scheme is judged, so that "java\nscript:" is seen as they would see it.
 */
function allowedUrl(address: string, beginning: RegExp): string {
  const url = trimWhile(address.replace(/[\t\n\r]/g, ''), (unit) => unit <= 32);
  if (!beginning.test(url) || url.indexOf('\\') >= 0) return '';
  // Kept: printable ASCII without " < > ^ { | } and the backtick, and the rest of Unicode without line and bidi controls.
  return url.replace(/[^!#-;=?-[\]_a-z~\xa1-\u2027\u202f-\u2065\u206a-\uffff]/g, encodeURIComponent);
}

// ---- Runs: stretches of one block's text with the same styles and the same target ----

interface Style {
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
const CODE = 128;

interface Run {
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
function splitRuns(block: Block, content: Content): Run[] {
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

// ---- Tokens: runs with properly nested beginnings and ends ----

type Token =
  | { kind: 'text'; text: string }
  | { kind: 'code'; text: string }
  | { kind: 'image'; image: Image; text: string }
  | { kind: 'open'; element: Element }
  | { kind: 'close'; element: Element };

/** One opening with its end: compared by identity. */
interface Element {
  wrap: Style | Link;
}

/** Links are outermost, so that a style that begins within one never splits it. With codeIsLeaf, code is a token, not an element. */
function nestRuns(runs: Run[], codeIsLeaf: boolean): Token[] {
  const tokens: Token[] = [];
  const open: Element[] = [];
  let link: Link | null = null;
  const closeDownTo = (count: number): void => {
    while (open.length > count) {
      const element = open.pop();
      if (element !== undefined) tokens.push({ kind: 'close', element });
    }
  };
  const push = (wrap: Style | Link): void => {
    const element = { wrap };
    open.push(element);
    tokens.push({ kind: 'open', element });
  };

  for (const run of runs) {
    const wanted = run.target !== null && run.target.kind === 'link' ? run.target : null;
    if (wanted !== link) {
      closeDownTo(0);
      if (wanted !== null) push(wanted);
      link = wanted;
    }
    const styles = codeIsLeaf ? run.styles.filter((style) => style.bit !== CODE) : run.styles;
    const going = open.findIndex((element) => element.wrap.kind === 'style' && styles.indexOf(element.wrap) < 0);
    if (going >= 0) closeDownTo(going);
    for (const style of styles) if (!open.some((element) => element.wrap === style)) push(style);
    addLeaf(tokens, run, codeIsLeaf && (run.mask & CODE) !== 0 ? 'code' : 'text');
  }
  closeDownTo(0);
  return tokens;
}

function addLeaf(tokens: Token[], run: Run, kind: 'text' | 'code'): void {
  const target = run.target;
  const isBlank = run.text.trim() === '';
  if (target !== null && target.kind === 'image') {
    if (target.url !== '') tokens.push({ kind: 'image', image: target, text: target.alt || run.text.trim() });
    else addText(tokens, target.alt || run.text);
  } else if (kind === 'code' && !isBlank) {
    tokens.push({ kind, text: run.text });
  } else {
    addText(tokens, target !== null && target.kind === 'link' && target.showsUrl && isBlank ? target.url : run.text);
  }
}

function addText(tokens: Token[], text: string): void {
  const last = tokens[tokens.length - 1];
  if (last !== undefined && last.kind === 'text') last.text += text;
  else if (text !== '') tokens.push({ kind: 'text', text });
}

// ---- Blocks to documents ----

function convertPlain(text: string, format: DraftFormat): string {
  if (format === 'html') return escapeHtml(text, '<br>');
  if (format === 'markdown') {
    const paragraphs = normalizeLines(text).split(/\n{2,}/);
    return joinParts(
      paragraphs.map((paragraph) => markdownLines(escapeMarkdown(paragraph)).join('\\\n')),
      '\n\n',
    );
  }
  return text;
}

function convertContent(content: Content, format: DraftFormat): string {
  if (format === 'html') {
    return groupBlocks(content.blocks)
      .map((group) => groupToHtml(group, content))
      .join('\n');
  }
  if (format === 'markdown') return groupsToMarkdown(groupBlocks(content.blocks), content);
  return content.blocks.map((block) => block.text).join('\n');
}

/** Consecutive list items are one group, and so are consecutive code blocks; any other block is alone. */
interface Group {
  kind: 'list' | 'code' | 'block';
  blocks: Block[];
}

function groupBlocks(blocks: Block[]): Group[] {
  const groups: Group[] = [];
  for (const block of blocks) {
    const kind = isItem(block) ? 'list' : block.type === 'code-block' ? 'code' : 'block';
    const last = groups[groups.length - 1];
    if (last !== undefined && last.kind === kind && kind !== 'block') last.blocks.push(block);
    else groups.push({ kind, blocks: [block] });
  }
  return groups;
}

function joinCode(blocks: Block[]): string {
  return normalizeLines(blocks.map((block) => block.text).join('\n'));
}

function isAtomic(block: Block): boolean {
  return block.type === 'atomic' || block.type === 'media';
}

function isRule(block: Block, runs: Run[]): boolean {
  return isAtomic(block) && runs.some((run) => run.target !== null && run.target.kind === 'rule');
}

/** 1 to 6, or 0 for what is no header. */
function headerLevel(type: string): number {
  return ['header-one', 'header-two', 'header-three', 'header-four', 'header-five', 'header-six'].indexOf(type) + 1;
}

interface List {
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
function enterList(lists: List[], block: Block): List[] {
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

// ---- HTML ----

function groupToHtml(group: Group, content: Content): string {
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

function escapeHtml(text: string, lineBreak: string): string {
  const escaped = text.replace(/[&<>"']/g, (character) => HTML_ESCAPES.get(character) || '');
  return withoutNul(normalizeLines(escaped)).replace(/\n/g, lineBreak);
}

// ---- Markdown: blocks ----

function groupsToMarkdown(groups: Group[], content: Content): string {
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

function joinParts(parts: string[], separator: string): string {
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

function longestBackticks(text: string): number {
  return (text.match(/\x60+/g) || []).reduce((longest, run) => Math.max(longest, run.length), 0);
}

// ---- Markdown: within a block ----

/** A block's lines, to be joined by hard breaks; none where there is nothing to see. */
function inlineToMarkdown(runs: Run[]): string[] {
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

function escapeMarkdown(text: string): string {
  return withoutNul(text).replace(/[\\\x60*_[\]<~|]|&(?=#?[0-9A-Za-z]+;)/g, '\\$&');
}

/** The lines without the blanks that Markdown would read as indentation or breaks, and with what would begin a block escaped. */
function markdownLines(inline: string): string[] {
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

// ---- Strings and arrays ----

/** A reversed copy; Array#toReversed is too new. */
function backwards<T>(items: T[]): T[] {
  const reversed = items.slice();
  let end = items.length;
  for (const item of items) reversed[--end] = item;
  return reversed;
}

function normalizeLines(text: string): string {
  return text.replace(/\r\n?/g, '\n');
}

/** HTML and Markdown have no U+0000. */
function withoutNul(text: string): string {
  return text.split('\u0000').join('\ufffd');
}

function wellFormed(text: string): string {
  // With the u flag a pair is one character, so only unpaired surrogates match.
  return text.replace(/[\ud800-\udfff]/gu, '\ufffd');
}

function leadingBlanks(text: string): number {
  let count = 0;
  while (count < text.length && /\s/.test(text.charAt(count))) count += 1;
  return count;
}

function trailingBlanks(text: string): number {
  let count = 0;
  while (count < text.length && /\s/.test(text.charAt(text.length - 1 - count))) count += 1;
  return count;
}

/** A loop, since a regular expression that looks for blanks at the end takes quadratic time on many blanks in between. */
function trimWhile(text: string, isTrimmed: (unit: number) => boolean): string {
  let begin = 0;
  let end = text.length;
  while (begin < end && isTrimmed(text.charCodeAt(begin))) begin += 1;
  while (begin < end && isTrimmed(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(begin, end);
}

function countCodePoints(text: string): number {
  let count = text.length;
  for (let index = 0; index + 1 < text.length; index++) {
    if ((text.charCodeAt(index) & 0xfc00) === 0xd800 && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00) {
      count -= 1;
      index += 1;
    }
  }
  return count;
}

function fitsOutput(text: string): boolean {
  if (text.length > MAX_OUTPUT_BYTES) return false;
  let bytes = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    // Each half of a surrogate pair stands for two of its four bytes.
    bytes += unit < 0x80 ? 1 : unit < 0x800 || (unit & 0xf800) === 0xd800 ? 2 : 3;
  }
  return bytes <= MAX_OUTPUT_BYTES;
}
