import type { DuckDBConnection, DuckDBMaterializedResult } from '@duckdb/node-api';
import * as z from 'zod';
import { notImplemented } from '../http.ts';
import { tableName, type Catalog, type TableKey, type Transaction } from './catalog.ts';
import { parseBody } from './datasets.ts';
import { createTableAs, measure } from './duck-tables.ts';
import type { JobControl, JobRun } from './jobs.ts';
import { dispositions, refuseOthers, tableReference, writeTarget } from './load.ts';
import { fetchable } from './results.ts';
import { runStatement, statementType, type Done } from './statements.ts';
import { installJavaScript } from './sql/functions.ts';
import { translate, type QueryParameter, type Statement } from './sql/translate.ts';
import { InvalidQuery, type Field } from './sql/types.ts';
import { dropExpired } from './tables.ts';
import { columnsOf, duckName, queryError, reads, rebindViews, requireReadable } from './views.ts';

const parameterType: z.ZodType<QueryParameter['parameterType']> = z.lazy(() =>
  z.object({
    type: z.string(),
    arrayType: parameterType.exactOptional(),
    structTypes: z.array(z.object({ name: z.string().exactOptional(), type: parameterType })).exactOptional(),
  }),
);

// Clients send numbers and booleans as they are, where the reference says string.
const scalar = z.union([z.string(), z.number(), z.boolean()]).transform(String);

const parameterValue: z.ZodType<QueryParameter['parameterValue']> = z.lazy(() =>
  z.object({
    value: scalar.nullable().exactOptional(),
    arrayValues: z.array(parameterValue).exactOptional(),
    structValues: z.record(z.string(), parameterValue).exactOptional(),
  }),
);

const queryParameter = z.object({ name: z.string().exactOptional(), parameterType, parameterValue });

const queryRequest = z.object({
  query: z.string(),
  useLegacySql: z.boolean().default(true),
  defaultDataset: z.object({ projectId: z.string().optional(), datasetId: z.string() }).optional(),
  queryParameters: z.array(queryParameter).optional(),
  destinationTable: tableReference.optional(),
  writeDisposition: z.enum(['WRITE_TRUNCATE', 'WRITE_APPEND', 'WRITE_EMPTY']).default('WRITE_EMPTY'),
  ...dispositions,
});

export type QueryRequest = z.infer<typeof queryRequest>;

/** Named without effect on what a query answers: caches, priorities, limits on cost, shapes of legacy SQL. */
const withoutEffect = [
  'parameterMode',
  'useQueryCache',
  'priority',
  'maximumBytesBilled',
  'maximumBillingTier',
  'allowLargeResults',
  'flattenResults',
  'preserveNulls',
  'writeIncrementalResults',
  'queryInfo',
];

/** @throws ApiError 400, or 501 for legacy SQL and options that are not here */
export function parseQuery(body: Record<string, unknown>): QueryRequest {
  refuseOthers('query', body, [...Object.keys(queryRequest.shape), ...withoutEffect]);
  const request = parseBody(queryRequest, body);
  if (request.useLegacySql) throw notImplemented('BigQuery', 'legacy SQL (set useLegacySql to false)');
  return request;
}

/** What a query has answered: rows that stay in DuckDB's memory, or the table that it has written them to. */
export type Answer = { fields: Field[]; rows: DuckDBMaterializedResult } | { fields: Field[]; table: TableKey };

type Prepared = { statements: Statement[]; functions: ReturnType<typeof translate>['functions'] };

/**
 * A query job's work.
 * @param answer is called with what the job's last SELECT has answered
 */
export function runQuery(
  catalog: Catalog,
  project: string,
  request: QueryRequest,
  answer: (answer: Answer) => void,
): JobRun {
  return async (control) => {
    const prepared = prepare(catalog, project, request);
    const { statements } = prepared;
    const [only] = statements;
    if (request.destinationTable !== undefined && (statements.length !== 1 || only?.kind !== 'select')) {
      throw new InvalidQuery('A destination table can be set only for a query of a single SELECT statement');
    }
    if (statements.every((each) => each.kind === 'select') && request.destinationTable === undefined) {
      return control.inLane('read', () => runReads(catalog, prepared, control, answer));
    }
    if (request.destinationTable !== undefined && only?.kind === 'select') {
      const key = { ...request.destinationTable, project: request.destinationTable.project ?? project };
      return runInto(catalog, key, request, only, prepared, control, answer);
    }
    return runScript(catalog, prepared, control, answer);
  };
}

/**
 * What a query would answer and read, without running it.
 * @throws InvalidQuery, 404, 501 as the query itself
 */
export async function dryRun(
  catalog: Catalog,
  project: string,
  request: QueryRequest,
): Promise<{
  totalBytesProcessed: string;
  query: { statementType: string; totalBytesProcessed: string; schema?: Field[] | undefined };
}> {
  const { statements, functions } = prepare(catalog, project, request);
  const [only] = statements;
  const select = statements.length === 1 && only?.kind === 'select' ? only : undefined;
  for (const each of select?.reads ?? []) requireReadable(catalog, each);
  const fields =
    select === undefined
      ? undefined
      : await catalog.withConnection(async (connection) => {
          const free = await installJavaScript(connection, functions);
          return columnsOf(connection, select.sql).finally(free);
        }, 'functions');
  const totalBytesProcessed = String(bytesRead(catalog, statements));
  return {
    totalBytesProcessed,
    query: { statementType: statementType(statements), totalBytesProcessed, schema: fields },
  };
}

function prepare(catalog: Catalog, project: string, request: QueryRequest): Prepared {
  const dataset = request.defaultDataset;
  return translate(request.query, {
    project: dataset?.projectId ?? project,
    ...(dataset === undefined ? {} : { dataset: dataset.datasetId }),
    parameters: request.queryParameters ?? [],
    quote: (ref) => duckName(catalog, ref),
  });
}

async function runReads(
  catalog: Catalog,
  { statements, functions }: Prepared,
  control: JobControl,
  answer: (answer: Answer) => void,
): Promise<Record<string, unknown>> {
  return catalog.withConnection(async (connection) => {
    const free = await installJavaScript(connection, functions);
    try {
      for (const statement of statements) {
        if (statement.kind !== 'select') continue;
        answer(await stoppable(connection, control.signal, () => runSelect(catalog, connection, statement)));
      }
    } finally {
      free();
    }
    return queryStatistics(bytesRead(catalog, statements), statementType(statements), []);
  }, 'functions');
}

async function runSelect(
  catalog: Catalog,
  connection: DuckDBConnection,
  statement: Statement & { kind: 'select' },
): Promise<Answer> {
  for (const each of statement.reads) requireReadable(catalog, each);
  const fields = await columnsOf(connection, statement.sql);
  checkNames(fields);
  const rows = await connection.run(`SELECT ${fetchable(fields)} FROM (${statement.sql})`);
  return { fields, rows };
}

function checkNames(fields: Field[]): void {
  const names = fields.map((field) => field.name.toLowerCase());
  const twice = fields.find((field, index) => names.indexOf(field.name.toLowerCase()) !== index);
  if (twice !== undefined)
    throw new InvalidQuery(
      `Duplicate column names in the result are not supported when a destination table is present. Found duplicate(s): ${twice.name}`,
    );
}

/** A SELECT whose rows become a table. */
async function runInto(
  catalog: Catalog,
  key: TableKey,
  request: QueryRequest,
  statement: Statement & { kind: 'select' },
  { statements, functions }: Prepared,
  control: JobControl,
  answer: (answer: Answer) => void,
): Promise<Record<string, unknown>> {
  const statistics = await catalog.locked([key], () =>
    control.inLane('write', async () => {
      await dropExpired(catalog, key);
      for (const each of statement.reads) requireReadable(catalog, each);
      const statistics = queryStatistics(bytesRead(catalog, statements), 'SELECT', []);
      await catalog.transaction(async (transaction) => {
        const { connection } = transaction;
        const free = await installJavaScript(connection, functions);
        try {
          const fields = await stoppable(connection, control.signal, () => columnsOf(connection, statement.sql));
          checkNames(fields);
          const before = catalog.findTable(key);
          const after = await writeTarget(catalog, key, before, request.writeDisposition, request, fields);
          const name = duckName(catalog, key);
          const append = before !== undefined && request.writeDisposition !== 'WRITE_TRUNCATE';
          await stoppable(connection, control.signal, async () => {
            if (append) await connection.run(`INSERT INTO ${name} ${statement.sql}`);
            else
              await createTableAs(connection, name, after.fields, statement.sql, {
                before,
                readsItself: reads(catalog, statement.reads, key),
              });
          });
          await transaction.putTable(key, { ...after, size: await measure(connection, name, after.fields) });
          await control.seal(transaction, statistics);
          answer({ fields: after.fields, table: key });
        } finally {
          free();
        }
      }, 'functions');
      return statistics;
    }),
  );
  await rebindViews(catalog, key);
  return statistics;
}

/** DDL and DML: each statement commits by itself, those between BEGIN and COMMIT together. */
async function runScript(
  catalog: Catalog,
  { statements, functions }: Prepared,
  control: JobControl,
  answer: (answer: Answer) => void,
): Promise<Record<string, unknown>> {
  const targets = statements.flatMap((each) => ('target' in each ? [each.target] : []));
  const statistics = await catalog.locked(targets, () =>
    control.inLane('write', async () => {
      for (const target of targets) await dropExpired(catalog, target);
      const bytes = bytesRead(catalog, statements);
      const done: Done[] = [];
      const groups = inTransactions(statements);
      for (const [index, group] of groups.entries()) {
        await runGroup(catalog, group, async (transaction) => {
          const free = await installJavaScript(transaction.connection, functions);
          try {
            for (const statement of group.statements) {
              control.signal.throwIfAborted();
              await stoppable(transaction.connection, control.signal, async () => {
                if (statement.kind === 'select') answer(await runSelect(catalog, transaction.connection, statement));
                else done.push(await runStatement(catalog, transaction, statement, group.explicit));
              });
            }
          } finally {
            free();
          }
          if (index === groups.length - 1 && group.commits) {
            await control.seal(transaction, queryStatistics(bytes, statementType(statements), done));
          }
        });
      }
      return queryStatistics(bytes, statementType(statements), done);
    }),
  );
  for (const target of targets) await rebindViews(catalog, target);
  return statistics;
}

type Group = { statements: Statement[]; explicit: boolean; commits: boolean };

function inTransactions(statements: Statement[]): Group[] {
  const groups: Group[] = [];
  let open: Group | undefined;
  for (const statement of statements) {
    if (statement.kind === 'begin') {
      if (open !== undefined)
        throw new InvalidQuery('Transaction is already in progress: nested transactions are not supported');
      open = { statements: [], explicit: true, commits: false };
      groups.push(open);
    } else if (statement.kind === 'commit' || statement.kind === 'rollback') {
      if (open === undefined) throw new InvalidQuery('There is no active transaction');
      open.commits = statement.kind === 'commit';
      open = undefined;
    } else if (open === undefined) groups.push({ statements: [statement], explicit: false, commits: true });
    else open.statements.push(statement);
  }
  // A script that ends within a transaction has not committed it.
  return groups;
}

class RolledBack extends Error {}

async function runGroup(
  catalog: Catalog,
  group: Group,
  work: (transaction: Transaction) => Promise<void>,
): Promise<void> {
  try {
    await catalog.transaction(async (transaction) => {
      await work(transaction);
      if (!group.commits) throw new RolledBack();
    }, 'functions');
  } catch (error) {
    if (!(error instanceof RolledBack)) throw error;
  }
}

/** Runs `work` so that a cancelled job interrupts it; DuckDB's refusals become BigQuery's. */
async function stoppable<T>(connection: DuckDBConnection, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const stop = (): void => connection.interrupt();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await work();
  } catch (error) {
    throw queryError(error);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function queryStatistics(bytes: number, type: string, done: Done[]): Record<string, unknown> {
  const only = done.length === 1 ? done[0] : undefined;
  return {
    totalBytesProcessed: String(bytes),
    query: {
      statementType: type,
      totalBytesProcessed: String(bytes),
      totalBytesBilled: String(bytes),
      cacheHit: false,
      ...(type === 'SCRIPT' || only === undefined ? {} : only),
    },
  };
}

/** All columns of all tables below a query; BigQuery counts only the columns that it reads. */
function bytesRead(catalog: Catalog, statements: Statement[]): number {
  const seen = new Map<string, TableKey>();
  const visit = (key: TableKey): void => {
    const table = catalog.findTable(key);
    if (table === undefined || seen.has(tableName(key))) return;
    seen.set(tableName(key), key);
    for (const reference of table.view?.references ?? []) visit(reference);
  };
  for (const statement of statements) if ('reads' in statement) for (const key of statement.reads) visit(key);
  return [...seen.values()].reduce((sum, key) => sum + (catalog.findTable(key)?.size?.bytes ?? 0), 0);
}
