import { safeText } from '../../mirror/errors.ts';
import type { Api } from './answers.ts';
import { backupsOf } from './api.ts';
import { newestOf, whyUnfit } from './backup.ts';
import { findPlaces, publishedAt, type AptibleConfig } from './index.ts';

/** What a run would mirror if it began now. */
export type Preview = {
  environment: string;
  database: string;
  restoreInto: string;
  policy: AptibleConfig['backup'];
  newest: { id: number; createdAt: string; ageHours: number } | undefined;
  choice: 'newest' | 'a new one' | 'none';
  /** Why it is not the newest. */
  why: string | undefined;
  /** When the backup was taken that analysts see; `unknown` tells why the ledger does not say. */
  published: { createdAt: string | undefined } | { unknown: string };
};

/** Only asks: nothing is restored, and no backup is made. */
export async function previewBackup(api: Api, config: AptibleConfig): Promise<Preview> {
  const { into, database } = await findPlaces(api, config);
  const newest = newestOf(await backupsOf(api, database));
  // Before the first deployment there is no ledger to ask.
  const published = await publishedAt().then(
    (createdAt) => ({ createdAt }),
    (error: unknown) => ({ unknown: safeText(error) }),
  );
  const now = Date.now();
  const why =
    config.backup === 'create'
      ? 'source.backup is create'
      : whyUnfit(newest, config, 'createdAt' in published ? published.createdAt : undefined, now);
  return {
    environment: config.environment,
    database: config.database,
    restoreInto: into.handle,
    policy: config.backup,
    newest: newest && {
      id: newest.id,
      createdAt: newest.created_at,
      ageHours: (now - Date.parse(newest.created_at)) / 3600_000,
    },
    choice: why === undefined ? 'newest' : config.backup === 'newest' ? 'none' : 'a new one',
    why,
    published,
  };
}
