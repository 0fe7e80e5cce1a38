import { listObjects, readJson } from '../cloud/storage.ts';
import { environment } from '../environment.ts';
import { findPlan } from '../ledger/run.ts';
import { bounded } from '../mirror/bounded.ts';
import type { ConfigFile } from '../mirror/config.ts';
import { PermanentError, SafeError } from '../mirror/errors.ts';
import {
  MANIFEST_PREFIX,
  manifestObject,
  ManifestSchema,
  tablesOf,
  type ChunkPlan,
  type Manifest,
  type Plan,
  type TablePlan,
} from '../mirror/plan.ts';
import { newRunCommand } from '../mirror/retry.ts';
import { tableText } from '../mirror/table-pattern.ts';
import type { Claim } from './claim.ts';
import type { Run } from './make-plan.ts';
import { takeSnapshot, type Snapshot } from './snapshot.ts';
import type { Source } from './source.ts';

/** What an earlier attempt of the run had handed over when it died, and the chunks of its plan that it had not. */
export type Earlier = { plan: Plan; manifests: Manifest[]; missing: ChunkPlan[] };

/**
 * Undefined where nothing was handed over. Throws a PermanentError where a live database's chunks were, and not all: they
 * come from the attempt's snapshot, which ended with it, and the tables of a run must be of one moment.
 */
export async function earlierAttempt({ runId, attempt }: Claim): Promise<Earlier | undefined> {
  const found = await listObjects(environment().DATA_BUCKET, `${MANIFEST_PREFIX}${runId}/`);
  if (found.size === 0) return undefined;
  const plan = await findPlan(runId);
  const isHandedOver = (chunk: ChunkPlan): boolean =>
    plan !== undefined && found.has(manifestObject(runId, plan.attempt, chunk.name));
  const missing = plan?.chunks.filter((chunk) => !isHandedOver(chunk)) ?? [];
  if (!plan || (missing.length > 0 && !plan.backup)) {
    throw new PermanentError(
      `Attempt ${attempt - 1} of run ${runId} ended after it had handed over ${found.size} chunk(s), and its snapshot ended ` +
        `with it; parts of two moments must never mix. Next: start a new run: ${newRunCommand(plan?.config)}`,
    );
  }
  const manifests = await bounded(plan.chunks.filter(isHandedOver), 8, async ({ name }) => {
    const read = await readJson(environment().DATA_BUCKET, manifestObject(runId, plan.attempt, name), ManifestSchema);
    if (!read) throw new SafeError(`The manifest of chunk ${name} has disappeared`);
    return read.value;
  });
  return { plan, manifests, missing };
}

/**
 * A snapshot for the rest of an earlier attempt's plan: of the same backup, which holds one moment only, since nothing writes
 * to what is restored from it. What can be checked of that is: the backup's id, and the catalogue.
 */
export async function snapshotAgain(source: Source, file: ConfigFile, run: Run, plan: Plan): Promise<Snapshot> {
  const snapshot = await takeSnapshot(source, { ...file, config: plan.config }, run);
  const difference = differenceOf(plan, snapshot.plan);
  if (difference === undefined) return { ...snapshot, plan };
  await snapshot.client.end().catch(() => {});
  throw new PermanentError(
    `Attempt ${run.attempt} of run ${run.runId} finds another database than attempt ${plan.attempt} has exported from: ` +
      `${difference}. Next: start a new run: ${newRunCommand(plan.config)}`,
  );
}

/** What the plan says otherwise, as far as another restore of the backup may not change it. */
function differenceOf(before: Plan, now: Plan): string | undefined {
  if (before.backup?.id !== now.backup?.id) {
    return `backup ${now.backup?.id ?? 'none'} instead of ${before.backup?.id ?? 'none'}`;
  }
  const [old, young] = [shapes(before), shapes(now)];
  const other = [...new Set([...old.keys(), ...young.keys()])].find((name) => old.get(name) !== young.get(name));
  return other === undefined ? undefined : `${other} has changed`;
}

const shapes = (plan: Plan): Map<string, string> =>
  new Map(tablesOf(plan).map((table) => [tableText(table), JSON.stringify([table.chunk, shapeOf(table)])]));

/** Without what is drawn or estimated anew each time. */
const shapeOf = ({ kind, columns, ranges }: TablePlan): unknown => [
  kind,
  columns.map(({ source, name, postgresType, bigquery, required }) => [source, name, postgresType, bigquery, required]),
  // A range read by its own name is a table or a partition.
  [...new Set(ranges.map(({ relation }) => relation))],
];
