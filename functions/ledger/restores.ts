import { z } from 'zod';
import { ledger, runPath, update } from './index.ts';

/** What a run of a backup records: which backup, how long each phase took, and which backups were made for it. */

export const BackupSchema = z.object({ id: z.number().int(), createdAt: z.string(), made: z.boolean() });
export type ChosenBackup = z.infer<typeof BackupSchema>;

export const PHASES = ['sweep', 'backup', 'restore', 'tunnel', 'deprovision'] as const;
export type PhaseName = (typeof PHASES)[number];

const RestoreSchema = z.object({
  backup: BackupSchema.nullable(),
  /** The phase that is under way; of an attempt that was killed, the one that it was killed in. */
  now: z
    .object({ attempt: z.number().int(), phase: z.enum(PHASES), startedAt: z.string() })
    .nullable()
    .default(null),
  phases: z.array(
    z.object({ attempt: z.number().int(), phase: z.enum(PHASES), startedAt: z.string(), endedAt: z.string() }),
  ),
});
export type RestoreRecord = z.infer<typeof RestoreSchema>;
export type Phase = RestoreRecord['phases'][number];

const path = (runId: string): string => `${runPath(runId)}restore.json`;
const EMPTY: RestoreRecord = { backup: null, now: null, phases: [] };

export async function restoreOf(runId: string): Promise<RestoreRecord> {
  return (await ledger.read(path(runId), RestoreSchema))?.value ?? EMPTY;
}

/** The run's backup: the first one that is recorded stays, so that a retried task restores the same one. */
export async function recordBackup(runId: string, backup: ChosenBackup): Promise<ChosenBackup> {
  const record = await update(path(runId), RestoreSchema, (current = EMPTY) =>
    current.backup ? undefined : { ...current, backup },
  );
  return record?.backup ?? backup;
}

/** Does `work`, and records that it is under way, and how long it took once it has succeeded. */
export async function timed<T>(runId: string, attempt: number, phase: PhaseName, work: () => Promise<T>): Promise<T> {
  const startedAt = new Date().toISOString();
  const begun = { attempt, phase, startedAt };
  // Beside the work and whatever comes of it: a removal must not wait for what people read of it, nor fail with it.
  const noted = record(runId, (current) => ({ ...current, now: begun })).catch(() => {});
  let result: T;
  try {
    result = await work();
  } finally {
    await noted;
  }
  const ended = { ...begun, endedAt: new Date().toISOString() };
  await record(runId, (current) => ({ ...current, now: null, phases: [...current.phases, ended] }));
  return result;
}

async function record(runId: string, change: (current: RestoreRecord) => RestoreRecord): Promise<void> {
  await update(path(runId), RestoreSchema, (current = EMPTY) => change(current));
}

const DOING: Record<PhaseName, string> = {
  sweep: 'sweeping',
  backup: 'choosing the backup',
  restore: 'restoring',
  tunnel: 'opening the tunnel',
  deprovision: 'removing the temporary database',
};

/** For people: "backup 1005, taken …; sweep 0.3 s, backup 0.1 s; restoring, 4 min". Undefined where there is nothing to tell. */
export function restoreText({ backup, now, phases }: RestoreRecord, isLive: boolean, at: number): string | undefined {
  const parts = [
    ...(backup ? [`backup ${backup.id}${backup.made ? ' (made for this run)' : ''}, taken ${backup.createdAt}`] : []),
    ...(phases.length > 0 ? [phases.map((each) => `${each.phase} ${seconds(each).toFixed(1)} s`).join(', ')] : []),
    ...(now
      ? [isLive ? `${DOING[now.phase]}, ${span(at - Date.parse(now.startedAt))}` : `ended while ${DOING[now.phase]}`]
      : []),
  ];
  return parts.length > 0 ? parts.join('; ') : undefined;
}

const seconds = ({ startedAt, endedAt }: Phase): number => (Date.parse(endedAt) - Date.parse(startedAt)) / 1000;
const span = (ms: number): string =>
  ms < 60_000 ? `${Math.max(0, Math.floor(ms / 1000))} s` : `${Math.floor(ms / 60_000)} min`;

/** Backups that were made for a run, by the operation that made each: Aptible keeps them for ever, so the sweep takes them away. */
const MADE = 'made-backups.json';
const MadeSchema = z.array(z.object({ runId: z.string(), operation: z.number().int() }));
export type MadeBackup = z.infer<typeof MadeSchema>[number];

export async function madeBackups(): Promise<MadeBackup[]> {
  return (await ledger.read(MADE, MadeSchema))?.value ?? [];
}

export async function recordMade(made: MadeBackup): Promise<void> {
  await update(MADE, MadeSchema, (current = []) => [...current, made]);
}

export async function forgetMade(operation: number): Promise<void> {
  await update(MADE, MadeSchema, (current = []) => current.filter((made) => made.operation !== operation));
}
