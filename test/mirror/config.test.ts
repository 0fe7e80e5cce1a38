import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { configJsonSchema } from '../../functions/mirror/config-schema.ts';
import { configFaults } from '../../functions/mirror/config-faults.ts';
import { parseConfig } from '../../functions/mirror/config.ts';
import { ConfigurationError } from '../../functions/mirror/errors.ts';

/** Each good-*.yaml has what it parses to beside it, each bad-*.yaml the whole message. */
const FIXTURES = join(import.meta.dirname, '../fixtures/config');
const fixtures = readdirSync(FIXTURES).filter((name) => name.endsWith('.yaml'));
const beside = (name: string, ending: string): string =>
  readFileSync(join(FIXTURES, name.replace(/yaml$/u, ending)), 'utf8');

for (const name of fixtures.filter((fixture) => fixture.startsWith('good-'))) {
  test(`${name} is read`, () => {
    assert.deepEqual(parseConfig(beside(name, 'yaml'), name).config, JSON.parse(beside(name, 'json')));
  });
}

for (const name of fixtures.filter((fixture) => fixture.startsWith('bad-'))) {
  test(`${name} is refused, with every fault in one message`, () => {
    assert.throws(
      () => parseConfig(beside(name, 'yaml'), 'mirror.yaml'),
      (error: unknown) => {
        assert.ok(error instanceof ConfigurationError);
        assert.equal(`${error.message}\n`, beside(name, 'txt'));
        return true;
      },
    );
  });
}

test('there are fixtures of both kinds', () => {
  const count = (prefix: string): number => fixtures.filter((name) => name.startsWith(prefix)).length;
  assert.deepEqual([count('good-'), count('bad-')], [2, 14]);
});

// Not a fixture: a formatter cannot read it either.
test('what is no YAML is refused with its line', () => {
  assert.throws(() => parseConfig('project: commons-prod\nregion: "us-central1\nchunks: [\n', 'mirror.yaml'), {
    name: 'ConfigurationError',
    message: 'mirror.yaml is not valid YAML:\n  line 4: Missing closing "quote',
  });
});

test('faults that are found later name the line of the key or the entry, in the order of the file', () => {
  const source = beside('good-everything.yaml', 'yaml');
  const faults = [
    { path: ['coverage', 'tables', 'care.notes'], message: 'third' },
    { path: ['chunks', 0, 'tables', 2], message: 'first' },
    { path: ['columns', 'public.Members', 'except', 1], message: 'second' },
    { path: [], message: 'about the file' },
  ];
  assert.equal(
    configFaults({ file: 'mirror.yaml', source }, faults).message,
    [
      'mirror.yaml has 4 faults:',
      '  line 2: about the file',
      '  line 13: chunks[0].tables[2]: first',
      '  line 19: columns."public.Members".except[1]: second',
      '  line 31: coverage.tables."care.notes": third',
    ].join('\n'),
  );
});

test('a fault behind an alias names the line that it is written in', () => {
  const source = 'columns:\n  a.b: &open\n    only: [id]\n  a.c: *open\n';
  const faults = [{ path: ['columns', 'a.c', 'only', 0], message: 'no such column' }];
  assert.equal(
    configFaults({ file: 'mirror.yaml', source }, faults).message,
    'mirror.yaml has a fault:\n  line 3: columns."a.c".only[0]: no such column',
  );
});

test('an alias is read as what it stands for', () => {
  const shared = parseConfig(
    'project: commons-prod\nregion: us-central1\nlocation: US\ndataset: commons\nchunks: [{ name: all, tables: [a.*] }]\n' +
      'columns:\n  a.b: &open\n    only: [id]\n  a.c: *open\n',
    'mirror.yaml',
  );
  assert.deepEqual(shared.config.columns, { 'a.b': { only: ['id'] }, 'a.c': { only: ['id'] } });
});

test('mirror.schema.json is what the code says', () => {
  assert.equal(readFileSync(join(import.meta.dirname, '../../mirror.schema.json'), 'utf8'), configJsonSchema());
});
