import { z } from 'zod';
import { ledger, runPath, update } from './index.ts';

/** What a run of a backup records: which backup, how long each phase took, and which backups were made for it. */

export const BackupSchema = z.object({ id: z.number().int(), createdAt: z.string(), made: z.boolean() });
export type ChosenBackup = z.infer<typeof BackupSchema>;

export const PHASES = ['sweep', 'backup', 'restore', 'tunnel', 'deprovision'] as const;
export type PhaseName = (typeof PHASES)[number];

const RestoreSchema = z.object({
  backup: BackupSchema.nullable(),
  phases: z.array(
    z.object({ attempt: z.number().int(), phase: z.enum(PHASES), startedAt: z.string(), endedAt: z.string() }),
  ),
});
export type RestoreRecord = z.infer<typeof RestoreSchema>;
export type Phase = RestoreRecord['phases'][number];

const path = (runId: string): string => `${runPath(runId)}restore.json`;
const EMPTY: RestoreRecord = { backup: null, phases: [] };

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

/** Does `work`, and records how long it took once it has succeeded. */
export async function timed<T>(runId: string, attempt: number, phase: PhaseName, work: () => Promise<T>): Promise<T> {
  const startedAt = new Date().toISOString();
  const result = await work();
  const entry: Phase = { attempt, phase, startedAt, endedAt: new Date().toISOString() };
  await update(path(runId), RestoreSchema, (current = EMPTY) => ({ ...current, phases: [...current.phases, entry] }));
  return result;
}

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
