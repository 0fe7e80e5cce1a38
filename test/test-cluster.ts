import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '../local/postgres/index.ts';

/** A real PostgreSQL in a temporary directory, which `stop` removes. The runner starts one and hands it on as TEST_POSTGRES_URL. */
export async function startTestCluster(
  settings: Record<string, string> = { max_connections: '200' },
): Promise<{ url: string; stop: () => Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'commons-test-'));
  const remove = () => rm(directory, { recursive: true, force: true });
  try {
    const postgres = await startPostgres({ directory, settings });
    return {
      url: postgres.url,
      stop: async () => {
        await postgres.stop('immediate');
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}
