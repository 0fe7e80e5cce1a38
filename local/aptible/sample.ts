import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { parseDocument } from 'yaml';
import type { Config } from '../../functions/mirror/config.ts';
import type { DataDirectory } from '../data-directory.ts';
import { startPostgres } from '../postgres/index.ts';
import { createSample } from '../sample/index.ts';
import { DATABASE, ENVIRONMENT, openLocalAptible, type LocalAptible } from './index.ts';
import { clusterVolumes, volumeDirectory } from './volumes.ts';

/** The sample Commons database on the local Aptible: made once, stopped, and from then on only restored from. */
export async function sampleOnAptible(data: DataDirectory, source: Config['source']): Promise<LocalAptible> {
  await mkdir(data.path('aptible'), { recursive: true });
  await chmod(data.path('aptible'), 0o711);
  const original = await volumeDirectory(data.path('aptible', 'original'));
  const postgres = await startPostgres({ directory: original, log: data.path('logs', 'aptible-original.log') });
  try {
    await createSample(postgres.url);
  } finally {
    await postgres.stop();
  }
  return openLocalAptible({
    volumes: clusterVolumes(original, data.path('aptible', 'restored'), 'commons'),
    // Long enough to be seen.
    queuedMs: 300,
    ...(source.type === 'aptible' && { environment: source.environment, database: source.database }),
  });
}

/** mirror.yaml `file` with the local Aptible as its source, written to `to`. */
export async function configForAptible(file: string, to: string): Promise<void> {
  const document = parseDocument(await readFile(file, 'utf8'));
  document.set('source', document.createNode({ type: 'aptible', environment: ENVIRONMENT, database: DATABASE }));
  await writeFile(to, document.toString());
}
