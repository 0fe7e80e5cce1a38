import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from 'pg';
import { copyOut } from '../../functions/export/copy-out.ts';
import { copyStatement } from '../../functions/export/copy-statement.ts';
import { takeSnapshot } from '../../functions/export/snapshot.ts';
import { queryError, urlSource } from '../../functions/export/source.ts';
import { parseConfig } from '../../functions/mirror/config.ts';
import { testDatabase } from '../postgres.ts';

/** Databases of other encodings: what has a counterpart in UTF-8 arrives, and what has none ends the run by name. */

const YAML = `project: commons-test\nregion: us-central1\nlocation: US\ndataset: d\nchunks: [{ name: c, tables: [public.t] }]`;
const SQL_ASCII =
  'The database has the encoding SQL_ASCII: a text that is not UTF-8 ends the run, and its table is named';

const CASES: [encoding: string, code: string, warnings: string[]][] = [
  ['SQL_ASCII', '22021', [SQL_ASCII]],
  // 0x81 is no character of this code page, which PostgreSQL keeps all the same.
  ['WIN1252', '22P05', []],
];

for (const [encoding, code, warnings] of CASES) {
  test(encoding, async (t) => {
    const { url } = await testDatabase(t);
    const maintenance = new Client(url);
    await maintenance.connect();
    const name = `${new URL(url).pathname.slice(1)}_encoded`;
    await maintenance.query(`CREATE DATABASE ${name} ENCODING '${encoding}' LOCALE 'C' TEMPLATE template0`);
    let writer: Client | undefined;
    t.after(async () => {
      await writer?.end();
      await maintenance.query(`DROP DATABASE ${name} WITH (FORCE)`);
      await maintenance.end();
    });
    const encoded = new URL(url);
    encoded.pathname = `/${name}`;
    writer = new Client(encoded.href);
    await writer.connect();
    const character = encoding === 'SQL_ASCII' ? '\\303\\251' : '\\351';
    await writer.query(
      `CREATE TABLE t (id int, name text); INSERT INTO t VALUES (1, convert_from('${character}'::bytea, '${encoding}'))`,
    );
    const exported = async (): Promise<string> => {
      const { plan, client } = await takeSnapshot(urlSource(encoded.href, 'test'), parseConfig(YAML, 'm.yaml'), {
        runId: '20261122T030000Z',
        attempt: 1,
        trigger: 'manual',
      });
      try {
        assert.deepEqual(plan.warnings, warnings);
        const table = plan.chunks[0]?.tables[0];
        assert.ok(table?.ranges[0]);
        let text = '';
        for await (const { bytes } of copyOut(client, copyStatement(table, table.ranges[0], plan.nullToken))) {
          text += bytes.toString('utf8');
        }
        return text;
      } finally {
        await client.end().catch(() => {});
      }
    };
    assert.equal(await exported(), 'id,name\n"1","é"\n');
    await writer.query(`INSERT INTO t VALUES (2, convert_from('\\x81'::bytea, '${encoding}'))`);
    const error = await exported().catch((error: unknown) => queryError(error, 'exporting public.t'));
    assert.ok(error instanceof Error);
    assert.deepEqual(
      [error.name, error.message],
      [
        'PermanentError',
        `PostgreSQL, exporting public.t: some text is not UTF-8 or has no counterpart there (SQLSTATE ${code}). Next: correct the rows ` +
          '(a database of encoding SQL_ASCII keeps any bytes), or leave the column out (columns: except)',
      ],
    );
  });
}
