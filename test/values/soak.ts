import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { startTestCluster } from '../test-cluster.ts';
import { anyDatabase } from './arbitrary-database.ts';
import { openValuesHarness } from './harness.ts';
import { mirrorsAnyDatabase, openSoakDatabase } from './mirrors-any-database.ts';

/**
 * `npm run test:soak -- --databases 500 [--seed N [--path P]] [--url URL]`: databases of random schemas, names and values, each mirrored
 * and compared. A failure is shrunk, and told with the command that repeats it. With the URL of a superuser, in that PostgreSQL, 15 or
 * newer, instead of one of its own.
 */
const { values } = parseArgs({
  options: {
    databases: { type: 'string', default: '100' },
    seed: { type: 'string' },
    path: { type: 'string' },
    url: { type: 'string' },
  },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const numRuns = Number(values.databases);
// The functions' log would drown what is told here.
const write = process.stdout.write.bind(process.stdout);
process.stdout.write = () => true;
const say = (text: string): void => void write(`${text}\n`);

const cluster = values.url === undefined ? await startTestCluster() : { url: values.url, stop: async () => {} };
const { url, drop } = await openSoakDatabase(cluster.url);
const harness = await openValuesHarness();
try {
  const counts = { databases: 0, tables: 0, rows: 0, errors: 0 };
  const started = performance.now();
  say(`Seed ${seed}`);
  const details = await fc.check(
    fc.asyncProperty(anyDatabase, async (database) => {
      const found = await mirrorsAnyDatabase(harness, url, database).catch((error: unknown) => {
        // Shrinking may take minutes; each step is told.
        say(`Failed: ${String(error).slice(0, 1000)}`);
        throw error;
      });
      counts.databases++;
      counts.tables += found.tables;
      counts.rows += found.rows;
      counts.errors += found.errors;
      if (counts.databases % 25 === 0) say(JSON.stringify(counts));
    }),
    { seed, numRuns, ...(values.path !== undefined && { path: values.path }) },
  );
  say(`${JSON.stringify(counts)} in ${Math.round((performance.now() - started) / 1000)} s`);
  if (details.failed) {
    process.exitCode = 1;
    const [database] = details.counterexample ?? [];
    say([...(database?.statements ?? []), ...(database?.rows ?? [])].join(';\n'));
    say(details.errorInstance instanceof Error ? (details.errorInstance.stack ?? '') : String(details.errorInstance));
    say(`Again: npm run test:soak -- --seed ${seed} --path ${details.counterexamplePath ?? ''}`);
  }
} finally {
  await harness.close();
  await drop();
  await cluster.stop();
}
