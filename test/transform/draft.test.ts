import assert from 'node:assert/strict';
import { test } from 'node:test';
import { convertDraft, MAX_INPUT_CHARACTERS, MAX_OUTPUT_BYTES } from '../../functions/transform/draft/index.ts';
import { draftCases } from '../fixtures/draft/cases.ts';
import { readHtml } from '../fixtures/draft/read-html.ts';

for (const { name, raw, text, markdown, html } of draftCases()) {
  test(name, () => {
    assert.equal(convertDraft(raw, 'text'), text, 'text');
    assert.equal(convertDraft(raw, 'markdown'), markdown, 'markdown');
    assert.equal(convertDraft(raw, 'html'), html, 'html');
    readHtml(html ?? '');
  });
}

test('the longest result is MAX_OUTPUT_BYTES of UTF-8', () => {
  for (const character of ['a', 'é', '語', '👋']) {
    const count = Math.floor(MAX_OUTPUT_BYTES / Buffer.byteLength(character));
    const longest = character.repeat(count);
    assert.equal(convertDraft(longest, 'text'), longest);
    assert.equal(
      convertDraft(longest + character, 'text'),
      `[content too large to convert: ${count + 1} characters]`,
      character,
    );
  }
});

test('each format is measured by its own result', () => {
  const raw = draftOf([{ text: '&'.repeat(300_000) }]);
  assert.equal(convertDraft(raw, 'text'), '&'.repeat(300_000));
  assert.equal(convertDraft(raw, 'html'), `[content too large to convert: ${raw.length} characters]`);
});

test('an input over MAX_INPUT_CHARACTERS is not parsed', () => {
  const raw = draftOf([{ text: 'short' }]);
  const padded = raw + ' '.repeat(MAX_INPUT_CHARACTERS - raw.length);
  assert.equal(convertDraft(padded, 'text'), 'short');
  assert.equal(convertDraft(padded + ' ', 'text'), '[content too large to convert: 10000001 characters]');
});

test('children may be nested deeper than the stack of a recursion', () => {
  const depth = 20_000;
  const raw =
    '{"blocks":[' +
    '{"type":"unordered-list-item","text":"x","children":['.repeat(depth) +
    ']}'.repeat(depth) +
    '],"entityMap":{}}';
  assert.equal(convertDraft(raw, 'text'), Array(depth).fill('x').join('\n'));
});

/** Inputs of megabytes on which a quadratic step takes minutes; the bound is far above what linear ones take. */
const large: [string, () => string][] = [
  ['nested style ranges', () => draftOf([{ text: 'ab '.repeat(30_000), inlineStyleRanges: nestedRanges('style') }])],
  ['nested links', () => draftOf([{ text: 'ab '.repeat(30_000), entityRanges: nestedRanges('key') }])],
  [
    'links and styles that change at every character',
    () =>
      draftOf([
        {
          text: '👋'.repeat(20_000),
          inlineStyleRanges: Array.from({ length: 20_000 }, (_, i) => ({
            offset: i,
            length: 1 + (i % 3),
            style: styleOf(i),
          })),
          entityRanges: Array.from({ length: 10_000 }, (_, i) => ({ offset: 2 * i, length: 1, key: i % 2 })),
        },
      ]),
  ],
  [
    'many blocks',
    () => draftOf(Array.from({ length: 60_000 }, (_, i) => ({ text: `- ${i}`, type: typeOf(i), depth: i % 7 }))),
  ],
  ['blanks', () => draftOf([{ text: `a${' '.repeat(400_000)}b\n${' \n'.repeat(200_000)}c` }])],
  [
    'bold blanks',
    () => draftOf([{ text: ' '.repeat(800_000), inlineStyleRanges: [{ offset: 0, length: 4e5, style: 'BOLD' }] }]),
  ],
  [
    'code',
    () =>
      draftOf([{ text: ` ${'` '.repeat(200_000)}`, inlineStyleRanges: [{ offset: 0, length: 4e5, style: 'CODE' }] }]),
  ],
  ['marks', () => draftOf([{ text: '&#!*[`\\'.repeat(60_000) }])],
  ['plain text', () => `${'\n \n&amp'.repeat(100_000)}${' '.repeat(200_000)}#`],
  ['number signs in a header', () => draftOf([{ text: '# #'.repeat(150_000), type: 'header-one' }])],
];
for (const [name, build] of large) {
  test(`linear time: ${name}`, { timeout: 20_000 }, () => {
    const raw = build();
    const start = performance.now();
    for (const format of ['text', 'markdown', 'html'] as const)
      assert.equal(typeof convertDraft(raw, format), 'string');
    assert.ok(performance.now() - start < 8_000, `took ${Math.round(performance.now() - start)} ms`);
  });
}

function draftOf(blocks: object[]): string {
  const link = { type: 'LINK', data: { url: 'https://example.org/' } };
  return JSON.stringify({ blocks, entityMap: { 0: link, 1: link } });
}

function nestedRanges(field: 'style' | 'key'): object[] {
  return Array.from({ length: 40_000 }, (_, i) => ({
    offset: i,
    length: 85_000 - 2 * i,
    [field]: field === 'key' ? i % 2 : styleOf(i),
  }));
}

function styleOf(index: number): string {
  return ['BOLD', 'ITALIC', 'UNDERLINE', 'CODE', 'STRIKETHROUGH'][index % 5] ?? '';
}

function typeOf(index: number): string {
  return ['unordered-list-item', 'ordered-list-item', 'unordered-list-item', 'code-block', 'unstyled'][index % 5] ?? '';
}
