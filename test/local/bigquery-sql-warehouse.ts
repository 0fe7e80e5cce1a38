import { after } from 'node:test';
import { DuckDBInstance, JsonDuckDBValueConverter, type DuckDBConnection, type Json } from '@duckdb/node-api';
import { installFunctions, installJavaScript } from '../../local/bigquery/sql/functions.ts';
import { translate, type QueryParameter, type Statement, type TableRef } from '../../local/bigquery/sql/translate.ts';
import { BIGNUMERIC_FIELD, bignumericText, duckType, fieldOf, quoteName } from '../../local/bigquery/sql/types.ts';

export type Answer = { names: string[]; types: string[]; rows: Json[][] };
export type Warehouse = { run: (sql: string, parameters?: QueryParameter[]) => Promise<Answer> };

const NOTHING: Answer = { names: [], types: [], rows: [] };

/** An empty in-memory database that runs BigQuery scripts, for one test file; datasets come with their first table. */
export async function openWarehouse(): Promise<Warehouse> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const installed = { scalars: new Set<string>() };
  await installFunctions(connection, installed);
  after(() => {
    connection.closeSync();
    instance.closeSync();
  });
  return {
    run: async (sql, parameters = []) => {
      const { statements, functions } = translate(sql, { project: 'p-x', dataset: 'd', parameters, quote });
      installJavaScript(connection, functions, installed.scalars);
      let answer = NOTHING;
      for (const statement of statements) answer = await execute(connection, statement);
      return answer;
    },
  };
}

function quote({ dataset, table }: TableRef): string {
  return `${quoteName(dataset)}.${quoteName(table)}`;
}

async function execute(connection: DuckDBConnection, statement: Statement): Promise<Answer> {
  switch (statement.kind) {
    case 'createTable': {
      const { target, fields, sql } = statement;
      await connection.run(`CREATE SCHEMA IF NOT EXISTS ${quoteName(target.dataset)}`);
      if (!fields) await connection.run(`CREATE OR REPLACE TABLE ${quote(target)} AS ${sql}`);
      else {
        const columns = fields.map(
          (field) => `${quoteName(field.name)} ${duckType(field)}${field.mode === 'REQUIRED' ? ' NOT NULL' : ''}`,
        );
        await connection.run(`CREATE OR REPLACE TABLE ${quote(target)} (${columns.join(', ')})`);
        if (sql !== undefined) await connection.run(`INSERT INTO ${quote(target)} ${sql}`);
      }
      return NOTHING;
    }
    case 'createView':
      await connection.run(`CREATE OR REPLACE VIEW ${quote(statement.target)} AS ${statement.sql}`);
      return NOTHING;
    case 'drop':
      await connection.run(`DROP ${statement.object} ${quote(statement.target)}`);
      return NOTHING;
    case 'begin':
    case 'commit':
    case 'rollback':
      await connection.run(statement.kind);
      return NOTHING;
    case 'dml':
      await connection.run(statement.sql);
      return NOTHING;
    case 'select':
      return read(connection, statement.sql);
  }
}

async function read(connection: DuckDBConnection, sql: string): Promise<Answer> {
  const reader = await connection.runAndReadAll(sql);
  const types = reader.columnTypes();
  const names = reader.columnNames();
  const fields = types.map((type, index) => fieldOf(names[index] ?? '', type));
  const rows = reader.getRows().map((row) =>
    row.map((value, index) => {
      const type = types[index];
      return type === undefined ? null : readable(JsonDuckDBValueConverter(value, type, JsonDuckDBValueConverter));
    }),
  );
  return {
    names,
    types: fields.map((field) => (field.mode === 'REPEATED' ? `ARRAY<${field.type}>` : field.type)),
    rows,
  };
}

/** BIGNUMERIC as its text. */
function readable(value: Json): Json {
  if (Array.isArray(value)) return value.map(readable);
  if (value === null || typeof value !== 'object') return value;
  const unscaled = value[BIGNUMERIC_FIELD];
  if (typeof unscaled === 'string') return bignumericText(BigInt(unscaled));
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, readable(member)]));
}
