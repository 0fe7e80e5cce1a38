import type { Catalog, Transaction } from './catalog.ts';
import type { JobControl } from './jobs.ts';
import { queryStatistics, bytesRead } from './query-statistics.ts';
import type { Prepared } from './query.ts';
import { type Answer, runSelect, stoppable } from './select.ts';
import type { Statement } from './sql/translate.ts';
import { InvalidQuery } from './sql/types.ts';
import { runStatement, statementType, type Done } from './statements.ts';
import { dropExpired } from './tables.ts';
import { rebindViews } from './views.ts';

/** DDL and DML: each statement commits by itself, those between BEGIN and COMMIT together. */
export async function runScript(
  catalog: Catalog,
  { statements, inTurn }: Prepared,
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
      const current = inTurn()[Symbol.iterator]();
      for (const [index, group] of groups.entries()) {
        await runGroup(catalog, group, async (transaction) => {
          for (let left = group.statements.length; left > 0; left--) {
            control.signal.throwIfAborted();
            const statement = nextStatement(current);
            await stoppable(transaction.connection, control.signal, async () => {
              if (statement.kind === 'select') answer(await runSelect(catalog, transaction.connection, statement));
              else done.push(await runStatement(catalog, transaction, statement, group.explicit));
            });
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

/** The next that is no BEGIN, COMMIT or ROLLBACK. */
function nextStatement(statements: Iterator<Statement>): Statement {
  for (;;) {
    const { value, done } = statements.next();
    if (done === true) throw new TypeError('The script has fewer statements than at first');
    if (!['begin', 'commit', 'rollback'].includes(value.kind)) return value;
  }
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
