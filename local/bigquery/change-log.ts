import { dirname } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import * as z from 'zod';
import { literal } from './csv-fast.ts';

/**
 * What the stand-in itself keeps in the DuckDB file, beside one schema per dataset: what became of its datasets, tables and
 * jobs, as a log, of which the last entry of each counts. Entries are only ever added, by one statement a transaction: to
 * look for the one before and replace it would be two more, and two jobs that touch different tables would conflict.
 */
export const privateSchema = '_commons_mirror';

/** How tables are stored and told: 2 has BIGNUMERIC as text, 3 this log. A file of another layout is refused, for what it holds can be loaded again. */
const layoutVersion = 3;

export type Change = {
  kind: 'dataset' | 'table' | 'rows' | 'job';
  id: string;
  /** JSON; undefined for what is gone. */
  resource: string | undefined;
};

/**
 * Opens the log of a DuckDB file, without what has been superseded.
 * @throws Error for a file of another layout, with the directory to delete
 */
export async function openChangeLog(connection: DuckDBConnection, file: string) {
  await checkLayout(connection, file);
  const table = `${privateSchema}.changes`;
  await connection.run(`
    CREATE TABLE IF NOT EXISTS ${table} (number BIGINT NOT NULL, kind VARCHAR NOT NULL, id VARCHAR NOT NULL, resource VARCHAR);
    DELETE FROM ${table} WHERE number NOT IN (SELECT max(number) FROM ${table} GROUP BY kind, id);
    DELETE FROM ${table} WHERE resource IS NULL`);
  const reader = await connection.runAndReadAll(
    `SELECT number::DOUBLE, kind, id, resource FROM ${table} ORDER BY number`,
  );
  const kept = z.array(Entry).parse(reader.getRowsJS());
  let number = kept.at(-1)?.[0] ?? 0;
  return {
    kept: kept.map(([, kind, id, resource]) => ({ kind, id, resource })),
    /** The statement that adds `changes`, in their order. */
    insert: (changes: readonly Change[]): string => {
      const rows = changes.map(({ kind, id, resource }) => {
        number += 1;
        return `(${number}, '${kind}', ${literal(id)}, ${resource === undefined ? 'NULL' : literal(resource)})`;
      });
      return `INSERT INTO ${table} VALUES ${rows.join(', ')}`;
    },
  };
}

const Entry = z.tuple([z.number(), z.enum(['dataset', 'table', 'rows', 'job']), z.string(), z.string()]);

/** Makes the private schema of a new file, and refuses one that another version has written. */
async function checkLayout(connection: DuckDBConnection, file: string): Promise<void> {
  const found = await connection.runAndReadAll(
    `SELECT table_name FROM duckdb_tables() WHERE schema_name = '${privateSchema}'`,
  );
  const tables = found.getRowsJS().flat();
  if (tables.length === 0) {
    await connection.run(`CREATE SCHEMA IF NOT EXISTS ${privateSchema}`);
    await connection.run(`CREATE TABLE ${privateSchema}.layout AS SELECT ${layoutVersion} AS version`);
    return;
  }
  const versions = tables.includes('layout')
    ? (await connection.runAndReadAll(`SELECT version FROM ${privateSchema}.layout`)).getRowsJS()
    : [[1]];
  const version = Number(versions[0]?.[0]);
  if (version === layoutVersion) return;
  throw new Error(
    `The local BigQuery's file ${file} has layout ${version}, and this version reads layout ${layoutVersion} only: ` +
      `delete the directory ${dirname(file)} and start again, which mirrors everything anew.`,
  );
}
