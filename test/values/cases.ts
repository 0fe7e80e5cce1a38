import assert from 'node:assert/strict';
import { test } from 'node:test';
import { escapeIdentifier } from 'pg';
import { canonicalCell } from './judge.ts';
import { mirrored } from './mirrored.ts';

/**
 * Tables of `SQL literal → what BigQuery has`, each value taken through export and load. Every value that fits goes both ways: in a
 * table that BigQuery loads as it is, and in one that it refuses, which is split by SQL.
 */
export type Group = {
  /** The column's type in PostgreSQL, and the one in BigQuery as its API names it. */
  type: string;
  bigquery: string;
  values: Case[];
};
/** As BigQuery's API writes it; timestamps in UTC, JSON with sorted keys. Or the reason that stands in the errors table. */
export type Case = [literal: string, expected: string | Refused];
export type Refused = { refused: string };
export const refused = (reason: string): Refused => ({ refused: reason });

/** `setup` is SQL that makes what the types need. */
export function testCases(title: string, groups: readonly Group[], setup = ''): void {
  test(title, async (t) => {
    const typed = groups.map((group) => ({ ...group, values: group.values.filter(([, each]) => isHeld(each)) }));
    const statements = [...fill('typed', typed), ...fill('divided', groups)];
    // What makes the second table one that is refused, whatever else is in it.
    statements.push(`ALTER TABLE divided ADD bait numeric`, `INSERT INTO divided (id, bait) VALUES (0, 'NaN')`);
    const { run, warehouse, comparison } = await mirrored(t, [setup, ...statements].join(';\n'));
    assert.deepEqual(comparison.wrong, []);
    for (const [table, of] of [
      ['typed', typed],
      ['divided', groups],
    ] as const) {
      const id = `${table}_${run.runId}`;
      const fields = (await warehouse.fields(id)) ?? [];
      const rows = new Map((await warehouse.rows(id)).map((row) => [row[0], row]));
      const isDivided = (await warehouse.fields(`${table}_errors_${run.runId}`)) !== undefined;
      assert.equal(isDivided, table === 'divided');
      const errors = isDivided ? await warehouse.errorRows(`${table}_errors_${run.runId}`) : [];
      const reasons = new Map(errors.map(({ raw, failures }) => [raw[0]?.value, failures.map(({ reason }) => reason)]));
      let row = 0;
      for (const [column, { type, bigquery, values }] of of.entries()) {
        await t.test(`${type} is ${bigquery}${isDivided ? ', divided by SQL' : ''}`, () => {
          assert.equal(fields[column + 1]?.type, bigquery);
          const found = values.map(([literal]): Case => {
            const key = String(++row);
            const cell = rows.get(key)?.[column + 1];
            if (cell === undefined || cell === null) return [literal, refused(reasons.get(key)?.join() ?? 'lost')];
            return [literal, canonicalCell(bigquery, cell)];
          });
          assert.deepEqual(found, values);
        });
      }
    }
  });
}

const isHeld = (expected: Case[1]): boolean => typeof expected === 'string';

/** A column for each group and a row for each value; all else in the row is NULL. */
function fill(table: string, groups: readonly Group[]): string[] {
  const columns = groups.map(({ type }, i) => `${columnOf(i, type)} ${type}`);
  let id = 0;
  const inserts = groups.flatMap(({ type, values }, i) =>
    values.map(([literal]) => `INSERT INTO ${table} (id, ${columnOf(i, type)}) VALUES (${++id}, ${literal})`),
  );
  return [`CREATE TABLE ${table} (${['id int', ...columns].join(', ')})`, ...inserts];
}

const columnOf = (i: number, type: string): string => escapeIdentifier(`v${i} ${type}`.slice(0, 60));
