import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  columnNames,
  errorsTable,
  loaded,
  loadingDataset,
  published,
  refused,
  runIdOf,
  shardOf,
  SLI_TABLE,
  staged,
  startOf,
  twinOf,
  warehouseTable,
} from '../../functions/mirror/names.ts';

const WAREHOUSE_TABLES: [schema: string, table: string, id: string][] = [
  ['public', 'members', 'members'],
  ['care', 'teams', 'care__teams'],
  ['public', 'MemberNotes', 'MemberNotes'],
  ['public', 'größe', 'größe'],
  ['public', '患者', '患者'],
  ['public', 'e\u0301tat', 'e\u0301tat'],
  ['public', '2fa', '2fa'],
  // every character that BigQuery might not take, and the dash that tells it
  ['public', 'a.b', 'a-2e-b'],
  ['public', 'a b', 'a-20-b'],
  ['public', 'a"b', 'a-22-b'],
  ['public', 'a`b', 'a-60-b'],
  ['public', 'a-b', 'a-2d-b'],
  ['public', 'a-2d-b', 'a-2d-2d-2d-b'],
  ['public', 'a😀b', 'a-1f600-b'],
  ['public', 'line\nbreak', 'line-a-break'],
  ['My Schema', 'My Table', 'My-20-Schema__My-20-Table'],
  // `__` separates schema and table, and nothing else
  ['public', 'care__teams', 'care_-5f-teams'],
  ['public', 'a___b', 'a_-5f--5f-b'],
  ['care_', 'teams', 'care-5f-__teams'],
  ['care__', 'teams', 'care_-5f-__teams'],
  ['care', '_teams', 'care___teams'],
  ['_', 't', '-5f-__t'],
  // what the mirror itself appends
  ['public', 'x_20260101', 'x-5f-20260101'],
  ['public', 'x_20260101T030000Z', 'x-5f-20260101T030000Z'],
  ['public', 'x_transformed', 'x-5f-transformed'],
  ['public', 'x_errors', 'x-5f-errors'],
  ['public', 'x_staging', 'x-5f-staging'],
  ['care', 'x_transformed', 'care__x-5f-transformed'],
  ['public', 'x_transformed_20260101', 'x_transformed-5f-20260101'],
  ['public', 'x_2026', 'x_2026'],
  ['public', 'x_errors_log', 'x_errors_log'],
  ['public', 'transformed', 'transformed'],
  ['public', 'x_', 'x-5f-'],
  ['public', '_', '-5f-'],
  // the mirror's own tables
  ['public', 'commons_mirror_sli', 'commons-5f-mirror_sli'],
  ['public', 'commons_mirror_errors_20260101', 'commons-5f-mirror_errors-5f-20260101'],
  ['commons_mirror', 'sli', 'commons_mirror__sli'],
];

for (const [schema, table, id] of WAREHOUSE_TABLES) {
  test(`warehouseTable: ${JSON.stringify(`${schema}.${table}`)} is ${JSON.stringify(id)}`, () => {
    assert.equal(warehouseTable(schema, table), id);
    assert.deepEqual(decode(id), [schema, table]);
  });
}

const PIECES =
  '_ __ - -5f- 5f 2d a A 0 . " é 😀 public commons_mirror_ transformed errors staging sli 20260101 20260101T030000Z';

// Names made of what the encoding itself is made of, beside any other PostgreSQL identifier.
const adversarial = fc
  .array(fc.constantFrom(' ', ...PIECES.split(' ')), { minLength: 1, maxLength: 5 })
  .map((parts) => parts.join(''));
const anyName = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((name) => !name.includes('\0'));
const identifier = fc.oneof({ weight: 3, arbitrary: adversarial }, anyName);
const schemaName = fc.oneof(fc.constant('public'), identifier);
const source = fc.record({ schema: schemaName, table: identifier });

test('warehouseTable can be decoded, so that no two tables share a name', () => {
  fc.assert(
    fc.property(source, ({ schema, table }) => {
      assert.deepEqual(decode(warehouseTable(schema, table)), [schema, table]);
    }),
    { numRuns: 3000 },
  );
});

test('warehouseTable gives what BigQuery takes: letters, marks, numbers, underscores and dashes', () => {
  fc.assert(
    fc.property(source, ({ schema, table }) => {
      assert.match(warehouseTable(schema, table), /^[\p{L}\p{M}\p{N}_-]+$/u);
    }),
    { numRuns: 1000 },
  );
});

test('the longest names stay below 1,024 bytes with all that the mirror appends', () => {
  for (const character of [' ', '_', 'é', '患', '😀']) {
    const longest = character.repeat(Math.floor(63 / Buffer.byteLength(character)));
    const id = published(twinOf(warehouseTable(longest, longest)), '20260101T030000Z');
    assert.ok(Buffer.byteLength(id) <= 1024, `${Buffer.byteLength(id)} bytes`);
  }
});

/** All ids that the mirror makes for one table, with the dataset that each is in. */
function idsOf({ schema, table }: { schema: string; table: string }): string[] {
  const id = warehouseTable(schema, table);
  const twin = twinOf(id);
  const [shard, run] = ['20260101', '20260101T030000Z'];
  return [
    ...[id, twin, published(id, shard), published(twin, shard)].map((name) => `read ${name}`),
    ...[loaded(id, run), staged(id, run), refused(id, run), loaded(twin, run)].map((name) => `loading ${name}`),
  ];
}

test('no id of one table is an id of another, nor of the mirror itself', () => {
  const own = [SLI_TABLE, errorsTable('20260101')].map((name) => `read ${name}`);
  const check = (a: { schema: string; table: string }, b: { schema: string; table: string }): void => {
    if (a.schema === b.schema && a.table === b.table) return;
    const all = [...own, ...idsOf(a), ...idsOf(b)];
    assert.deepEqual(
      all.filter((name, i) => all.indexOf(name) !== i),
      [],
    );
  };
  fc.assert(fc.property(source, source, check), { numRuns: 3000 });
  // Pairs that differ in one boundary only, which chance finds rarely.
  const pieces = ['a', '_', 'a_', '_a', 'transformed', 'errors', 'staging', '20260101', 'commons_mirror', 'sli'];
  const names = new Set([...pieces, ...pieces.flatMap((a) => pieces.map((b) => `${a}_${b}`))]);
  const byId = new Map<string, string>(own.map((id) => [id, 'the mirror']));
  for (const schema of ['public', ...names]) {
    for (const table of names) {
      for (const id of idsOf({ schema, table })) {
        assert.equal(byId.get(id), undefined, `${id} is of ${byId.get(id)} and of ${schema}.${table}`);
        byId.set(id, `${schema}.${table}`);
      }
    }
  }
});

/** The inverse of warehouseTable, written from its description. */
function decode(id: string): [schema: string, table: string] {
  const plain = (text: string): string =>
    text.replace(/-([0-9a-f]+)-/gu, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)));
  const at = id.indexOf('__');
  return at === -1 ? ['public', plain(id)] : [plain(id.slice(0, at)), plain(id.slice(at + 2))];
}

const COLUMN_NAMES: [what: string, source: string[], names: string[]][] = [
  [
    'plain names stay',
    ['id', 'firstName', '患者', 'größe', '_private'],
    ['id', 'firstName', '患者', 'größe', '_private'],
  ],
  [
    'all else becomes an underscore',
    ['first name', 'a-b', 'a.b', 'a"b', '😀'],
    ['first_name', 'a_b', 'a_b_2', 'a_b_3', '_'],
  ],
  ['a digit or a mark does not come first', ['2fa', '\u0301x'], ['_2fa', '_\u0301x']],
  ['case alone tells no columns apart', ['Name', 'name', 'NAME'], ['Name', 'name_2', 'NAME_3']],
  ['a suffix takes no other column’s name', ['a b', 'a.b', 'a_b_2'], ['a_b', 'a_b_3', 'a_b_2']],
  ['nor one of another case', ['a', 'A', 'a_2', 'A_3'], ['a', 'A_4', 'a_2', 'A_3']],
  [
    'reserved prefixes, in any case',
    ['_TABLE_x', '_file_x', '_PARTITIONTIME', '_row_timestamp', '__ROOT__', '_colidentifier', '_CHANGE_TYPE'],
    ['__TABLE_x', '__file_x', '__PARTITIONTIME', '__row_timestamp', '___ROOT__', '__colidentifier', '__CHANGE_TYPE'],
  ],
  ['what only looks reserved stays', ['table_x', '_TABLEX', 'x_PARTITION'], ['table_x', '_TABLEX', 'x_PARTITION']],
];

for (const [what, names, expected] of COLUMN_NAMES) {
  test(`columnNames: ${what}`, () => assert.deepEqual(columnNames(names), expected));
}

test('columnNames: unique whatever the case, valid, the same each time, and changed only where they must be', () => {
  const column = fc.oneof(
    fc.constantFrom(
      'a',
      'A',
      'a_2',
      'A_2',
      'a_2_2',
      'a b',
      'a.b',
      'a_b',
      'A_B_2',
      '_a',
      '1',
      '_1',
      '_TABLE_',
      '__TABLE_',
    ),
    identifier,
  );
  fc.assert(
    fc.property(fc.uniqueArray(column, { maxLength: 12 }), (names) => {
      const mapped = columnNames(names);
      assert.equal(new Set(mapped.map((name) => name.toLowerCase())).size, names.length);
      assert.deepEqual(columnNames(names), mapped);
      for (const [i, name] of names.entries()) {
        assert.match(mapped[i] ?? '', /^[\p{L}_][\p{L}\p{M}\p{N}_]*$/u);
        assert.doesNotMatch(
          mapped[i] ?? '',
          /^(?:_TABLE_|_FILE_|_PARTITION|_ROW_TIMESTAMP|__ROOT__|_COLIDENTIFIER|_CHANGE_)/iu,
        );
        const [alone] = columnNames([name]);
        const clashes = names
          .slice(0, i)
          .some((other) => columnNames([other])[0]?.toLowerCase() === alone?.toLowerCase());
        if (!clashes) assert.equal(mapped[i], alone);
      }
    }),
    { numRuns: 2000 },
  );
});

test('a run’s id is its start in UTC to the second, and back', () => {
  assert.equal(runIdOf(new Date('2026-11-22T03:00:00.999Z')), '20261122T030000Z');
  assert.equal(startOf('20261122T030000Z').toISOString(), '2026-11-22T03:00:00.000Z');
  assert.equal(startOf(runIdOf(new Date('2028-02-29T23:59:59Z'))).toISOString(), '2028-02-29T23:59:59.000Z');
});

const SHARDS: [start: string, zone: string, shard: string][] = [
  ['2026-11-22T03:00:00Z', 'UTC', '20261122'],
  ['2026-11-22T03:00:00Z', 'America/New_York', '20261121'],
  ['2026-11-22T15:00:00Z', 'Pacific/Auckland', '20261123'],
  ['2026-01-01T00:30:00Z', 'America/St_Johns', '20251231'],
  // the night in which New York's clocks go back: 05:59Z and 06:01Z are both after midnight there
  ['2026-11-01T03:59:59Z', 'America/New_York', '20261031'],
  ['2026-11-01T04:00:00Z', 'America/New_York', '20261101'],
  ['2026-11-02T04:59:59Z', 'America/New_York', '20261101'],
  ['2026-11-02T05:00:00Z', 'America/New_York', '20261102'],
  // and the one in which they go forward
  ['2026-03-08T04:59:59Z', 'America/New_York', '20260307'],
  ['2026-03-09T03:59:59Z', 'America/New_York', '20260308'],
  ['2026-03-09T04:00:00Z', 'America/New_York', '20260309'],
  // Samoa skipped a day
  ['2011-12-30T09:59:59Z', 'Pacific/Apia', '20111229'],
  ['2011-12-30T10:00:00Z', 'Pacific/Apia', '20111231'],
];

for (const [start, zone, shard] of SHARDS) {
  test(`the shard of ${start} in ${zone} is ${shard}`, () => assert.equal(shardOf(new Date(start), zone), shard));
}

test('runs load beside the dataset that analysts read', () => {
  assert.equal(loadingDataset('commons'), 'commons_loading');
  assert.equal(errorsTable('20261122'), 'commons_mirror_errors_20261122');
});
