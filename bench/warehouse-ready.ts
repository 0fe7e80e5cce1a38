import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';
import type { Report } from '../local/report.ts';
import { startPostgres } from '../local/postgres/index.ts';
import { median, rounded, spread } from './figures.ts';
import { fillEvents } from './events-table.ts';
import { psqlCopy } from './psql.ts';

/**
 * From an empty data directory to published tables that can be queried, the whole command with all its processes, against
 * two parallel psql `\copy` to /dev/null of the same rows: one large table, and many small ones.
 * `--case large|small --gigabytes 0.9 --tables 200 --pairs 3`.
 */
export async function bench(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: {
      case: { type: 'string', default: 'large' },
      gigabytes: { type: 'string', default: '0.9' },
      tables: { type: 'string', default: '200' },
      pairs: { type: 'string', default: '3' },
    },
  });
  const isLarge = values.case === 'large';
  const directory = await mkdtemp(path.join(tmpdir(), 'commons-bench-'));
  const postgres = await startPostgres({ directory, settings: { max_wal_size: '8GB', shared_buffers: '1GB' } });
  try {
    const count = Number(values.tables);
    const pages = isLarge
      ? await fillEvents(postgres.url, Number(values.gigabytes))
      : await fillSmall(postgres.url, count);
    const reference = (): Promise<number> =>
      isLarge ? psqlCopy(postgres.url, 'events', 2, pages) : copySmall(postgres.url, count);
    await reference();
    const ratios: number[] = [];
    const ours: number[] = [];
    const references: number[] = [];
    for (let i = 0; i < Number(values.pairs); i++) {
      const theirs = await reference();
      const mine = await mirrorOnce(postgres.url);
      console.log(
        `pair ${i + 1}: ours ${mine.toFixed(2)} s, psql ${theirs.toFixed(2)} s, ratio ${(mine / theirs).toFixed(2)}`,
      );
      ratios.push(mine / theirs);
      ours.push(mine);
      references.push(theirs);
    }
    return {
      name: `warehouse-ready ${isLarge ? `${values.gigabytes} GB in one table` : `${count} tables of 1,000 rows`}`,
      ours: rounded(median(ours), 2),
      reference: rounded(median(references), 2),
      ratio: rounded(median(ratios), 2),
      spread: spread(ratios).map((value) => rounded(value, 2)),
      unit: 's',
    };
  } finally {
    await postgres.stop('immediate');
    await rm(directory, { recursive: true, force: true });
  }
}

async function fillSmall(url: string, tables: number): Promise<number> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    for (let i = 0; i < tables; i++) {
      await client.query(`CREATE TABLE small_${i} AS SELECT g AS id, 'row ' || g AS name, g * 1.5 AS amount, now() AS at
        FROM generate_series(1, 1000) AS g`);
    }
    await client.query('ANALYZE');
    return 0;
  } finally {
    await client.end();
  }
}

/** Two psql processes, each with half of the tables after one another. */
async function copySmall(url: string, tables: number): Promise<number> {
  const start = performance.now();
  const halves = [0, 1].map(async (half) => {
    const commands = Array.from({ length: tables }, (_, i) => i)
      .filter((i) => i % 2 === half)
      .map((i) => `\\copy small_${i} TO '/dev/null' WITH (FORMAT csv)`);
    const child = spawn('psql', [url, '-qAtX', '-v', 'ON_ERROR_STOP=1'], { stdio: ['pipe', 'ignore', 'inherit'] });
    child.stdin.end(`${commands.join('\n')}\n`);
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error(`psql ended with ${String(code)}. Next: install psql (postgresql-client)`);
  });
  await Promise.all(halves);
  return (performance.now() - start) / 1000;
}

async function mirrorOnce(source: string): Promise<number> {
  const directory = await mkdtemp(path.join(tmpdir(), 'commons-bench-'));
  const report = path.join(directory, 'report.json');
  const start = performance.now();
  try {
    const launch = fileURLToPath(new URL('../cli/launch.js', import.meta.url));
    const child = spawn(
      process.execPath,
      [
        launch,
        'start',
        '--source',
        source,
        '--once',
        '--port',
        '0',
        '--data',
        path.join(directory, 'data'),
        '--json',
        report,
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    const [code] = await once(child, 'exit');
    const seconds = (performance.now() - start) / 1000;
    const { state, reason }: Report = JSON.parse(await readFile(report, 'utf8'));
    if (code !== 0) throw new Error(`The run is ${state}: ${reason}`);
    return seconds;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
