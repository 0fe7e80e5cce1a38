import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareRun } from './compare.ts';
import { mirrored } from './mirrored.ts';
import { openSource } from './source.ts';
import type { ErrorRow, Warehouse } from './warehouse.ts';

/** The comparison itself: whatever is lost, changed, doubled or blamed wrongly, it tells. */

type Rows = (string | null)[][];
const FAULTS: [
  what: string,
  fault: { rows?: (rows: Rows) => Rows; errors?: (errors: ErrorRow[]) => ErrorRow[] },
  told: string[],
][] = [
  ['a row that is missing', { rows: (rows) => rows.slice(1) }, ['not loaded: ["1","a","1.50","{\\"k\\": 1}"]']],
  [
    'a row that is there twice',
    { rows: (rows) => [...rows, ...rows.slice(0, 1)] },
    ['1 × in the table alone: ["1","a","1.5","{\\"k\\":1}"]'],
  ],
  [
    'a blank that is gone',
    { rows: (rows) => rows.map((row) => row.map((cell) => cell && cell.trimEnd())) },
    ['not loaded: ["2"," ",null,null]', '1 × in the table alone: ["2","",null,null]'],
  ],
  [
    'an empty text that has become NULL',
    { rows: (rows) => rows.map((row) => row.map((cell) => (cell === '' ? null : cell))) },
    ['not loaded: ["3","","0",null]', '1 × in the table alone: ["3",null,"0",null]'],
  ],
  [
    'a number that was rounded',
    { rows: (rows) => rows.map((row) => row.map((cell) => (cell === '1.5' ? '2' : cell))) },
    ['not loaded: ["1","a","1.50","{\\"k\\": 1}"]', '1 × in the table alone: ["1","a","2","{\\"k\\":1}"]'],
  ],
  ['a bad row that is in no table', { errors: () => [] }, ['not among the errors: ["4","b","NaN",null]']],
  [
    'a wrong reason',
    {
      errors: (errors) =>
        errors.map((row) => ({ ...row, failures: row.failures.map((each) => ({ ...each, reason: 'infinite' })) })),
    },
    [
      '{"column":"n","postgresType":"numeric","bigqueryType":"BIGNUMERIC","reason":"infinite"} where n has not-a-number: ["4","b","NaN",null]',
    ],
  ],
  [
    'a reason that nothing justifies',
    {
      errors: (errors) =>
        errors.map((row) => ({
          ...row,
          failures: [
            ...row.failures,
            { ...row.failures[0], column: 'j', postgresType: 'json', bigqueryType: 'JSON', reason: 'too-deep' },
          ],
        })),
    },
    [
      '[{"column":"j","postgresType":"json","bigqueryType":"JSON","reason":"too-deep"}] is not justified by ["4","b","NaN",null]',
    ],
  ],
  [
    'a raw text that was changed',
    {
      errors: (errors) =>
        errors.map((row) => ({
          ...row,
          raw: row.raw.map((each) => (each.value === 'b' ? { ...each, value: 'b ' } : each)),
        })),
    },
    [
      'not among the errors: ["4","b","NaN",null]',
      'among the errors alone: {"schema":"public","table":"t","failures":[{"column":"n","postgresType":"numeric","bigqueryType":"BIGNUMERIC","reason":"not-a-number"}],"raw":[{"name":"id","value":"4"},{"name":"s","value":"b "},{"name":"n","value":"NaN"},{"name":"j","value":null}]}',
    ],
  ],
];

test('the comparison tells', async (t) => {
  const { url, run, warehouse, comparison } = await mirrored(
    t,
    `CREATE TABLE t (id int, s text, n numeric, j json);
     INSERT INTO t VALUES (1, 'a', 1.50, '{"k": 1}'), (2, ' ', NULL, NULL), (3, '', 0, NULL), (4, 'b', 'NaN', NULL)`,
  );
  assert.deepEqual(comparison, { wrong: [], tables: 1, rows: 4, errors: 1 });
  const source = await openSource(url);
  try {
    for (const [what, { rows, errors }, told] of FAULTS) {
      await t.test(what, async () => {
        const changed: Warehouse = {
          ...warehouse,
          ...(rows && { rows: async (table: string) => rows(await warehouse.rows(table)) }),
          ...(errors && { errorRows: async (table: string) => errors(await warehouse.errorRows(table)) }),
        };
        const { wrong } = await compareRun(source, changed, run);
        assert.deepEqual(
          wrong,
          told.map((text) => `"public"."t": ${text}`),
        );
      });
    }
    await t.test('a table that is missing', async () => {
      const { wrong } = await compareRun(source, warehouse, { ...run, plan: { ...run.plan, chunks: [] } });
      assert.deepEqual(wrong, ['"public"."t" is not mirrored (without a reason)']);
    });
  } finally {
    await source.end();
  }
});
