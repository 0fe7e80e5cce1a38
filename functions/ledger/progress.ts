import type { Plan } from '../mirror/plan.ts';
import { transformsOf } from '../mirror/plan.ts';
import { bounded } from '../mirror/bounded.ts';
import { LoadResultSchema, type LoadedTable } from '../load/result.ts';
import { TransformResultSchema, type TransformOutput } from '../transform/result.ts';
import type { Markers } from './markers.ts';

/** How far a run is, by its markers held against its plan: the plan says how many there must be. */

export type Loaded = { tables: LoadedTable[]; /** When the last chunk was done. */ at: string };

/** Every table's counts, once all chunks are loaded; until then undefined. */
export async function allLoaded(plan: Plan, stored: Markers): Promise<Loaded | undefined> {
  if (!plan.chunks.every(({ name }) => stored.has('load', name))) return undefined;
  const markers = await bounded(plan.chunks, 16, ({ name }) => stored.read('load', name, LoadResultSchema));
  const tables: LoadedTable[] = [];
  let at = plan.startedAt;
  for (const marker of markers) {
    if (!marker) return undefined;
    tables.push(...marker.result.tables);
    if (marker.endedAt > at) at = marker.endedAt;
  }
  return { tables, at };
}

/** Every twin, once all transforms are done; until then undefined. */
export async function allTransformed(plan: Plan, stored: Markers): Promise<TransformOutput[] | undefined> {
  const chunks = plan.chunks.filter(({ name }) => transformsOf(plan, name).length > 0);
  if (!chunks.every(({ name }) => stored.has('transform', name))) return undefined;
  const markers = await bounded(chunks, 16, ({ name }) => stored.read('transform', name, TransformResultSchema));
  const outputs: TransformOutput[] = [];
  for (const marker of markers) {
    if (!marker) return undefined;
    outputs.push(...marker.result.outputs);
  }
  return outputs;
}
