import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Report } from '../local/report.ts';

/** `node test/assert-report.ts FILE`: what `npm start -- --once --json FILE` must report of the sample. */
const report: Report = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
const sum = (of: (table: Report['tables'][number]) => number): number =>
  report.tables.reduce((total, table) => total + of(table), 0);

assert.equal(report.state, 'published', report.reason);
assert.equal(report.tables.length, 36);
assert.equal(
  sum(({ exported }) => exported),
  205_877,
);
assert.equal(
  sum(({ errors }) => errors),
  14,
);
assert.equal(
  sum(({ loaded }) => loaded),
  205_863,
);
assert.deepEqual(
  report.transforms.map(({ table, output }) => [table, output]).toSorted(([a = ''], [b = '']) => a.localeCompare(b)),
  [
    ['care.messages', 'care__messages_transformed'],
    ['care.notes', 'care__notes_transformed'],
  ],
);
assert.equal(report.views.length, 38);
console.log(`The sample is published: ${report.tables.length} tables in ${report.seconds.total} s`);
