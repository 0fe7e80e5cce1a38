/** draft-js itself is the judge of what raw content says: its plain text, and each character's styles and link. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import draft from 'draft-js';
import * as fc from 'fast-check';
import { z } from 'zod';
import { convertDraft } from '../../functions/transform/draft/index.ts';
import { draftCases } from '../fixtures/draft/cases.ts';
import { type HtmlCharacter, readHtml } from '../fixtures/draft/read-html.ts';

const TAGS = new Map([
  ['BOLD', 'strong'],
  ['ITALIC', 'em'],
  ['UNDERLINE', 'u'],
  ['STRIKETHROUGH', 's'],
  ['HIGHLIGHT', 'mark'],
  ['SUBSCRIPT', 'sub'],
  ['SUPERSCRIPT', 'sup'],
  ['CODE', 'code'],
]);

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 30 }),
  fc
    .array(fc.constantFrom('👋', '👨‍👩‍👧', '🇩🇪', 'e\u0301', 'ä', '語', 'ع', ' ', 'x', '<', '&'), { maxLength: 20 })
    .map((parts) => parts.join('')),
);
const reach = { offset: fc.nat(30), length: fc.nat(30) };
const styleRange = fc.record({ ...reach, style: fc.constantFrom(...TAGS.keys(), 'color-red') });
// Key 3 is an entity without a link, key 4 has no entity.
const entityRange = fc.record({ ...reach, key: fc.nat(4) });
const block = fc.record({
  text,
  type: fc.constantFrom(
    'unstyled',
    'header-one',
    'blockquote',
    'unordered-list-item',
    'ordered-list-item',
    'code-block',
    'atomic',
    'odd',
  ),
  depth: fc.nat(4),
  inlineStyleRanges: fc.array(styleRange, { maxLength: 8 }),
  entityRanges: fc.array(entityRange, { maxLength: 5 }),
});
const entityMap = {
  0: { type: 'LINK', mutability: 'MUTABLE', data: { url: 'https://example.org/0' } },
  1: { type: 'LINK', mutability: 'MUTABLE', data: { url: 'mailto:one@example.org' } },
  2: { type: 'LINK', mutability: 'MUTABLE', data: { url: 'http://example.org/2' } },
  3: { type: 'MENTION', mutability: 'SEGMENTED', data: {} },
} as const;

test('plain text of the fixtures that draft-js can read', () => {
  const read = draftCases().flatMap(({ name, raw, text }) => {
    try {
      return raw === null ? [] : [{ name, ours: text, theirs: readWithDraft(raw).getPlainText().toWellFormed() }];
    } catch {
      // draft-js throws on what its types rule out, and JSON.parse on plain text.
      return [];
    }
  });
  assert.ok(read.length > 80, `draft-js read ${read.length}`);
  for (const { name, ours, theirs } of read) assert.equal(ours, theirs, name);
});

test('plain text of any valid content', () => {
  fc.assert(
    fc.property(fc.array(block, { minLength: 1, maxLength: 8 }), (blocks) => {
      const keyed = blocks.map((fields, index) => ({ ...fields, key: `k${index}` }));
      const raw = JSON.stringify({ blocks: keyed, entityMap });
      assert.equal(convertDraft(raw, 'text'), readWithDraft(raw).getPlainText());
    }),
    { numRuns: 300 },
  );
});

test('styles and links of every character', () => {
  fc.assert(
    fc.property(block, (fields) => {
      // A letter at the end, for a blank paragraph's HTML is not its text.
      const unstyled = { ...fields, key: 'k', type: 'unstyled', text: `${fields.text}x` };
      const raw = JSON.stringify({ blocks: [unstyled], entityMap });
      assert.deepEqual(readHtml(convertDraft(raw, 'html') ?? '').map(describeOurs), describeTheirs(raw));
    }),
    { numRuns: 500 },
  );
});

interface Described {
  unit: string;
  tags: string;
  href: string | null;
}

function describeOurs({ unit, tags, href }: HtmlCharacter): Described {
  return {
    unit,
    tags: tags
      .filter((tag) => tag !== 'p' && tag !== 'a')
      .sort()
      .join(' '),
    href,
  };
}

function describeTheirs(raw: string): Described[] {
  const content = readWithDraft(raw);
  const first = content.getFirstBlock();
  return Array.from({ length: first.getLength() }, (_, index) => {
    const styles = first.getInlineStyleAt(index).toArray();
    const key: string | null = first.getEntityAt(index);
    const data: unknown = key === null ? {} : content.getEntity(key).getData();
    return {
      unit: first.getText().charAt(index),
      tags: styles
        .flatMap((style) => TAGS.get(style) ?? [])
        .sort()
        .join(' '),
      href: z.object({ url: z.string() }).safeParse(data).data?.url ?? null,
    };
  });
}

function readWithDraft(raw: string): draft.ContentState {
  return draft.convertFromRaw(JSON.parse(raw));
}
