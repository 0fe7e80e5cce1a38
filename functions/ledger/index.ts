import { environment } from '../environment.ts';
import { createJson, deleteObject, listObjects, readJson, writeJson, type Stored } from '../cloud/storage.ts';
import type { z } from 'zod';

/**
 * The ledger: the only state of the chain, small JSON documents in a bucket of its own.
 *
 * | object                                     | written by | what                                        |
 * |--------------------------------------------|------------|---------------------------------------------|
 * | `lease.json`                               | export     | the one live run, and until when             |
 * | `executions/<execution>.json`              | export     | which run an execution has claimed           |
 * | `runs/<run>/claim.json`                    | export     | its execution, its latest attempt            |
 * | `runs/<run>/plan.json`                     | export     | the plan                                     |
 * | `runs/<run>/done/<step>[.<subject>].json`  | each step  | the marker: the step is done                 |
 * | `runs/<run>/generation/<step>[.<subject>].json` | retry  | raised by `--redo`                           |
 * | `runs/<run>/faults/<step>[.<subject>]/…`   | each step  | failures, counted                            |
 * | `runs/<run>/accepted.json`                 | publish    | a person accepted the coverage               |
 * | `runs/<run>/outcome.json`                  | views, export | published, blocked, failed, superseded    |
 * | `publication.json`                         | views      | the publication pointer                      |
 * | `told/<fault>.json`                        | alert      | a fault that Slack has been told             |
 */
export const ledger = {
  read: <T>(name: string, schema: z.ZodType<T>): Promise<Stored<T> | undefined> =>
    readJson(environment().LEDGER_BUCKET, name, schema),
  /** Creates, once; false where it exists. */
  create: (name: string, value: unknown): Promise<boolean> => createJson(environment().LEDGER_BUCKET, name, value),
  /** Compare-and-set; generation '0' creates. */
  replace: (name: string, value: unknown, generation: string): Promise<boolean> =>
    writeJson(environment().LEDGER_BUCKET, name, value, generation),
  remove: (name: string): Promise<void> => deleteObject(environment().LEDGER_BUCKET, name),
  /** Names under a prefix, each with the generation that it is at. */
  list: (prefix: string): Promise<Map<string, string>> => listObjects(environment().LEDGER_BUCKET, prefix),
};

export const runPath = (runId: string): string => `runs/${runId}/`;

/** Reads, changes and writes a document until no one else has been in between. `change` may give undefined: leave it. */
export async function update<T>(
  name: string,
  schema: z.ZodType<T>,
  change: (current: T | undefined) => T | undefined,
): Promise<T | undefined> {
  for (;;) {
    const current = await ledger.read(name, schema);
    const next = change(current?.value);
    if (next === undefined) return current?.value;
    if (await ledger.replace(name, next, current?.generation ?? '0')) return next;
  }
}
