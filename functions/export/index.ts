import type { Client } from 'pg';
import { log, withLabels } from '../cloud/log.ts';
import { createJson } from '../cloud/storage.ts';
import { environment } from '../environment.ts';
import { markerOf, mark } from '../ledger/markers.ts';
import { writePlan } from '../ledger/run.ts';
import { bounded } from '../mirror/bounded.ts';
import type { ConfigFile } from '../mirror/config.ts';
import { PermanentError, SafeError } from '../mirror/errors.ts';
import type { Fingerprint } from '../mirror/fingerprint.ts';
import {
  dataPrefix,
  manifestObject,
  tablesOf,
  type ChunkPlan,
  type ExportedTable,
  type Manifest,
  type Plan,
  type RangePlan,
  type TablePlan,
} from '../mirror/plan.ts';
import { tableText } from '../mirror/table-pattern.ts';
import type { Claim } from './claim.ts';
import { noteDrift, tellDrift } from './drift.ts';
import { earlierAttempt, snapshotAgain, type Earlier } from './earlier-attempt.ts';
import { exportRange, type RangeResult } from './export-range.ts';
import type { Run } from './make-plan.ts';
import { ExportProgress } from './progress.ts';
import { ExportResultSchema } from './result.ts';
import { writeSchemaFiles } from './schema-files.ts';
import { takeSnapshot, type Snapshot } from './snapshot.ts';
import { queryError, type Source } from './source.ts';

/**
 * The export of a claimed run: one snapshot, its plan, every table's rows as CSV objects, and a manifest per chunk, whose
 * creation is the event that starts that chunk's load. Nothing touches this machine's disk.
 */
export async function exportRun(
  source: Source,
  file: ConfigFile,
  claim: Claim,
  trigger: Plan['trigger'],
  signal: AbortSignal,
): Promise<void> {
  const { runId } = claim;
  if (await markerOf(runId, 'export', undefined, ExportResultSchema)) return;
  const startedAt = new Date().toISOString();
  const earlier = await earlierAttempt(claim);
  const run = { ...claim, trigger };
  const manifests = earlier
    ? await exportRest(source, file, run, earlier, signal)
    : await exportSnapshot(source, file, run, signal);
  const tables = manifests.flatMap((manifest) => manifest.tables);
  const result = {
    tables: tables.length,
    rows: tables.reduce((sum, { rows }) => sum + rows, 0),
    bytes: tables.reduce((sum, { bytes }) => sum + bytes, 0),
  };
  const endedAt = new Date().toISOString();
  await mark(runId, 'export', undefined, ExportResultSchema, { generation: 0, startedAt, endedAt, result });
  log.info('Export done', result);
}

async function exportSnapshot(source: Source, file: ConfigFile, run: Run, signal: AbortSignal): Promise<Manifest[]> {
  const snapshot = await takeSnapshot(source, file, run);
  try {
    const { plan } = snapshot;
    await noteDrift(plan);
    await writePlan(plan);
    for (const warning of plan.warnings) log.warning(warning);
    await tellDrift(plan);
    await writeSchemaFiles(plan);
    log.info(`Snapshot ${snapshot.id} of ${source.name}`, { tables: tablesOf(plan).length });
    return await exportChunks(source, snapshot, plan.chunks, run.attempt, signal);
  } finally {
    await snapshot.client.end().catch(() => {});
  }
}

/** What an earlier attempt has handed over stays; the other chunks of its plan come from a new snapshot of the same backup. */
async function exportRest(
  source: Source,
  file: ConfigFile,
  run: Run,
  { plan, manifests, missing }: Earlier,
  signal: AbortSignal,
): Promise<Manifest[]> {
  // Only its marker is missing.
  if (missing.length === 0) return manifests;
  const snapshot = await snapshotAgain(source, file, run, plan);
  try {
    log.warning(`Attempt ${run.attempt} goes on with the plan of attempt ${plan.attempt}`, { chunks: missing.length });
    return [...manifests, ...(await exportChunks(source, snapshot, missing, run.attempt, signal))];
  } finally {
    await snapshot.client.end().catch(() => {});
  }
}

type Work = { chunk: ChunkPlan; table: TablePlan; range: RangePlan; index: number };

/** All ranges of all tables over a few connections, chunk by chunk, so that the first chunks load while others export. */
async function exportChunks(
  source: Source,
  snapshot: Snapshot,
  chunks: readonly ChunkPlan[],
  attempt: number,
  signal: AbortSignal,
): Promise<Manifest[]> {
  const { plan } = snapshot;
  const results = new Map<TablePlan, RangeResult[]>();
  const manifests: Manifest[] = [];
  const work = chunks.flatMap((chunk) =>
    // Large tables first: what starts last should end soon.
    chunk.tables
      .toSorted((a, b) => b.estimatedBytes - a.estimatedBytes)
      .flatMap((table) => table.ranges.map((range, index): Work => ({ chunk, table, range, index }))),
  );
  const connections = new Connections(source, snapshot);
  const progress = new ExportProgress(chunks.flatMap(({ tables }) => tables));
  const breakOff = (): void => connections.destroy();
  signal.addEventListener('abort', breakOff, { once: true });
  try {
    await bounded(work, plan.config.source.connections, async ({ chunk, table, range, index }) => {
      signal.throwIfAborted();
      const result = await withLabels({ chunk: chunk.name, table: tableText(table) }, () =>
        exportOnce(connections, dataPrefix(plan.runId, attempt), plan.nullToken, { table, range, index }, progress),
      ).catch((error: unknown) => {
        // One range failed for good, and so has the run: the others need not stream on for hours.
        breakOff();
        throw error;
      });
      signal.throwIfAborted();
      const done = results.get(table) ?? [];
      results.set(table, [...done, result]);
      if (done.length + 1 === table.ranges.length) progress.ended(table);
      if (!chunk.tables.every((other) => results.get(other)?.length === other.ranges.length)) return;
      const manifest = manifestOf(plan, chunk, results);
      await handOver(manifest);
      manifests.push(manifest);
    });
  } finally {
    signal.removeEventListener('abort', breakOff);
    await connections.close();
  }
  return manifests;
}

const RANGE_TRIES = 3;

/** One range, again as a whole on a new connection where one broke, as long as the rows are of the same moment. */
async function exportOnce(
  connections: Connections,
  attemptPrefix: string,
  nullToken: string,
  { table, range, index }: Pick<Work, 'table' | 'range' | 'index'>,
  progress: ExportProgress,
): Promise<RangeResult> {
  for (let attempt = 1; ; attempt++) {
    const prefix = `${attemptPrefix}${table.warehouseTable}/${index}-${attempt}-`;
    try {
      const count = progress.range(table, index);
      return await connections.use((connect) => exportRange(connect, table, range, nullToken, prefix, count));
    } catch (error) {
      const told = queryError(error, `exporting ${tableText(table)}`);
      if (told instanceof PermanentError || attempt === RANGE_TRIES || connections.areBrokenOff) throw told;
      await connections.keepSnapshot();
      log.warning(`${told.message}; trying again`, { attempt });
    }
  }
}

/** Connections that all see the same snapshot; one that failed is thrown away. */
class Connections {
  readonly #source: Source;
  readonly #snapshot: Snapshot;
  #keeping: Promise<void> | undefined;
  readonly #idle: Client[] = [];
  readonly #busy = new Set<Client>();
  areBrokenOff = false;

  constructor(source: Source, snapshot: Snapshot) {
    this.#source = source;
    this.#snapshot = snapshot;
  }

  /**
   * Throws where the snapshot is lost: parts of two moments must never mix. A restored backup has one moment only, so that
   * a new snapshot of it shows the same rows.
   */
  keepSnapshot(): Promise<void> {
    // Of several ranges that break together, the first looks after it.
    this.#keeping ??= this.#lookAfterSnapshot().finally(() => (this.#keeping = undefined));
    return this.#keeping;
  }

  async #lookAfterSnapshot(): Promise<void> {
    const snapshot = this.#snapshot;
    try {
      await snapshot.client.query('SELECT 1');
    } catch (lost) {
      if (!this.#source.backup) {
        throw new SafeError('PostgreSQL: the snapshot was lost, its connection broke', { cause: lost });
      }
      const client = await this.#source.connect();
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const { rows } = await client.query<{ id: string }>('SELECT pg_export_snapshot() AS id');
      Object.assign(snapshot, { id: rows[0]?.id ?? '', client });
      log.warning(`The snapshot was lost; the export goes on with ${snapshot.id} of the same backup`);
    }
  }

  /** Runs `work`; the connection that it opened last is kept for the next one, if it did not fail. */
  async use<T>(work: (connect: () => Promise<Client>) => Promise<T>): Promise<T> {
    const opened: Client[] = [];
    let kept: Client | undefined;
    try {
      const result = await work(async () => {
        if (this.areBrokenOff) throw new SafeError('The export was broken off');
        const client = this.#idle.pop() ?? (await this.#open());
        opened.push(client);
        this.#busy.add(client);
        return client;
      });
      kept = opened.at(-1);
      return result;
    } finally {
      for (const client of opened) {
        this.#busy.delete(client);
        if (client === kept) this.#idle.push(client);
        else client.end().catch(() => {});
      }
      // What broke one connection often broke them all; the next try shall not meet an idle one that nobody has heard end.
      if (!kept) for (const client of this.#idle.splice(0)) client.end().catch(() => {});
    }
  }

  /** Ends every COPY under way; nothing is exported over these connections any more. */
  destroy(): void {
    this.areBrokenOff = true;
    for (const client of this.#busy) client.end().catch(() => {});
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#idle.splice(0).map((client) => client.end()));
  }

  async #open(): Promise<Client> {
    const client = await this.#source.connect();
    try {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      await client.query(`SET TRANSACTION SNAPSHOT '${this.#snapshot.id}'`);
      return client;
    } catch (error) {
      // An open connection would keep the process alive for ever.
      await client.end().catch(() => {});
      // undefined_object: whoever exported the snapshot has gone. That is looked after, and no fault of a name.
      const isLost = error instanceof Error && 'code' in error && error.code === '42704';
      throw isLost ? new SafeError('PostgreSQL: the snapshot was lost, its connection broke', { cause: error }) : error;
    }
  }
}

function manifestOf(plan: Plan, chunk: ChunkPlan, results: Map<TablePlan, RangeResult[]>): Manifest {
  const tables = chunk.tables.map((table): ExportedTable => {
    const ranges = results.get(table) ?? [];
    const parts = ranges.flatMap((range) => range.parts);
    return {
      schema: table.schema,
      table: table.table,
      warehouseTable: table.warehouseTable,
      rows: ranges.reduce((sum, { rows }) => sum + rows, 0),
      bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
      oversize: ranges.some(({ oversize }) => oversize),
      ...fingerprintOf(ranges),
      parts,
    };
  });
  return { version: 1, runId: plan.runId, attempt: plan.attempt, chunk: chunk.name, tables };
}

/** The ranges' sums, added up; none where a range has none. */
function fingerprintOf(ranges: readonly RangeResult[]): { fingerprint?: Fingerprint } {
  const all = ranges.flatMap(({ fingerprint }) => fingerprint ?? []);
  const [first, ...others] = all;
  if (!first || all.length < ranges.length) return {};
  const sums = first.sums.map((sum, i) =>
    String(others.reduce((total, other) => total + BigInt(other.sums[i] ?? 0), BigInt(sum))),
  );
  return { fingerprint: { rows: all.reduce((total, { rows }) => total + rows, 0), sums } };
}

/** The parts' own counts must add up to COPY's tags before anyone may load them. */
async function handOver(manifest: Manifest): Promise<void> {
  for (const table of manifest.tables) {
    const counted = table.parts.reduce((sum, { rows }) => sum + rows, 0);
    if (counted !== table.rows) {
      throw new SafeError(`${tableText(table)}: COPY's tags say ${table.rows} rows, the parts hold ${counted}`);
    }
  }
  const name = manifestObject(manifest.runId, manifest.attempt, manifest.chunk);
  await createJson(environment().DATA_BUCKET, name, manifest);
  log.info(`Chunk ${manifest.chunk} is exported`, { tables: manifest.tables.length });
}
