import { z } from 'zod';
import { ledger, runPath, update } from './index.ts';
import type { Step } from '../mirror/messages.ts';

/**
 * A marker says that a step is done, for one subject (a chunk) or for the run. It holds the generation that it was done in:
 * `retry --redo` raises the step's generation, after which the marker no longer stands.
 */

/** What a step is done for: a chunk's name, or undefined for the whole run. */
type Subject = string | undefined;

const path = (runId: string, folder: string, step: Step, subject: Subject): string =>
  `${runPath(runId)}${folder}/${step}${subject === undefined ? '' : `.${subject}`}.json`;

const Generation = z.object({ generation: z.number().int() });

/** 0 until the first `--redo`. */
export async function generationOf(runId: string, step: Step, subject?: string): Promise<number> {
  return (await ledger.read(path(runId, 'generation', step, subject), Generation))?.value.generation ?? 0;
}

/** Makes the step's marker void, so that it is done again under new job ids. Gives the new generation. */
export async function raiseGeneration(runId: string, step: Step, subject?: string): Promise<number> {
  const raised = await update(path(runId, 'generation', step, subject), Generation, (current) => ({
    generation: (current?.generation ?? 0) + 1,
  }));
  return raised?.generation ?? 0;
}

export type Marker<T> = { generation: number; startedAt: string; endedAt: string; result: T };

const markerSchema = <T>(result: z.ZodType<T>): z.ZodType<Marker<T>> =>
  z.object({ generation: z.number().int(), startedAt: z.string(), endedAt: z.string(), result });

/** The marker, if it stands: written in the step's present generation. */
export async function markerOf<T>(
  runId: string,
  step: Step,
  subject: Subject,
  result: z.ZodType<T>,
): Promise<Marker<T> | undefined> {
  const [marker, generation] = await Promise.all([
    ledger.read(path(runId, 'done', step, subject), markerSchema(result)),
    generationOf(runId, step, subject),
  ]);
  return marker && marker.value.generation === generation ? marker.value : undefined;
}

export type Markers = {
  /** Whether the step was ever done; its marker may be void. */
  has: (step: Step, subject: Subject) => boolean;
  /** The marker, if it stands. */
  read: <T>(step: Step, subject: Subject, result: z.ZodType<T>) => Promise<Marker<T> | undefined>;
};

/** Many markers of a run: one list tells which documents there are, so that none is asked for in vain. */
export async function markersOf(runId: string): Promise<Markers> {
  const names = await ledger.list(runPath(runId));
  const has = (step: Step, subject: Subject): boolean => names.has(path(runId, 'done', step, subject));
  return {
    has,
    read: async (step, subject, result) => {
      if (!has(step, subject)) return undefined;
      if (names.has(path(runId, 'generation', step, subject))) return markerOf(runId, step, subject, result);
      const marker = await ledger.read(path(runId, 'done', step, subject), markerSchema(result));
      return marker?.value.generation === 0 ? marker.value : undefined;
    },
  };
}

/** Writes the marker; where one of this generation stands, that one stays: the first to finish has spoken. */
export async function mark<T>(
  runId: string,
  step: Step,
  subject: Subject,
  result: z.ZodType<T>,
  marker: Marker<T>,
): Promise<void> {
  await update(path(runId, 'done', step, subject), markerSchema(result), (current) =>
    current && current.generation >= marker.generation ? undefined : marker,
  );
}
