import { rename, writeFile } from 'node:fs/promises';
import { ExportResultSchema } from '../functions/export/result.ts';
import { markerOf, type Marker } from '../functions/ledger/markers.ts';
import { findPlan } from '../functions/ledger/run.ts';
import { statusOf } from '../functions/ledger/status.ts';
import { outcomeOf } from '../functions/ledger/run.ts';
import { LoadResultSchema } from '../functions/load/result.ts';
import { shardOf, startOf } from '../functions/mirror/names.ts';
import { transformsOf } from '../functions/mirror/plan.ts';
import { SliResultSchema } from '../functions/sli/result.ts';
import { TransformResultSchema, type TransformOutput } from '../functions/transform/result.ts';
import { ViewsResultSchema } from '../functions/views/result.ts';

/** A run's report, `--json FILE`. Times in seconds; a step that has not ended has none. */
export type Report = {
  runId: string;
  shard: string;
  state: 'published' | 'blocked' | 'failed' | 'superseded';
  reason: string;
  /** The failure is mirror.yaml's. */
  configuration: boolean;
  tables: {
    schema: string;
    table: string;
    warehouseTable: string;
    chunk: string;
    exported: number;
    loaded: number;
    errors: number;
    bytes: number;
    parts: number;
    verified?: number | undefined;
  }[];
  coverage: number | null;
  transforms: TransformOutput[];
  views: { view: string; table: string }[];
  /** What the plan warns of, such as a type that is mirrored as its text. */
  warnings: string[];
  /** What has changed in the source since the run that was published before, and tables that it no longer has. */
  changes: string[];
  standing: { schema: string; table: string; warehouseTable: string; shard: string }[];
  seconds: Record<'export' | 'load' | 'transform' | 'sli' | 'views' | 'total', number | null>;
};

export async function makeReport(runId: string, total: number): Promise<Report> {
  const [plan, outcome, status] = await Promise.all([findPlan(runId), outcomeOf(runId), statusOf(runId)]);
  const chunks = plan?.chunks.map(({ name }) => name) ?? [];
  const loads = await Promise.all(
    chunks.map(async (chunk) => ({ chunk, marker: await markerOf(runId, 'load', chunk, LoadResultSchema) })),
  );
  const transformed = plan ? chunks.filter((chunk) => transformsOf(plan, chunk).length > 0) : [];
  const transforms = await Promise.all(
    transformed.map((chunk) => markerOf(runId, 'transform', chunk, TransformResultSchema)),
  );
  const exported = await markerOf(runId, 'export', undefined, ExportResultSchema);
  const sli = await markerOf(runId, 'sli', undefined, SliResultSchema);
  const views = await markerOf(runId, 'views', undefined, ViewsResultSchema);
  const { state } = status;
  return {
    runId,
    shard: plan?.shard ?? shardOf(startOf(runId), 'UTC'),
    // A report is made when the run has ended; one that has not by then was stopped.
    state: state === 'running' ? 'failed' : state,
    reason: status.reason,
    configuration: outcome?.configuration ?? false,
    tables: loads.flatMap(({ chunk, marker }) => marker?.result.tables.map((table) => ({ ...table, chunk })) ?? []),
    coverage: status.coverage ?? null,
    transforms: transforms.flatMap((marker) => marker?.result.outputs ?? []),
    views: views?.result.views ?? [],
    warnings: plan?.warnings ?? [],
    changes: plan?.drift?.changes ?? [],
    standing: plan?.drift?.standing ?? [],
    seconds: {
      export: span([exported]),
      load: span(loads.map(({ marker }) => marker)),
      transform: span(transforms),
      sli: span([sli]),
      views: span([views]),
      total,
    },
  };
}

/** From the first start to the last end; null unless all have ended. */
function span(markers: (Marker<unknown> | undefined)[]): number | null {
  const starts: number[] = [];
  const ends: number[] = [];
  for (const marker of markers) {
    if (!marker) return null;
    starts.push(Date.parse(marker.startedAt));
    ends.push(Date.parse(marker.endedAt));
  }
  return markers.length === 0 ? null : (Math.max(...ends) - Math.min(...starts)) / 1000;
}

/** Whole or not at all: under another name first. */
export async function writeReport(file: string, report: Report): Promise<void> {
  const unfinished = `${file}.${process.pid}.tmp`;
  await writeFile(unfinished, `${JSON.stringify(report, null, 2)}\n`);
  await rename(unfinished, file);
}
