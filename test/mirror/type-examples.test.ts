import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Client } from 'pg';
import { bigQueryType, copyExpression, type BigQueryType } from '../../functions/mirror/types.ts';
import { DECLARED_AS, EXAMPLE_SETUP, TYPE_EXAMPLES } from '../../functions/mirror/type-examples.ts';
import { typesDocument } from '../../functions/mirror/types-document.ts';
import { testDatabase } from '../postgres.ts';
import { LOADING, openValuesHarness } from '../values/harness.ts';
import { readJsonText } from '../values/json-text.ts';
import { openWarehouse } from '../values/warehouse.ts';

/** docs/types.md is what the code says, and every example in it is what happens. */

test('docs/types.md is what the code says', () => {
  assert.equal(readFileSync(new URL('../../docs/types.md', import.meta.url), 'utf8'), typesDocument());
});

// PostGIS's are tried in test/values/postgis.test.ts.
const { PostGIS: _, ...others } = TYPE_EXAMPLES;
const tried = Object.values(others)
  .flat()
  .filter(({ values }) => values.length > 0);
const declarations = tried.map(({ declared }, i) => `c${i} ${DECLARED_AS[declared] ?? declared}`).join(', ');
/** Each value in a row of its own, by its example's column. */
const values = tried.flatMap(({ values }, column) =>
  values.map(([literal, becomes]) => ({ column, literal, becomes })),
);
const isHeld = ({ becomes }: (typeof values)[number]): boolean => typeof becomes === 'string';

const insert = (table: string, rows: typeof values): string =>
  `CREATE TABLE ${table} (id int, ${declarations});
   ${rows.map(({ column, literal }, id) => `INSERT INTO ${table} (id, c${column}) VALUES (${id}, ${literal});`).join('\n')}`;

test('every example of docs/types.md, from PostgreSQL to BigQuery', async (t) => {
  const harness = await openValuesHarness();
  t.after(harness.close);
  const good = values.filter(isHeld);
  const { url } = await testDatabase(t, `${EXAMPLE_SETUP} ${insert('good', good)} ${insert('mixed', values)}`);
  const { runId, plan } = await harness.mirror(url);
  assert.deepEqual(plan.warnings, []);

  const planned = plan.chunks
    .flatMap(({ tables }) => tables)
    .find(({ table }) => table === 'good')
    ?.columns.slice(1);
  assert.equal(planned?.length, tried.length);
  for (const [i, { declared, type }] of tried.entries()) {
    const { nullToken, serverVersion } = Object(plan);
    const refusal = (reason: string): string => `'${nullToken}!${reason}!'`;
    const { bigquery, refusals } = bigQueryType(type);
    const expression = copyExpression(type, `"c${i}"`, refusal, serverVersion);
    const { bigquery: found, refusals: reasons, expression: copied } = Object(planned[i]);
    await t.test(`${declared} is ${bigquery}`, () => {
      assert.deepEqual([found, reasons, copied], [bigquery, refusals, expression]);
    });
  }

  const query = async (sql: string): Promise<(string | null)[][]> => {
    const answer = await fetch(`${harness.bigquery}/queries`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: sql, useLegacySql: false, maxResults: 1000 }),
    });
    const body = (await answer.json()) as { rows?: { f: { v: string | null }[] }[]; error?: unknown };
    assert.equal(body.error, undefined);
    return (body.rows ?? []).map(({ f }) => f.map(({ v }) => v));
  };
  const texts = tried.map(({ type }, i) => asText(bigQueryType(type).bigquery, `c${i}`)).join(', ');
  const warehouse = openWarehouse(harness.bigquery, LOADING);
  const errors = await warehouse.errorRows(`mixed_errors_${runId}`);
  const reasons = new Map(
    errors.map(({ raw, failures }) => [raw[0]?.value, failures.map(({ reason }) => reason).join()]),
  );
  // Loaded as they are, and divided by SQL from those that are refused.
  for (const [table, rows] of [
    ['good', good],
    ['mixed', values],
  ] as const) {
    const cells = new Map(
      (await query(`SELECT id, ${texts} FROM ${LOADING}.${table}_${runId}`)).map((row) => [row[0], row]),
    );
    for (const [id, { column, literal, becomes }] of rows.entries()) {
      await t.test(`${table}: ${tried[column]?.declared} ${literal}`, () => {
        const cell = cells.get(String(id))?.[column + 1] ?? null;
        const isJson = bigQueryType(tried[column]?.type ?? assert.fail()).bigquery === 'JSON';
        // Blanks and the order of keys are BigQuery's own.
        const found = isJson && cell !== null ? readJsonText(cell).canonical : cell;
        const wanted = isJson && typeof becomes === 'string' ? readJsonText(becomes).canonical : becomes;
        assert.deepEqual(found ?? { refused: reasons.get(String(id)) }, wanted);
      });
    }
  }
});

function asText(type: BigQueryType, c: string): string {
  if (type === 'JSON') return `IF(${c} IS NULL, NULL, TO_JSON_STRING(${c}))`;
  return type === 'BYTES' ? `TO_BASE64(${c})` : `CAST(${c} AS STRING)`;
}

test('every base type of PostgreSQL is known', async (t) => {
  const client = new Client((await testDatabase(t)).url);
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      `SELECT typname AS name FROM pg_type WHERE typtype = 'b' AND typcategory <> 'A' AND typnamespace = 'pg_catalog'::regnamespace`,
    );
    const unknown = rows.filter(({ name }) => !bigQueryType({ name, schema: 'pg_catalog', kind: 'base' }).known);
    assert.deepEqual(unknown, []);
    assert.ok(rows.length > 60);
  } finally {
    await client.end();
  }
});
