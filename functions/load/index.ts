import { encryption, getTable, tableReference, type JobConfiguration } from '../cloud/bigquery.ts';
import { ended, jobId, run, submit, succeeded, type Job } from '../cloud/jobs.ts';
import { log } from '../cloud/log.ts';
import { publish } from '../cloud/pubsub.ts';
import { readJson } from '../cloud/storage.ts';
import { deliver, type Context, type Delivery } from '../deliver.ts';
import { environment } from '../environment.ts';
import { mark, markerOf } from '../ledger/markers.ts';
import { planOf, refuseExpired } from '../ledger/run.ts';
import { bounded } from '../mirror/bounded.ts';
import { PermanentError } from '../mirror/errors.ts';
import {
  parseObject,
  TOPICS,
  type Completion,
  type Message,
  type ObjectFinalized,
  type PubSubEvent,
} from '../mirror/messages.ts';
import { loaded, loadingDataset, refused, staged } from '../mirror/names.ts';
import {
  manifestObject,
  ManifestSchema,
  parseManifestObject,
  type ExportedTable,
  type Plan,
  type TablePlan,
} from '../mirror/plan.ts';
import { newRunCommand } from '../mirror/retry.ts';
import { fieldsOf, stagingFields, type Field } from '../mirror/schema.ts';
import { tableText } from '../mirror/table-pattern.ts';
import { LoadResultSchema, type LoadedTable } from './result.ts';
import { verified } from './verify.ts';
import { badRows, goodRows, type Split } from './split.ts';

/**
 * A manifest has appeared: load its chunk into the loading dataset. One load job per table with all its parts ("5 table
 * updates per 10 s": never one per part), all submitted before the first is waited for. A table that BigQuery refuses is
 * loaded as text and split. Rows exported = rows loaded + error rows, per table, or the step fails.
 */
export const load = (event: PubSubEvent): Promise<void> => deliver(delivery, event);

const delivery: Delivery<ObjectFinalized> = {
  step: 'load',
  parse: parseObject,
  // The notification has its prefix and event type; neither is relied on.
  target: ({ body, attributes }: Message<ObjectFinalized>) => {
    const manifest = parseManifestObject(body.name);
    const isCreation = (attributes['eventType'] ?? 'OBJECT_FINALIZE') === 'OBJECT_FINALIZE';
    if (!manifest || !isCreation || body.bucket !== environment().DATA_BUCKET) return undefined;
    return { runId: manifest.runId, subject: manifest.chunk };
  },
  work: async ({ runId, subject: chunk = '' }, context, { name }) => {
    const plan = await planOf(runId);
    if (parseManifestObject(name)?.attempt !== plan.attempt) {
      log.warning(`${name} is of another attempt than the plan; nothing is loaded from it`);
      return;
    }
    if (!(await markerOf(runId, 'load', chunk, LoadResultSchema))) {
      refuseExpired(plan);
      const result = { tables: await loadChunk(plan, chunk, context) };
      const { generation, startedAt } = context;
      const endedAt = new Date().toISOString();
      await mark(runId, 'load', chunk, LoadResultSchema, { generation, startedAt, endedAt, result });
      log.info('Chunk loaded', { tables: result.tables.length });
    }
    const completion: Completion = { step: 'load', runId, shard: plan.shard, chunk };
    await publish(TOPICS.completions, completion);
  },
};

/** Requests under way at once; far below BigQuery's 100 API requests per second and user. */
const REQUESTS_AT_ONCE = 16;

async function loadChunk(plan: Plan, chunk: string, context: Context): Promise<LoadedTable[]> {
  const name = manifestObject(plan.runId, plan.attempt, chunk);
  const manifest = await readJson(environment().DATA_BUCKET, name, ManifestSchema);
  const chunkPlan = plan.chunks.find((candidate) => candidate.name === chunk);
  if (!manifest || !chunkPlan) {
    throw new PermanentError(
      `gs://${environment().DATA_BUCKET}/${name} or its chunk in the plan is missing. ` +
        `Next: start a new run: ${newRunCommand(plan.config)}`,
    );
  }
  const works = chunkPlan.tables.map((table) => {
    const exported = manifest.value.tables.find(({ warehouseTable }) => warehouseTable === table.warehouseTable);
    if (!exported)
      throw new PermanentError(`${tableText(table)} is in the plan, and not in the manifest of chunk ${chunk}`);
    return { plan, chunk, table, exported, context };
  });
  const submitted = await bounded(works, REQUESTS_AT_ONCE, async (work) => ({ work, id: await submitTyped(work) }));
  return bounded(submitted, REQUESTS_AT_ONCE, async ({ work, id }) => {
    const counts = (await typedCounts(work, id)) ?? (await splitTable(work));
    const { generation, deadline } = work.context;
    const table = closedBalance(work, counts);
    const columns = await verified({ ...work, generation, deadline }, counts.errors > 0);
    return columns === undefined ? table : { ...table, verified: columns };
  });
}

type Work = { plan: Plan; chunk: string; table: TablePlan; exported: ExportedTable; context: Context };
type Counts = { loaded: number; errors: number };

/** BigQuery: `invalid` is what a load job fails with when rows do not fit the schema. That is an answer, not a fault. */
const REFUSED = ['invalid'];

/** Starts the typed load; undefined where the table is split in any case. */
async function submitTyped(work: Work): Promise<string | undefined> {
  // Known since the export: rows do not fit.
  if (work.exported.oversize) return undefined;
  // BigQuery: a load takes what is left of a polygon's ring for its inside, ST_GEOGFROMTEXT the smaller area, as people mean it.
  if (work.table.columns.some(({ bigquery }) => bigquery === 'GEOGRAPHY')) return undefined;
  return submit(typedLoad(work));
}

async function typedCounts(work: Work, id: string | undefined): Promise<Counts | undefined> {
  if (id === undefined) return undefined;
  const state = succeeded(id, await ended(id, work.context.deadline), REFUSED);
  if (state.failure) {
    log.info(`BigQuery refused rows of ${tableText(work.table)}; they are split`, { job: id });
    return undefined;
  }
  return {
    loaded: state.outputRows ?? (await rowsOf(work, loaded(work.table.warehouseTable, work.plan.runId))),
    errors: 0,
  };
}

/** All rows as text into the staging table, then the good ones and the bad ones by SQL. */
async function splitTable(work: Work): Promise<Counts> {
  const { plan, table, exported, context } = work;
  const { runId, nullToken, config } = plan;
  const dataset = loadingDataset(config.dataset);
  const split: Split = {
    columns: table.columns,
    nullToken,
    oversize: exported.oversize,
    project: config.project,
    dataset,
    staging: staged(table.warehouseTable, runId),
    target: loaded(table.warehouseTable, runId),
  };
  await run(loadJob(work, 'staging', split.staging, stagingFields(table.columns)), context.deadline);
  const onlyPart = exported.parts.length === 1 ? (exported.parts[0]?.object ?? null) : null;
  const bad = badRows(split, { runId, schema: table.schema, table: table.table, part: onlyPart });
  const good = goodRows(split, encryption()?.kmsKeyName);
  const errors = refused(table.warehouseTable, runId);
  await Promise.all([
    run(queryJob(work, 'good', { query: good }, split.target), context.deadline),
    run(queryJob(work, 'bad', { query: bad, ...into(dataset, errors) }, errors), context.deadline),
  ]);
  return { loaded: await rowsOf(work, split.target), errors: await rowsOf(work, errors) };
}

function closedBalance({ plan, chunk, table, exported }: Work, { loaded, errors }: Counts): LoadedTable {
  const { schema, warehouseTable, rows, bytes, parts } = exported;
  if (loaded + errors !== rows) {
    throw new PermanentError(
      `${tableText(table)}: ${rows} rows exported, ${loaded} loaded, ${errors} in errors: ${rows - loaded - errors} are missing. ` +
        `Next: commons-mirror retry ${plan.runId} load ${chunk} --redo`,
    );
  }
  return { schema, table: table.table, warehouseTable, exported: rows, loaded, errors, bytes, parts: parts.length };
}

async function rowsOf({ plan }: Work, id: string): Promise<number> {
  const found = await getTable(loadingDataset(plan.config.dataset), id);
  if (!found)
    throw new PermanentError(`The table ${id} has disappeared from the loading dataset. Next: retry with --redo`);
  return found.numRows;
}

const typedLoad = (work: Work): Job =>
  loadJob(work, 'load', loaded(work.table.warehouseTable, work.plan.runId), fieldsOf(work.table.columns));

function loadJob(work: Work, purpose: string, target: string, fields: Field[]): Job {
  const { plan, table, exported, context } = work;
  const dataset = loadingDataset(plan.config.dataset);
  return {
    id: jobId(purpose, plan.runId, table.warehouseTable, context.generation),
    configuration: {
      load: {
        sourceUris: exported.parts.map(({ object }) => `gs://${environment().DATA_BUCKET}/${object}`),
        sourceFormat: 'CSV',
        schema: { fields },
        skipLeadingRows: 1,
        nullMarker: plan.nullToken,
        allowQuotedNewlines: true,
        // Asked for by the docs where text holds NUL or other control characters.
        preserveAsciiControlCharacters: true,
        maxBadRecords: 0,
        ...into(dataset, target),
      },
    },
    answers: purpose === 'load' ? REFUSED : [],
    stands: async ({ outputRows }) => {
      const found = await getTable(dataset, target);
      return found !== undefined && (outputRows === undefined || found.numRows === outputRows);
    },
  };
}

function queryJob(work: Work, purpose: string, query: Record<string, unknown>, output: string): Job {
  const { plan, table, context } = work;
  const configuration: JobConfiguration = { query: { useLegacySql: false, ...query } };
  return {
    id: jobId(purpose, plan.runId, table.warehouseTable, context.generation),
    configuration,
    stands: async () => (await getTable(loadingDataset(plan.config.dataset), output)) !== undefined,
  };
}

/** A job's destination: replaced as a whole, and encrypted by the mirror's key. */
function into(dataset: string, id: string): Record<string, unknown> {
  const key = encryption();
  return {
    destinationTable: tableReference(dataset, id),
    writeDisposition: 'WRITE_TRUNCATE',
    createDisposition: 'CREATE_IF_NEEDED',
    ...(key && { destinationEncryptionConfiguration: key }),
  };
}
