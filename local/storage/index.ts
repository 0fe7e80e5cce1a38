import type { Handler } from '../http.ts';
import { createHandler } from './handler.ts';
import { applyLifecycles } from './lifecycle.ts';
import { findObject } from './object-changes.ts';
import { openOutbox, type Publish, type Undelivered } from './outbox.ts';
import { openStore } from './store.ts';

export type { Publish, Undelivered } from './outbox.ts';

export type Storage = {
  /** Serves `/storage/v1/…`, `/upload/storage/v1/…`, `/download/storage/v1/…`, `/batch/storage/v1`, and the same without prefix. */
  handle: Handler;
  /** The path of a live object's bytes, to be read only, while the object lives. Throws ApiError 404. */
  locate: (bucket: string, object: string) => Promise<string>;
  /** Deletes what the buckets' lifecycle rules say at `now`, which nothing else here does, and returns it. */
  sweep: (now: Date) => { bucket: string; name: string }[];
  /** The notifications that their topics have refused so far; each is tried again until `close`. */
  undelivered: () => Undelivered[];
  /** Ends publishing and closes the state; what was not published is at the next `openStorage`. Close the server first. */
  close: () => Promise<void>;
};

/**
 * Opens a stand-in for Google Cloud Storage's JSON API with all its state under `directory`, which only one process may
 * have open. Throws when that state is damaged, saying which file.
 */
export async function openStorage(options: { directory: string; publish: Publish }): Promise<Storage> {
  const store = openStore(options.directory);
  const outbox = openOutbox(store, options.publish);
  return {
    handle: createHandler(store),
    locate: async (bucket, object) => store.contentPath(findObject(store, bucket, object)),
    sweep: (now) => applyLifecycles(store, now),
    undelivered: outbox.undelivered,
    close: async () => {
      await outbox.close();
      store.close();
    },
  };
}
