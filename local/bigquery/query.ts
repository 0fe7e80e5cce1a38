import type { Catalog, TableKey } from './catalog.ts';
import { createTableAs, measure } from './duck-tables.ts';
import type { JobControl, JobRun } from './jobs.ts';
import type { QueryRequest } from './query-request.ts';
import { queryStatistics, bytesRead } from './query-statistics.ts';
import { runScript } from './script.ts';
import { type Answer, runSelect, checkNames, stoppable } from './select.ts';
import { installJavaScript } from './sql/functions.ts';
import { asStored } from './sql/stored.ts';
import { translate, translateInTurn, type Context, type Statement } from './sql/translate.ts';
import { InvalidQuery, type Field } from './sql/types.ts';
import { statementType } from './statements.ts';
import { dropExpired } from './tables.ts';
import { columnsOf, duckName, reads, rebindViews, requireReadable, tablesOf } from './views.ts';
import { writeTarget } from './write-target.ts';
import { dropRows, ownRows } from './shared-rows.ts';

export type Prepared = {
  statements: Statement[];
  functions: ReturnType<typeof translate>['functions'];
  /** The statements once more, each translated for the tables as they are when it is asked for. */
  inTurn: () => Iterable<Statement>;
};

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
    const { statements, functions } = prepared;
    // Before any transaction: a function registered inside one is unseen by, and in conflict with, the same one in another.
    await installed(catalog, functions);
    const [only] = statements;
    if (request.destinationTable !== undefined && (statements.length !== 1 || only?.kind !== 'select')) {
      throw new InvalidQuery('A destination table can be set only for a query of a single SELECT statement');
    }
    if (statements.every((each) => each.kind === 'select') && request.destinationTable === undefined) {
      return control.inLane('read', () => runReads(catalog, prepared, control, answer));
    }
    if (request.destinationTable !== undefined && only?.kind === 'select') {
      const key = { ...request.destinationTable, project: request.destinationTable.project ?? project };
      return runInto(catalog, key, request, prepared, control, answer);
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
      : await installed(catalog, functions).then(() =>
          catalog.withConnection((connection) => columnsOf(connection, select.sql), 'functions'),
        );
  const totalBytesProcessed = String(bytesRead(catalog, statements));
  return {
    totalBytesProcessed,
    query: { statementType: statementType(statements), totalBytesProcessed, schema: fields },
  };
}

async function installed(catalog: Catalog, functions: Prepared['functions']): Promise<void> {
  if (functions.length === 0) return;
  await catalog.withConnection((connection) => {
    installJavaScript(connection, functions, catalog.registered);
    return Promise.resolve();
  });
}

function prepare(catalog: Catalog, project: string, request: QueryRequest): Prepared {
  const dataset = request.defaultDataset;
  const context: Context = {
    project: dataset?.projectId ?? project,
    ...(dataset === undefined ? {} : { dataset: dataset.datasetId }),
    parameters: request.queryParameters ?? [],
    ...tablesOf(catalog),
  };
  return { ...translate(request.query, context), inTurn: () => translateInTurn(request.query, context) };
}

async function runReads(
  catalog: Catalog,
  { statements, inTurn }: Prepared,
  control: JobControl,
  answer: (answer: Answer) => void,
): Promise<Record<string, unknown>> {
  return catalog.withConnection(async (connection) => {
    for (const statement of inTurn()) {
      if (statement.kind !== 'select') continue;
      answer(await stoppable(connection, control.signal, () => runSelect(catalog, connection, statement)));
    }
    return queryStatistics(bytesRead(catalog, statements), statementType(statements), []);
  }, 'functions');
}

/** A SELECT whose rows become a table. */
async function runInto(
  catalog: Catalog,
  key: TableKey,
  request: QueryRequest,
  { statements, inTurn }: Prepared,
  control: JobControl,
  answer: (answer: Answer) => void,
): Promise<Record<string, unknown>> {
  const statistics = await catalog.locked([key], () =>
    control.inLane('write', async () => {
      await dropExpired(catalog, key);
      const [statement] = inTurn();
      if (statement?.kind !== 'select') throw new TypeError('The query is no SELECT any more');
      for (const each of statement.reads) requireReadable(catalog, each);
      const statistics = queryStatistics(bytesRead(catalog, statements), 'SELECT', []);
      await catalog.transaction(async (transaction) => {
        const { connection } = transaction;
        const fields = await stoppable(connection, control.signal, () => columnsOf(connection, statement.sql));
        checkNames(fields);
        const before = catalog.findTable(key);
        const after = await writeTarget(catalog, key, before, request.writeDisposition, request, fields);
        const name = duckName(catalog, key);
        const append = before !== undefined && request.writeDisposition !== 'WRITE_TRUNCATE';
        await stoppable(connection, control.signal, async () => {
          if (append) {
            await ownRows(catalog, transaction, key);
            await connection.run(`INSERT INTO ${name} ${asStored(fields, statement.sql)}`);
          } else
            await createTableAs(connection, name, after.fields, statement.sql, {
              drop: async () => before && dropRows(catalog, transaction, key, before),
              readsItself: reads(catalog, statement.reads, key),
            });
        });
        transaction.putTable(key, { ...after, size: await measure(connection, name, after.fields) });
        await control.seal(transaction, statistics);
        answer({ fields: after.fields, table: key });
      }, 'functions');
      return statistics;
    }),
  );
  await rebindViews(catalog, key);
  return statistics;
}
