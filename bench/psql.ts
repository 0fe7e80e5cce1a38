import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** The named reference: psql's own `\copy` to /dev/null, one process a range of pages. Gives seconds. */
export async function psqlCopy(url: string, table: string, streams: number, pages: number): Promise<number> {
  const start = performance.now();
  const each = Math.ceil(pages / streams);
  const exits = Array.from({ length: streams }, async (_, i) => {
    const upper = i === streams - 1 ? '' : ` AND ctid < '(${(i + 1) * each},0)'`;
    const query = `SELECT * FROM ${table} WHERE ctid >= '(${i * each},0)'${upper}`;
    const child = spawn(
      'psql',
      [url, '-qAtX', '-v', 'ON_ERROR_STOP=1', '-c', `\\copy (${query}) TO '/dev/null' WITH (FORMAT csv)`],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error(`psql ended with ${String(code)}. Next: install psql (postgresql-client)`);
  });
  await Promise.all(exits);
  return (performance.now() - start) / 1000;
}
