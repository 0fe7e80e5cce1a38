import type { Point } from '../cloud/monitoring.ts';
import type { Loaded } from '../ledger/progress.ts';
import { coverage, totalOf } from '../mirror/coverage.ts';
import { startOf } from '../mirror/names.ts';
import type { Plan } from '../mirror/plan.ts';
import { tableText } from '../mirror/table-pattern.ts';

/**
 * Coverage as a gauge, per table and in total; and rows by result as a cumulative count, since a request-based SLO cannot
 * be fed by a gauge. Each run's count begins anew just before its only point, which Monitoring understands as a reset. The
 * time is that of the last load, so that a repeat writes the very same points.
 */
export function coveragePoints({ tables, at }: Loaded): Point[] {
  const end = new Date(at);
  const start = new Date(end.getTime() - 1000);
  const total = totalOf(tables);
  const gauge = (labels: Record<string, string>, value: number): Point => {
    return { metric: 'coverage', labels, value: { doubleValue: value }, kind: 'GAUGE', end };
  };
  const rows = (result: string, value: number): Point => {
    return { metric: 'rows', labels: { result }, value: { int64Value: String(value) }, kind: 'CUMULATIVE', start, end };
  };
  return [
    gauge({ table: 'total' }, coverage(total)),
    ...tables.map((counts) => gauge({ table: tableText(counts) }, coverage(counts))),
    rows('loaded', total.loaded),
    rows('error', total.errors),
  ];
}

/** How old the mirrored backup was when the run began, in seconds; one that was made for the run is younger still. */
export function backupPoints({ runId, backup }: Pick<Plan, 'runId' | 'backup'>): Point[] {
  if (!backup) return [];
  const end = startOf(runId);
  const age = Math.max(0, (end.getTime() - Date.parse(backup.createdAt)) / 1000);
  return [{ metric: 'backup_age', labels: {}, value: { doubleValue: age }, kind: 'GAUGE', end }];
}
