import { setTimeout as sleep } from 'node:timers/promises';
import { createHash } from 'node:crypto';
import { BigQueryError, getJob, insertJob, type JobConfiguration, type JobState } from './bigquery.ts';
import { SafeError, StillRunning } from '../mirror/errors.ts';

/**
 * BigQuery jobs that are found again by name. A repeated step derives the same ids; "a repeat answers 409", and then the
 * job that exists is the one. Only after a confirmed failure, or where a finished job's output is gone, comes the next id,
 * `…_1`, `…_2`, which a later repeat derives just the same.
 */

export type Job = {
  /** Unique for this piece of work, without the try's number. */
  id: string;
  configuration: JobConfiguration;
  /** A failure for one of these reasons is the job's answer, and not repeated. */
  answers?: readonly string[];
  /** Whether a finished job's output still stands: "a DONE job is no proof that its table still exists". */
  stands?: (state: JobState) => Promise<boolean>;
};

/** A job's id: readable in front, injective through the digest. ≤ 1,024 of `[A-Za-z0-9_-]`. */
export function jobId(purpose: string, runId: string, subject: string, generation: number): string {
  const readable = subject.replace(/[^A-Za-z0-9]+/gu, '-').slice(0, 80);
  const digest = createHash('sha256').update(subject).digest('hex').slice(0, 16);
  return `mirror_${purpose}_${runId}_${readable}_${digest}_g${generation}`;
}

/** A bound for a loop that ends by itself unless BigQuery fails the same job for days. */
const TRIES = 200;

/** Starts the job, or finds the one of an earlier delivery; gives the id under which it is or was run. */
export async function submit(job: Job): Promise<string> {
  for (let n = 0; n < TRIES; n++) {
    const id = `${job.id}_${n}`;
    if (await insertJob(id, job.configuration)) return id;
    const state = await getJob(id);
    if (!state) continue;
    if (!state.done) return id;
    if (state.failure ? job.answers?.includes(state.failure.reason) : ((await job.stands?.(state)) ?? true)) return id;
  }
  throw new SafeError(`BigQuery: job ${job.id} was tried ${TRIES} times. Next: look at its last try in the console.`);
}

/** A job's end is noticed a quarter of its time later, at the most. BigQuery takes 100 requests a second of one account: 200 such jobs. */
const FIRST_WAIT_MS = 50;
const GROWTH = 1.25;
const LONGEST_WAIT_MS = 2000;

/** Waits until the job under `id` has ended. Throws StillRunning when `deadline` (epoch ms) comes first. */
export async function ended(id: string, deadline: number): Promise<JobState> {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * GROWTH, LONGEST_WAIT_MS)) {
    const state = await getJob(id);
    if (!state) throw new SafeError(`BigQuery: job ${id} has disappeared`);
    if (state.done) return state;
    if (Date.now() + wait > deadline) throw new StillRunning(`BigQuery job ${id}`);
    await sleep(wait);
  }
}

/** Runs the job to its end. Throws where it failed for a reason that is not one of its answers. */
export async function run(job: Job, deadline: number): Promise<JobState> {
  const id = await submit(job);
  return succeeded(id, await ended(id, deadline), job.answers);
}

/** `state`, unless it is a failure that is not among `answers`: then it throws, naming job, reason and location. */
export function succeeded(id: string, state: JobState, answers: readonly string[] = []): JobState {
  const { failure } = state;
  if (!failure || answers.includes(failure.reason)) return state;
  throw new BigQueryError(`job ${id} failed${failure.location ? ` at ${failure.location}` : ''}`, failure.reason);
}
