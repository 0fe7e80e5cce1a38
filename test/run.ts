import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { startTestCluster } from './test-cluster.ts';

/**
 * `npm test [-- FILE…]`: all tests, over one real PostgreSQL that this starts and stops. Each file is a process of its own;
 * two at once, since most of them start servers.
 */
/** A test that hangs is a failure with a name, not a gate that never answers. */
const TEST_TIMEOUT_MS = 300_000;

const files = process.argv.length > 2 ? process.argv.slice(2) : globSync('test/**/*.test.ts').sort();
const cluster = await startTestCluster();
try {
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      '--test',
      '--test-concurrency=2',
      `--test-timeout=${TEST_TIMEOUT_MS}`,
      '--test-reporter=spec',
      ...files,
    ],
    { stdio: 'inherit', env: { ...process.env, TEST_POSTGRES_URL: cluster.url, UV_THREADPOOL_SIZE: '16' } },
  );
  const [code] = await once(child, 'exit');
  process.exitCode = typeof code === 'number' ? code : 1;
} finally {
  await cluster.stop();
}
