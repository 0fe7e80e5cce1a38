import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  entryOf,
  isTable,
  matches,
  PatternText,
  tableOf,
  tablePattern,
  tableText,
} from '../../functions/mirror/table-pattern.ts';

const MATCHES: [pattern: string, schema: string, table: string, isMatch: boolean][] = [
  ['public.members', 'public', 'members', true],
  ['public.members', 'public', 'members2', false],
  ['public.members', 'public', 'old_members', false],
  ['public.members', 'care', 'members', false],
  // names are taken as they are, without PostgreSQL's folding
  ['public.Members', 'public', 'Members', true],
  ['public.Members', 'public', 'members', false],
  ['care.*', 'care', 'teams', true],
  ['care.*', 'care2', 'teams', false],
  ['care.note_*', 'care', 'note_', true],
  ['care.*_old', 'care', 'notes_old', true],
  ['care.*_old', 'care', 'notes_older', false],
  ['care.a*b*c', 'care', 'a1b2c', true],
  ['*.*', 'any', 'table at all', true],
  ['tenant_*.members', 'tenant_7', 'members', true],
  ['care.*', 'care', 'with\nnewline', true],
  ['care.*', 'care', 'with.dot', true],
  // in double quotes nothing is special
  ['"care"."a*"', 'care', 'a*', true],
  ['"care"."a*"', 'care', 'ab', false],
  ['"my.schema"."a ""b"""', 'my.schema', 'a "b"', true],
  ['"my.schema".*', 'my.schema', 'x', true],
  ['"my.schema".*', 'my_schema', 'x', false],
  // nothing of a regular expression is special
  ['care.a+(b)[c]$^|?{1}\\', 'care', 'a+(b)[c]$^|?{1}\\', true],
  ['care.a+', 'care', 'aa', false],
  ['care.[ab]', 'care', 'a', false],
];

for (const [pattern, schema, table, isMatch] of MATCHES) {
  test(`${pattern} ${isMatch ? 'takes' : 'leaves'} ${JSON.stringify(`${schema}.${table}`)}`, () => {
    assert.equal(PatternText.safeParse(pattern).success, true);
    assert.equal(matches(tablePattern(pattern), { schema, table }), isMatch);
  });
}

for (const pattern of ['', 'members', '.members', 'care.', 'a.b.c', '"care".', '"care', 'care."x', '"".x', 'ca"re.x']) {
  test(`${JSON.stringify(pattern)} is no pattern`, () => assert.equal(PatternText.safeParse(pattern).success, false));
}

test('a pattern is exact unless a star outside quotes is in it', () => {
  const exact = ['public.members', '"public"."a*"', '"a*".b'].map((text) => tablePattern(text).exact);
  const open = ['public.*', '*.members', '"a*".b*'].map((text) => tablePattern(text).exact);
  assert.deepEqual(
    [exact, open],
    [
      [true, true, true],
      [false, false, false],
    ],
  );
});

test('a table’s text is a pattern for that table alone, and is quoted only where it must be', () => {
  assert.equal(tableText({ schema: 'public', table: 'Members' }), 'public.Members');
  assert.equal(tableText({ schema: 'my.schema', table: 'a "b"*' }), '"my.schema"."a ""b""*"');
  const name = fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1 }),
    fc.string({ unit: fc.constantFrom('a', 'b', '.', '"', '*', ' ', '\n', '\\', '$'), minLength: 1, maxLength: 4 }),
  );
  const table = fc.record({ schema: name, table: name });
  fc.assert(
    fc.property(table, table, (one, other) => {
      const text = tableText(one);
      assert.equal(PatternText.safeParse(text).success, true);
      assert.deepEqual({ ...tableOf(text) }, { ...one });
      assert.equal(tablePattern(text).exact, true);
      const isSame = one.schema === other.schema && one.table === other.table;
      assert.equal(isTable(text, other), isSame);
      assert.equal(matches(tablePattern(text), other), isSame);
    }),
    { numRuns: 1000 },
  );
});

test('the entry of a record is found however its key is quoted', () => {
  const record = { 'public.a': 1, '"care"."a.b"': 2 };
  assert.equal(entryOf(record, { schema: 'public', table: 'a' }), 1);
  assert.equal(entryOf(record, { schema: 'care', table: 'a.b' }), 2);
  assert.equal(entryOf(record, { schema: 'care', table: 'a' }), undefined);
});
