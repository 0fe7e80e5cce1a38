import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { ApiError } from '../http.ts';
import type { Catalog, Transaction } from './catalog.ts';
import { canonicalLocation } from './metadata.ts';
import { openSlots } from './slots.ts';

/** BigQuery's ErrorProto: `location` is a file, a column or nothing. */
export type JobError = { reason: string; message: string; location?: string };

/** Ends a job as failed, with the errors that its status shows; the first is its `errorResult`. */
export class JobFailure extends Error {
  readonly errors: JobError[];

  constructor(errors: JobError[]) {
    super(errors[0]?.message ?? 'The job failed');
    this.name = 'JobFailure';
    this.errors = errors;
  }
}

export type Job = {
  project: string;
  id: string;
  location: string;
  /** As the client gave it, with what BigQuery fills in. */
  configuration: Record<string, unknown>;
  state: 'PENDING' | 'RUNNING' | 'DONE';
  created: number;
  started?: number;
  ended?: number;
  statistics: Record<string, unknown>;
  errors: JobError[];
};

export type JobControl = {
  id: string;
  /** Aborted when the job is cancelled. */
  signal: AbortSignal;
  /** Runs the job's work when a lane is free, and shows the job as RUNNING from then on. */
  inLane: <T>(lane: Lane, work: () => Promise<T>) => Promise<T>;
  /** Writes the job as done into the transaction that does its work: one is not visible without the other. */
  seal: (transaction: Transaction, statistics: Record<string, unknown>) => Promise<void>;
};

export type JobRun = (control: JobControl) => Promise<Record<string, unknown>>;

/**
 * Each running statement holds one of the threads that Node keeps for such work, and files need them, too. What waits for a
 * lane is PENDING, as a job is that waits for slots. More than there are cores: a query that calls JavaScript for every row waits
 * for the main thread, and must not hold up a load that does not.
 */
type Lane = 'write' | 'read';

export type Jobs = Awaited<ReturnType<typeof openJobs>>;

/**
 * The jobs of earlier processes that have ended, and of this one. A job is kept when it ends, together with its work: one that a
 * dead process left running is unknown, as is one that BigQuery never got, and its tables are untouched.
 */
export async function openJobs(catalog: Catalog) {
  const jobs = new Map<string, Job>();
  const running = new Map<Job, { done: Promise<void>; abort: AbortController }>();
  const lanes = { write: openSlots(4), read: openSlots(1) };

  for (const text of catalog.keptJobs) {
    const job = JSON.parse(text) as Job;
    jobs.set(jobKey(job), job);
  }

  return { start, get, list, cancel, remove, settled, close };

  /**
   * Accepts a job and starts it behind the answer.
   * @throws ApiError 400 for an id that BigQuery does not take, 409 `duplicate` for one that is taken
   */
  function start(
    request: { project: string; id?: string | undefined; location: string; configuration: Record<string, unknown> },
    run: JobRun,
  ): Job {
    const id = request.id ?? `job_${randomUUID().replaceAll('-', '')}`;
    // BigQuery: "letters (a-z, A-Z), numbers (0-9), underscores (_), or dashes (-). The maximum length is 1,024 characters."
    if (!/^[A-Za-z0-9_-]{1,1024}$/.test(id)) {
      throw new ApiError(
        400,
        'invalid',
        `Invalid job ID "${id}". Job IDs must be alphanumeric (plus underscores and dashes) and must be at most 1024 characters long.`,
      );
    }
    const job: Job = { ...request, id, state: 'PENDING', created: catalog.now(), statistics: {}, errors: [] };
    if (jobs.has(jobKey(job))) throw new ApiError(409, 'duplicate', `Already Exists: Job ${jobKey(job)}`);
    jobs.set(jobKey(job), job);
    const abort = new AbortController();
    running.set(job, { abort, done: execute(job, run, abort.signal) });
    return job;
  }

  async function execute(job: Job, run: JobRun, signal: AbortSignal): Promise<void> {
    let sealed = false;
    try {
      const statistics = await run({
        id: job.id,
        signal,
        inLane: (lane, work) =>
          lanes[lane](() => {
            signal.throwIfAborted();
            job.state = 'RUNNING';
            job.started ??= catalog.now();
            return work();
          }),
        seal: async (transaction, statistics) => {
          transaction.putJob(jobKey(job), done(job, statistics, []));
          sealed = true;
        },
      });
      if (!sealed) await persist(done(job, statistics, []));
      finish(job, statistics, []);
    } catch (error) {
      const errors = signal.aborted ? [stopped] : errorsOf(error);
      // The resource is shown even if it cannot be kept: a full disk must not leave a job running for ever.
      await persist(done(job, {}, errors)).catch(() => undefined);
      finish(job, {}, errors);
    } finally {
      running.delete(job);
    }
  }

  function done(job: Job, statistics: Record<string, unknown>, errors: JobError[]): Job {
    const ended = catalog.now();
    return { ...job, state: 'DONE', started: job.started ?? ended, ended, statistics, errors };
  }

  function finish(job: Job, statistics: Record<string, unknown>, errors: JobError[]): void {
    Object.assign(job, done(job, statistics, errors));
  }

  function persist(job: Job): Promise<void> {
    return catalog.record((changes) => changes.putJob(jobKey(job), job));
  }

  /** @throws ApiError 404; outside the US and EU a job is found only by its location, as in BigQuery */
  function get(project: string, id: string, location: string | undefined): Job {
    const places = location === undefined || location === '' ? ['US', 'EU'] : [canonicalLocation(location)];
    for (const place of places) {
      const job = jobs.get(jobKey({ project, id, location: place }));
      if (job !== undefined) return job;
    }
    throw new ApiError(
      404,
      'notFound',
      `Not found: Job ${project}:${location === undefined ? '' : `${location}.`}${id}`,
    );
  }

  /** The newest first. */
  function list(project: string): Job[] {
    return [...jobs.values()]
      .filter((job) => job.project === project)
      .sort((one, other) => other.created - one.created);
  }

  /** Asks the job to stop; it may have ended before it does. */
  function cancel(job: Job): void {
    running.get(job)?.abort.abort();
  }

  async function remove(job: Job): Promise<void> {
    if (job.state !== 'DONE')
      throw new ApiError(400, 'invalid', `Cannot delete a job that is still running: ${jobKey(job)}`);
    await catalog.record((changes) => changes.removeJob(jobKey(job)));
    jobs.delete(jobKey(job));
  }

  /** Waits until the job has ended, for so many milliseconds at most. */
  async function settled(job: Job, milliseconds: number): Promise<void> {
    const entry = running.get(job);
    if (entry === undefined) return;
    const timer = new AbortController();
    await Promise.race([entry.done, delay(milliseconds, undefined, { signal: timer.signal }).catch(() => undefined)]);
    timer.abort();
  }

  /** Stops what runs and waits for it. */
  async function close(): Promise<void> {
    const entries = [...running.values()];
    for (const { abort } of entries) abort.abort();
    await Promise.all(entries.map(({ done }) => done));
  }
}

const stopped: JobError = { reason: 'stopped', message: 'Job execution was cancelled: User requested cancellation' };

function errorsOf(error: unknown): JobError[] {
  if (error instanceof JobFailure) return error.errors;
  if (error instanceof ApiError) return [{ reason: error.reason, message: error.message }];
  const message = error instanceof Error ? error.message : String(error);
  return [
    {
      reason: 'internalError',
      message: `An internal error occurred and the request could not be completed. ${message}`,
    },
  ];
}

/** BigQuery's own name for a job in ids and messages. */
export function jobKey(job: { project: string; location: string; id: string }): string {
  return `${job.project}:${job.location}.${job.id}`;
}

export function jobReference(job: Job): { projectId: string; jobId: string; location: string } {
  return { projectId: job.project, jobId: job.id, location: job.location };
}

export function jobResource(job: Job): Record<string, unknown> {
  return {
    kind: 'bigquery#job',
    etag: `${job.created}-${job.state}`,
    id: jobKey(job),
    selfLink: `https://bigquery.googleapis.com/bigquery/v2/projects/${job.project}/jobs/${job.id}?location=${job.location}`,
    user_email: 'local@commons-mirror.invalid',
    configuration: job.configuration,
    jobReference: jobReference(job),
    statistics: {
      creationTime: String(job.created),
      ...(job.started === undefined ? {} : { startTime: String(job.started) }),
      ...(job.ended === undefined ? {} : { endTime: String(job.ended) }),
      ...job.statistics,
    },
    status: {
      ...(job.errors[0] === undefined ? {} : { errorResult: job.errors[0], errors: job.errors }),
      state: job.state,
    },
  };
}
