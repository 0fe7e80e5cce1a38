import { styleText } from 'node:util';
import type { Report } from '../functions/export/progress.ts';
import type { RunStatus, StepStatus } from '../functions/ledger/status.ts';

/** What is known of a run while it is watched. */
export type RunView = { status: RunStatus; exporting: Report | undefined };

/** How the terminal shows the run, a line each: what has ended, what is under way, what waits. `tick` turns the spinner. */
export function frameOf({ status, exporting }: RunView, seconds: number, tick: number): string[] {
  const spinner = styleText('cyan', SPINNER[tick % SPINNER.length] ?? '');
  const { steps } = status;
  return [
    `${styleText('bold', `Run ${status.runId}`)}  ${time(seconds)}`,
    ...(status.restore === undefined ? [] : [`  ${status.restore}`]),
    ...steps.flatMap((step) => {
      if (step.state !== 'waiting') return [ended(step)];
      if (step.step === 'export')
        return [`${spinner} export${exporting ? `  ${exportText(exporting)}` : ''}`, ...tables(exporting)];
      return [`${isUnderWay(step, steps) ? spinner : styleText('dim', '·')} ${nameOf(step)}`];
    }),
  ];
}

const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

const nameOf = ({ step, chunk }: StepStatus): string => [step, chunk].filter(Boolean).join(' ');

/** Whether nothing keeps a step waiting any more. */
function isUnderWay({ step, chunk }: StepStatus, steps: readonly StepStatus[]): boolean {
  const areDone = (name: string, of?: string): boolean =>
    steps.every((each) => each.step !== name || (of !== undefined && each.chunk !== of) || each.state === 'done');
  if (step === 'load') return areDone('export');
  if (step === 'transform') return areDone('load', chunk);
  return areDone('load') && (step !== 'views' || areDone('transform'));
}

function ended(step: StepStatus): string {
  const took = step.seconds === undefined ? '' : `  ${step.seconds.toFixed(1)} s`;
  if (step.state === 'done') return `${styleText('green', '✔')} ${nameOf(step)}${styleText('dim', took)}`;
  return `${styleText('red', `✖ ${nameOf(step)}`)}  ${step.what ?? ''}`;
}

/** At most so many tables are shown at a time; no more are exported at once by default. */
const MOST_TABLES = 8;

function tables(exporting: Report | undefined): string[] {
  const active = exporting?.active ?? [];
  const widest = Math.max(0, ...active.map(({ table }) => table.length));
  const lines = active.slice(0, MOST_TABLES).map(({ table, rows, estimatedRows, bytes, seconds, secondsLeft }) => {
    const of = estimatedRows > rows ? ` of about ${count(estimatedRows)}` : '';
    const cells = [`${count(rows)}${of} rows`, size(bytes), rate(bytes, seconds), left(secondsLeft)];
    return `    ${table.padEnd(widest)}  ${cells.filter(Boolean).join('  ')}`;
  });
  const more = active.length - lines.length;
  return more > 0 ? [...lines, `    and ${more} more`] : lines;
}

/** "12 of 36 tables, 1,205,877 rows, 369.8 MB, 85.0 MB/s, 2 min left" */
export function exportText({ tables, tablesEnded, rows, bytes, seconds, secondsLeft }: Report): string {
  const parts = [`${tablesEnded} of ${tables} tables`, `${count(rows)} rows`, size(bytes), rate(bytes, seconds)];
  return [...parts, left(secondsLeft)].filter(Boolean).join(', ');
}

export const count = (value: number): string => value.toLocaleString('en-US');

/** Decimal units, as disks and BigQuery's prices have them. */
export function size(bytes: number): string {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

const rate = (bytes: number, seconds: number): string => (seconds > 0 ? `${size(bytes / seconds)}/s` : '');

const left = (seconds: number | null): string => (seconds === null ? '' : `${time(seconds)} left`);

function time(seconds: number): string {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}
