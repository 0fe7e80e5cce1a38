import assert from 'node:assert/strict';
import { test } from 'node:test';
import vm from 'node:vm';
import { convertDraft } from '../../functions/transform/draft/index.ts';
import { draftFunctionSql, MAX_INLINE_CODE_BYTES, type Sources } from '../../functions/transform/udf.ts';
import { draftCases } from '../fixtures/draft/cases.ts';

const STATEMENT =
  /^CREATE TEMP FUNCTION draft\(raw STRING, formats ARRAY<STRING>\) RETURNS ARRAY<STRING> LANGUAGE js AS r"""([^]*)""";\n$/;

function bodyOf(sql: string): string {
  const body = STATEMENT.exec(sql)?.[1];
  assert.ok(body !== undefined, sql.slice(0, 200));
  return body;
}

test('the statement is what BigQuery takes', () => {
  const body = bodyOf(draftFunctionSql());
  assert.ok(Buffer.byteLength(body) <= MAX_INLINE_CODE_BYTES, `${Buffer.byteLength(body)} bytes`);
  assert.match(body, /^[\n -~]+$/, 'ASCII');
  assert.doesNotMatch(body, /"""/);
  assert.doesNotMatch(
    body,
    /^\s*(?:\/\/|\/\*|\*|import |export |interface |type )/m,
    'comments, modules or types are left',
  );
  assert.doesNotMatch(body, /\?\?|\?\.\w|`|\\p\{/, 'syntax that an older engine may not have');
});

test('the statement is the same each time', () => {
  assert.equal(draftFunctionSql(), draftFunctionSql());
});

test('the UDF converts every fixture as the imported function does, without Node and Intl', () => {
  const context = vm.createContext({});
  vm.runInContext('delete globalThis.Intl; delete globalThis.console; delete globalThis.WebAssembly;', context);
  const body = bodyOf(draftFunctionSql());
  const udf = vm.compileFunction(body, ['raw', 'formats'], { parsingContext: context });
  const cases = draftCases();
  assert.ok(cases.length > 100, `${cases.length} cases`);
  for (const { name, raw } of cases) {
    const formats = ['text', 'markdown', 'html'] as const;
    const alone = formats.map((format) => convertDraft(raw, format));
    assert.deepEqual(Array.from(udf(raw, formats) ?? [null, null, null]), alone, name);
  }
});

const MAIN = 'export function convertDraft(raw: string, format: string): string {\n';

test('only what is surely a comment is dropped', () => {
  const source = `/** Doc with \`marks\`.\n * export it\n */\n${MAIN}  // why\n\n  return '// ' + raw + '*'; // kept\n}\n`;
  assert.equal(
    bodyOf(draftFunctionSql({ 'index.ts': source })),
    [
      '',
      'function convertDraft(raw        , format        )         {',
      "return '// ' + raw + '*'; // kept",
      '}',
      'return convertDraftToAll(raw, formats);',
      '',
    ].join('\n'),
  );
});

const refused: [string, string, string][] = [
  [
    'a template',
    'return `a\n// b`;',
    'index.ts line 2: a backtick (write \\x60) is not allowed, for comments are dropped line by line: "return `a"',
  ],
  [
    'an escaped line end',
    "return 'a\\\n// b';",
    'index.ts line 2: an escaped line end is not allowed, for comments are dropped line by line: "return \'a\\\\"',
  ],
  [
    'code behind a comment',
    "/* why */ return 'a';",
    'index.ts line 2: code behind a comment is not allowed, for comments are dropped line by line: "/* why */ return \'a\';"',
  ],
  [
    'a comment within a line',
    "return 'a'; /* why\n*/",
    'index.ts line 2: a comment that does not begin its line is not allowed, for comments are dropped line by line: "return \'a\'; /* why"',
  ],
  ['three quotes', 'return \'"""\';', 'draft/ holds """, which would end the SQL string around it: write it otherwise'],
  [
    'a character beyond ASCII',
    "return '\u00e4';",
    'draft/ holds the character U+00e4; allowed is printable ASCII: write it as an escape',
  ],
  [
    'a long source',
    `return '${'a'.repeat(MAX_INLINE_CODE_BYTES)}';`,
    'draft/ is 32882 bytes without types and comments, BigQuery takes 32768 of inline code: shorten it',
  ],
];
for (const [name, code, message] of refused) {
  test(`refused: ${name}`, () => {
    assert.throws(() => draftFunctionSql({ 'index.ts': `${MAIN}${code}\n}\n` }), { message });
  });
}

test('files are joined, each behind those that it imports', () => {
  const sql = draftFunctionSql({
    'index.ts': "import { b } from './b.ts';\nimport { a,\n  type A } from './a.ts';\nconst index = a + b;\n",
    'b.ts': "import type { A } from './a.ts';\nimport { a } from './a.ts';\nexport const b: A = a;\n",
    'a.ts': 'export type A = number;\nexport const a: A = 1;\n',
    'unused.ts': 'export const c = 1;\n',
  });
  assert.equal(
    bodyOf(sql).replaceAll(/ +/g, ' '),
    '\nconst a = 1;\nconst b = a;\nconst index = a + b;\nreturn convertDraftToAll(raw, formats);\n',
  );
});

const FILES: [what: string, sources: Sources, message: string][] = [
  [
    'an import from elsewhere',
    { 'index.ts': "import { z } from 'zod';\nexport const a = z;\n" },
    'index.ts may only export consts and functions, and import from its own folder, for a UDF is no module: ' +
      '"import { z } from \'zod\';"',
  ],
  [
    'an import under another name',
    { 'index.ts': "import { a as b } from './a.ts';\n", 'a.ts': 'export const a = 1;\n' },
    'index.ts may only export consts and functions, and import from its own folder, for a UDF is no module: ' +
      '"import { a as b } from \'./a.ts\';"',
  ],
  [
    'two things of one name',
    {
      'index.ts': "import { a } from './a.ts';\nfunction b() { return a; }\n",
      'a.ts': 'const b = 1;\nexport const a = b;\n',
    },
    'draft/ has two things called b, in a.ts and index.ts',
  ],
  [
    'files that import each other',
    {
      'index.ts': "import { a } from './a.ts';\n",
      'a.ts': "import { b } from './b.ts';\n",
      'b.ts': "import { a } from './a.ts';\n",
    },
    'draft/ has files that import each other: index.ts, a.ts, b.ts, a.ts',
  ],
  [
    'a missing file',
    { 'index.ts': "import { a } from './a.ts';\n" },
    'draft/ has no file a.ts, which index.ts imports',
  ],
];
for (const [what, sources, message] of FILES) {
  test(`refused: ${what}`, () => {
    assert.throws(() => draftFunctionSql(sources), { message });
  });
}
