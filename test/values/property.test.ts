import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { anyDatabase } from './arbitrary-database.ts';
import { mirrorsAnyDatabase } from './mirrors-any-database.ts';
import { testDatabase } from '../postgres.ts';
import { openValuesHarness, type ValuesHarness } from './harness.ts';

/** A few databases each time; `npm run test:soak` makes hundreds, shrinks what fails, and repeats it by `--seed` and `--path`. */
const DATABASES = 5;

let harness: ValuesHarness;
before(async () => {
  harness = await openValuesHarness();
});
after(() => harness.close());

test('every row of any database is in its table value for value, or among the errors with its reason', async (t) => {
  const { url } = await testDatabase(t);
  const seed = Math.floor(Math.random() * 2 ** 31);
  t.diagnostic(`npm run test:soak -- --seed ${seed} --databases ${DATABASES}`);
  await fc.assert(
    fc.asyncProperty(anyDatabase, async (database) => {
      await mirrorsAnyDatabase(harness, url, database);
    }),
    // Shrinking is for the soak.
    { seed, numRuns: DATABASES, endOnFailure: true },
  );
});
