import { PermanentError } from '../functions/mirror/errors.ts';
import { parseArguments, UsageError, type Options } from './arguments.ts';

const options = {
  source: { type: 'string', value: 'URL', meaning: 'Mirror this PostgreSQL database instead of the sample' },
  aptible: {
    type: 'boolean',
    meaning: 'The sample as a backup on a local Aptible: restored, read through its SSH portal',
  },
  config: {
    type: 'string',
    value: 'FILE',
    meaning: 'The mirror.yaml; without one, every table that the role can read',
  },
  data: { type: 'string', value: 'DIR', meaning: 'Buckets, ledger and warehouse.duckdb, kept (default .mirror)' },
  once: { type: 'boolean', meaning: 'Leave when the run has ended: exit 0 if its views moved' },
  json: { type: 'string', value: 'FILE', meaning: "The run's report, also when the run failed" },
  port: { type: 'string', value: 'N', meaning: 'The page and the endpoints (default 8642; 0 = any free one)' },
  'storage-endpoint': { type: 'string', value: 'URL', meaning: 'A Cloud Storage instead of our own local one' },
  'pubsub-endpoint': { type: 'string', value: 'URL', meaning: 'A Pub/Sub instead of our own local one' },
  'bigquery-endpoint': { type: 'string', value: 'URL', meaning: 'A BigQuery instead of our own local one' },
} as const satisfies Options;

const DEFAULT_PORT = '8642';

export const command = {
  summary: 'Mirrors on this machine: the sample Commons database, or --source; then serves until Ctrl-C.',
  options,
  run: async (args: string[]): Promise<number> => {
    const { values } = parseArguments('start', args, options);
    const faults: string[] = [];
    const port = Number(values.port ?? DEFAULT_PORT);
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      faults.push(`--port: wants a whole number from 0 to 65535; found ${values.port}`);
    }
    for (const name of ['storage-endpoint', 'bigquery-endpoint'] as const) {
      const url = values[name];
      if (url !== undefined && !/^https?:\/\/[^/]+\/?$/u.test(url))
        faults.push(`--${name}: wants http://HOST:PORT; found ${url}`);
    }
    const pubsub = values['pubsub-endpoint'];
    if (pubsub !== undefined && !/^(?:http:\/\/)?[^/:]+:\d+\/?$/u.test(pubsub)) {
      faults.push(`--pubsub-endpoint: wants http://HOST:PORT; found ${pubsub}`);
    }
    if (values.aptible && values.source !== undefined) faults.push('--aptible and --source exclude each other');
    if (faults.length > 0)
      throw new UsageError(`commons-mirror start:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
    const { mirrorLocally } = await import('../local/mirror.ts').catch(tellMissingPackage);
    return mirrorLocally({
      sourceUrl: values.source,
      aptible: values.aptible ?? false,
      configFile: values.config,
      dataDirectory: values.data ?? '.mirror',
      once: values.once ?? false,
      reportFile: values.json,
      port,
      storageEndpoint: values['storage-endpoint']?.replace(/\/$/u, ''),
      pubsubEndpoint: pubsub,
      bigqueryEndpoint: values['bigquery-endpoint']?.replace(/\/$/u, ''),
    });
  },
};

/** The local stack's packages are optional ones: a machine that only speaks to a deployed chain can do without. */
function tellMissingPackage(error: unknown): never {
  const isMissing = error instanceof Error && error.message.startsWith('Cannot find package ');
  if (!isMissing) throw error;
  const [text] = error.message.split(' imported from ');
  throw new PermanentError(`The local stack is not installed: ${text}. Next: install again without --omit=optional.`);
}
