import { getTable, insertTable, patchTable } from '../cloud/bigquery.ts';
import type { Publication } from '../ledger/publication.ts';
import { bounded } from '../mirror/bounded.ts';
import { PermanentError } from '../mirror/errors.ts';
import { errorsTable, published } from '../mirror/names.ts';
import type { Plan } from '../mirror/plan.ts';
import { table as tableName } from '../mirror/sql.ts';
import { Superseded, stillOurs } from './claim.ts';
import type { PublishedTable } from './published-table.ts';

const REQUESTS_AT_ONCE = 32;

/** BigQuery: label values hold lower-case letters, digits, `_` and `-`. */
const SEQUENCE_LABEL = 'mirror_sequence';

export type MovedView = { view: string; table: string };

/**
 * Moves every view to the run's shard. CMEK tables cannot be read through wildcards, so that a view names one table. The
 * view's label says which publication it shows; with the etag, it can only ever move forward. `existing` are the dataset's
 * tables and views.
 */
export async function moveViews(
  plan: Plan,
  tables: readonly PublishedTable[],
  publication: Publication,
  existing: ReadonlySet<string>,
): Promise<MovedView[]> {
  await stillOurs(publication);
  return bounded(tables, REQUESTS_AT_ONCE, async (table) => {
    await moveView(plan, table, publication, existing.has(table.name));
    return { view: table.name, table: table.to };
  });
}

async function moveView(
  plan: Plan,
  table: PublishedTable,
  { sequence, runId }: Publication,
  exists: boolean,
): Promise<void> {
  const { project, dataset } = plan.config;
  const resource = {
    view: { query: `SELECT * FROM ${tableName(project, dataset, table.to)}`, useLegacySql: false },
    description: `${table.description}\nCommons Mirror run ${runId}, shard ${plan.shard}`,
    labels: { [SEQUENCE_LABEL]: String(sequence) },
  };
  if (!exists && (await insertTable(dataset, table.name, resource))) return;
  for (;;) {
    const current = await getTable(dataset, table.name);
    if (!current) {
      if (await insertTable(dataset, table.name, resource)) return;
      continue;
    }
    if (current.type !== 'VIEW') {
      throw new PermanentError(
        `${dataset}.${table.name} is a ${current.type.toLowerCase()}, where the mirror's view belongs. Next: rename it, then retry ${runId} views`,
      );
    }
    const shown = Number(current.labels[SEQUENCE_LABEL] ?? 0);
    if (shown > sequence) throw new Superseded(runId, `of publication ${shown}`);
    if (shown === sequence && current.view?.query === resource.view.query) return;
    if (await patchTable(dataset, table.name, resource, current.etag)) return;
  }
}

/**
 * What the views showed before expires `keepDays` after they have moved, with the error rows of its day. A table that this
 * run does not have keeps its view, and so its shard: what a view shows never expires. The same day's shard has been
 * overwritten, not superseded.
 */
export async function expireSuperseded(
  plan: Plan,
  tables: readonly PublishedTable[],
  { earlier }: Publication,
): Promise<void> {
  const { dataset, keepDays } = plan.config;
  const expirationTime = String(Date.now() + keepDays * 86_400_000);
  const moved = new Set(tables.map(({ name }) => name));
  const ofOtherDays = earlier.filter(({ shard }) => shard !== plan.shard);
  const superseded = ofOtherDays.filter(({ name }) => moved.has(name)).map(({ name, shard }) => published(name, shard));
  const errors = ofOtherDays.map(({ shard }) => errorsTable(shard));
  await bounded([...new Set([...superseded, ...errors])], REQUESTS_AT_ONCE, async (id) => {
    const current = await getTable(dataset, id);
    // A repeat leaves the date that the first one set.
    if (current && current.expirationTime === undefined)
      await patchTable(dataset, id, { expirationTime }, current.etag);
  });
}
