import { parseContent, type Content } from './content.ts';
import { groupBlocks } from './groups.ts';
import { escapeHtml, groupToHtml } from './html.ts';
import { escapeMarkdown, markdownLines } from './markdown-inline.ts';
import { groupsToMarkdown, joinParts } from './markdown.ts';
import { countCodePoints, normalizeLines, wellFormed } from './strings.ts';

/**
 * Draft.js rich text (raw content: `{blocks, entityMap}`) to plain text, Markdown or HTML.
 *
 * The files of this folder run inside BigQuery as the body of a JavaScript UDF (see udf.ts) and are imported by tests. So they import
 * nothing but each other, have no two things of one name, ASCII characters only and no backtick outside comments (udf.ts drops whole
 * comment lines and must be sure that they are comments), and keep to ECMAScript 2019 without Intl or a DOM.
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
