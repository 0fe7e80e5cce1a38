import { encryption, getTable, patchTable, tableReference, type TableState } from '../cloud/bigquery.ts';
import { ended, submit, succeeded, type Job } from '../cloud/jobs.ts';
import type { Publication } from '../ledger/publication.ts';
import { bounded } from '../mirror/bounded.ts';
import { PermanentError, SafeError } from '../mirror/errors.ts';
import { loadingDataset } from '../mirror/names.ts';
import type { Plan } from '../mirror/plan.ts';
import { stillOurs } from './claim.ts';
import type { PublishedTable } from './published-table.ts';
import { clearForeignKeys } from './set-keys.ts';

const REQUESTS_AT_ONCE = 32;

/**
 * Copies every table into its shard, all at once, and checks each copy: rows, and the key that it is encrypted with. Copy
 * jobs are free, and each is atomic. An inherited expiration is cleared before any view shows the table. `existing` are the
 * dataset's tables.
 */
export async function copyTables(
  plan: Plan,
  tables: readonly PublishedTable[],
  publication: Publication,
  existing: ReadonlySet<string>,
  deadline: number,
): Promise<void> {
  await stillOurs(publication);
  await clearForeignKeys(
    plan,
    tables.filter(({ to }) => existing.has(to)),
  );
  const submitted = await bounded(tables, REQUESTS_AT_ONCE, async (table) => {
    return { table, id: await submit(copyJob(plan, table, publication)) };
  });
  await bounded(submitted, REQUESTS_AT_ONCE, async ({ table, id }) => {
    succeeded(id, await ended(id, deadline));
    await checkCopy(plan, table);
  });
}

function copyJob(plan: Plan, table: PublishedTable, publication: Publication): Job {
  const { dataset } = plan.config;
  const key = encryption();
  const id = publication.jobs[publication.tables.indexOf(table.name)];
  if (id === undefined) throw new SafeError(`The publication of run ${plan.runId} has no job for ${table.name}`);
  return {
    id,
    configuration: {
      copy: {
        sourceTable: tableReference(loadingDataset(dataset), table.from),
        destinationTable: tableReference(dataset, table.to),
        writeDisposition: 'WRITE_TRUNCATE',
        createDisposition: 'CREATE_IF_NEEDED',
        ...(key && { destinationEncryptionConfiguration: key }),
      },
    },
    stands: async () => (await getTable(dataset, table.to))?.numRows === table.rows,
  };
}

async function checkCopy(plan: Plan, table: PublishedTable): Promise<void> {
  const { dataset } = plan.config;
  const changes = { expirationTime: null, description: table.description };
  // The answer to a change shows the table: where that is as it should be, nobody need ask again.
  const copy = await patchTable(dataset, table.to, changes);
  if (faultOf(copy, plan, table) === undefined) return;
  const fault = faultOf(await getTable(dataset, table.to), plan, table);
  if (fault !== undefined) throw new PermanentError(`${dataset}.${table.to} ${fault}`);
}

/** What is wrong with a copy, and what to do about it. */
function faultOf(copy: TableState | undefined, plan: Plan, { rows }: PublishedTable): string | undefined {
  if (copy?.numRows !== rows) {
    return `holds ${copy?.numRows ?? 'no'} rows after the copy, expected ${rows}. Next: commons-mirror retry ${plan.runId} views --redo`;
  }
  const key = encryption()?.kmsKeyName;
  // BigQuery gives the key's version with its name.
  const used = copy.encryptionConfiguration?.kmsKeyName;
  if (!key || used === key || used?.startsWith(`${key}/cryptoKeyVersions/`)) return undefined;
  return `is not encrypted with ${key}. Next: grant BigQuery the key, then retry views --redo`;
}
