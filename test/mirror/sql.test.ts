import assert from 'node:assert/strict';
import { test } from 'node:test';
import { column, createTableAs, literal, table } from '../../functions/mirror/sql.ts';

test('a literal holds whatever was written in a description', () => {
  assert.equal(literal('plain'), '"plain"');
  assert.equal(literal(`it's "quoted" \\ and\n\tbroken`), `"it's \\"quoted\\" \\\\ and\\n\\tbroken"`);
  assert.equal(literal('\u0001größe 😀'), '"\\u0001größe 😀"');
});

test('names are back-quoted, a table’s as a whole', () => {
  assert.equal(column('größe'), '`größe`');
  assert.equal(table('commons-prod', 'commons', 'a-2e-b'), '`commons-prod.commons.a-2e-b`');
});

test('a table is created with its modes, descriptions and key', () => {
  const statement = createTableAs(
    table('p', 'd', 't'),
    [
      { name: 'id', type: 'INT64', mode: 'REQUIRED' },
      { name: 'note', type: 'STRING', mode: 'NULLABLE', description: 'PostgreSQL: "note"' },
    ],
    'projects/p/locations/us/keyRings/r/cryptoKeys/k',
    'SELECT 1 AS id, "x" AS note',
  );
  assert.equal(
    statement,
    [
      'CREATE OR REPLACE TABLE `p.d.t` (',
      '  `id` INT64 NOT NULL,',
      '  `note` STRING OPTIONS(description="PostgreSQL: \\"note\\"")',
      ')',
      'OPTIONS(kms_key_name="projects/p/locations/us/keyRings/r/cryptoKeys/k")',
      'AS SELECT 1 AS id, "x" AS note',
    ].join('\n'),
  );
});

test('without a key of one’s own no option is set', () => {
  const statement = createTableAs(
    '`t`',
    [{ name: 'a', type: 'BOOL', mode: 'NULLABLE' }],
    undefined,
    'SELECT TRUE AS a',
  );
  assert.equal(statement, 'CREATE OR REPLACE TABLE `t` (\n  `a` BOOL\n)\nAS SELECT TRUE AS a');
});
