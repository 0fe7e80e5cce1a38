import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { convertDraft, type DraftFormat } from '../../functions/transform/draft/index.ts';
import { readHtml } from '../fixtures/draft/read-html.ts';

const FORMATS: DraftFormat[] = ['text', 'markdown', 'html'];

/** Text full of what HTML and Markdown react to, and of broken Unicode. */
const text = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '<',
        '>',
        '&',
        '"',
        "'",
        '&lt;',
        '<script>',
        '`',
        '*',
        '_',
        '[',
        '](',
        '\\',
        '!',
        '~',
        '#',
        '- ',
        '1. ',
        '\n',
        '\r\n',
        '\t',
        ' ',
      ),
      fc.string({ unit: 'binary', maxLength: 3 }),
      fc.constantFrom('\ud83d', '\udc4b', '👋', '\u0000', '語', '。'),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

const anything = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  text,
  fc.integer(),
  fc.constantFrom(-1, Number.MAX_VALUE, '__proto__', 'constructor', null),
);
const mostly = <T>(usual: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 9, arbitrary: usual }, { weight: 1, arbitrary: anything });
const sometimes = { requiredKeys: [] };

const range = mostly(
  fc.record(
    {
      offset: mostly(fc.integer({ min: -2, max: 15 })),
      length: mostly(fc.integer({ min: -2, max: 15 })),
      style: mostly(
        fc.constantFrom(
          'BOLD',
          'ITALIC',
          'UNDERLINE',
          'STRIKETHROUGH',
          'CODE',
          'SUBSCRIPT',
          'SUPERSCRIPT',
          'HIGHLIGHT',
        ),
      ),
      key: mostly(fc.nat(4)),
    },
    sometimes,
  ),
);
const block = fc.record(
  {
    text: mostly(text),
    type: mostly(
      fc.constantFrom(
        'unstyled',
        'header-one',
        'header-six',
        'unordered-list-item',
        'ordered-list-item',
        'blockquote',
        'code-block',
        'atomic',
      ),
    ),
    depth: mostly(fc.nat(5)),
    inlineStyleRanges: mostly(fc.array(range, { maxLength: 5 })),
    entityRanges: mostly(fc.array(range, { maxLength: 4 })),
    children: mostly(fc.array(fc.record({ text, type: fc.constant('unordered-list-item') }), { maxLength: 2 })),
  },
  sometimes,
);
const entity = mostly(
  fc.record(
    {
      type: mostly(fc.constantFrom('LINK', 'IMAGE', 'EMBED', 'HR', 'MENTION')),
      data: mostly(
        fc.record(
          {
            url: mostly(
              fc.oneof(
                text.map((path) => `https://example.org/${path}`),
                text,
              ),
            ),
            src: mostly(
              fc.oneof(
                text.map((path) => `https://example.org/${path}`),
                text,
              ),
            ),
            title: mostly(text),
            alt: mostly(text),
            width: mostly(fc.nat()),
          },
          sometimes,
        ),
      ),
    },
    sometimes,
  ),
);
const content = fc.record(
  { blocks: mostly(fc.array(mostly(block), { maxLength: 5 })), entityMap: mostly(fc.array(entity, { maxLength: 4 })) },
  sometimes,
);

test('any string has a result in every format, and HTML is well-nested and escaped', () => {
  const raw = fc.oneof(
    fc.string({ unit: 'binary' }),
    text,
    fc.json(),
    content.map((value) => JSON.stringify(value)),
    content.map((value) => JSON.stringify(value).slice(0, -1)),
    content.map((value) => JSON.stringify(JSON.stringify(value))),
  );
  fc.assert(
    fc.property(raw, (value) => {
      for (const format of FORMATS) {
        const result = convertDraft(value, format);
        assert.ok(result !== null && result.isWellFormed(), format);
        if (format === 'html') readHtml(result);
      }
    }),
    { numRuns: 2000 },
  );
});

test('what is no Draft content is its own plain text', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'grapheme' }),
        fc.jsonValue().map((value) => JSON.stringify(value)),
      ),
      (raw) => {
        assert.equal(convertDraft(raw, 'text'), raw.toWellFormed());
      },
    ),
    { numRuns: 500 },
  );
});

/** Blanks, line breaks and what has no form in HTML aside. */
function seen(value: string): string {
  return value.replaceAll('\u0000', '').replace(/[\s\ufffd]/g, '');
}

test('no text is lost in HTML', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ text, inlineStyleRanges: fc.array(range, { maxLength: 6 }) }), { minLength: 1 }),
      (blocks) => {
        const raw = JSON.stringify({ blocks, entityMap: {} });
        const html = readHtml(convertDraft(raw, 'html') ?? '');
        assert.equal(
          seen(html.map((character) => character.unit).join('')),
          seen(
            blocks
              .map((block) => block.text)
              .join('\n')
              .toWellFormed(),
          ),
        );
      },
    ),
    { numRuns: 500 },
  );
});

test('no link leads to another scheme, as a browser reads it', () => {
  const part = fc.constantFrom(
    ...'javascript JAVA script data http HTTPS https mailto example.org a@b alert(1) &#58; &colon; %3A'.split(' '),
    ...Array.from(':/\\?#">)[] \n\t\u0000\u0001\u00a0\u200b'),
    '://',
    '](',
  );
  const begin = fc.constantFrom('', '', ' https://', 'HT\ntps://e', 'http://a.', 'mailto:', 'javascript:');
  const url = fc.tuple(begin, fc.array(part, { maxLength: 8 })).map(([start, parts]) => start + parts.join(''));
  let linked = 0;
  fc.assert(
    fc.property(url, (address) => {
      const raw = JSON.stringify({
        blocks: [{ text: 'x', entityRanges: [{ offset: 0, length: 1, key: 0 }] }],
        entityMap: { 0: { type: 'LINK', data: { url: address } } },
      });
      const href = readHtml(convertDraft(raw, 'html') ?? '')[0]?.href ?? null;
      const markdown = convertDraft(raw, 'markdown');
      if (href === null) {
        assert.equal(markdown, 'x');
        return;
      }
      linked += 1;
      assert.match(href, /^(?:https?:\/\/|mailto:)[^\s"<>\\]+$/i);
      assert.equal(markdown, `[x](${href.replace(/[()]|&(?=#?\w+;)/g, '\\$&')})`);
      if (URL.canParse(address)) {
        const [wanted, found] = [new URL(address), new URL(href)];
        assert.equal(found.protocol, wanted.protocol);
        // Whom a mailto: is to, is its path: `mailto://%22` and `mailto://"` are the same text to a mail program.
        if (wanted.protocol !== 'mailto:') assert.equal(found.host, wanted.host);
      }
    }),
    { numRuns: 5000 },
  );
  assert.ok(linked > 500, `only ${linked} links were made`);
});
