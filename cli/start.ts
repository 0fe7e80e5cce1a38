import { PermanentError } from '../functions/mirror/errors.ts';
import { parseArguments, type Options } from './arguments.ts';

const HTTP = { what: 'http://HOST:PORT', has: (text: string) => /^https?:\/\/[^/]+\/?$/u.test(text) };
const PLAIN_HTTP = { what: 'http://HOST:PORT', has: (text: string) => /^(?:http:\/\/)?[^/:]+:\d+\/?$/u.test(text) };
const PORT = {
  what: 'a whole number from 0 to 65535',
  has: (text: string) => /^\d+$/u.test(text) && Number(text) <= 65_535,
};

const options = {
  source: { type: 'string', value: 'URL', meaning: 'Mirror this PostgreSQL database instead of the sample' },
  aptible: {
    type: 'boolean',
    meaning: 'The sample as a backup on a local Aptible: restored, read through its SSH portal',
    excludes: 'source',
  },
  config: {
    type: 'string',
    value: 'FILE',
    meaning: 'The mirror.yaml; without one, every table that the role can read',
  },
  data: { type: 'string', value: 'DIR', meaning: 'Buckets, ledger and warehouse.duckdb, kept (default .mirror)' },
  once: { type: 'boolean', meaning: 'Leave when the run has ended: exit 0 if its views moved' },
  json: { type: 'string', value: 'FILE', meaning: "The run's report, also when the run failed" },
  port: {
    type: 'string',
    value: 'N',
    meaning: 'The page and the endpoints (default 8642; 0 = any free one)',
    takes: PORT,
  },
  'storage-endpoint': {
    type: 'string',
    value: 'URL',
    meaning: 'A Cloud Storage instead of our own local one',
    takes: HTTP,
  },
  'pubsub-endpoint': {
    type: 'string',
    value: 'URL',
    meaning: 'A Pub/Sub instead of our own local one',
    takes: PLAIN_HTTP,
  },
  'bigquery-endpoint': {
    type: 'string',
    value: 'URL',
    meaning: 'A BigQuery instead of our own local one',
    takes: HTTP,
  },
} as const satisfies Options;

const DEFAULT_PORT = '8642';

export const command = {
  summary: 'Mirrors on this machine: the sample Commons database, or --source; then serves until Ctrl-C.',
  options,
  run: async (args: string[]): Promise<number> => {
    const { values } = parseArguments('start', args, options);
    const { mirrorLocally } = await import('../local/mirror.ts').catch(tellMissingPackage);
    return mirrorLocally({
      sourceUrl: values.source,
      aptible: values.aptible ?? false,
      configFile: values.config,
      dataDirectory: values.data ?? '.mirror',
      once: values.once ?? false,
      reportFile: values.json,
      port: Number(values.port ?? DEFAULT_PORT),
      storageEndpoint: values['storage-endpoint']?.replace(/\/$/u, ''),
      pubsubEndpoint: values['pubsub-endpoint'],
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
