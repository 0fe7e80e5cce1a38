import { readFile } from 'node:fs/promises';
import { parseConfig, type ConfigFile } from '../functions/mirror/config.ts';
import { ConfigurationError } from '../functions/mirror/errors.ts';
import { runIdOf } from '../functions/mirror/names.ts';
import { tablesOf, type Plan } from '../functions/mirror/plan.ts';
import { tableText } from '../functions/mirror/table-pattern.ts';
import { parseArguments, UsageError, type Options } from './arguments.ts';

const options = {
  source: {
    type: 'string',
    value: 'URL',
    meaning: 'The PostgreSQL database (default: the environment variable SOURCE_URL)',
  },
  config: {
    type: 'string',
    value: 'FILE',
    meaning: 'The mirror.yaml; without one, every table that the role can read',
  },
  json: { type: 'boolean', meaning: 'The whole plan as JSON' },
} as const satisfies Options;

export const command = {
  summary:
    'What a run would do, without moving a byte: tables, rows, columns with both types, what is left out and why.',
  options,
  run: async (args: string[]): Promise<number> => {
    const { values } = parseArguments('plan', args, options);
    const url = values.source ?? process.env['SOURCE_URL'];
    if (url === undefined)
      throw new UsageError('commons-mirror plan: wants a database. Next: --source URL, or set SOURCE_URL');
    const { urlSource } = await import('../functions/export/source.ts');
    const { takeSnapshot } = await import('../functions/export/snapshot.ts');
    const source = urlSource(url, 'commons-mirror plan');
    try {
      const file = await configFile(values.config, url);
      const run = { runId: runIdOf(new Date()), attempt: 1, trigger: 'manual' as const };
      const { plan, client } = await takeSnapshot(source, file, run);
      await client.end();
      console.log(values.json ? JSON.stringify(plan, null, 2) : describePlan(plan));
      return 0;
    } finally {
      await source.close();
    }
  },
};

async function configFile(name: string | undefined, url: string): Promise<ConfigFile> {
  if (name === undefined) {
    const { configForAll } = await import('../local/config-for-all.ts');
    return parseConfig(await configForAll(url), 'mirror.yaml (made for this database)');
  }
  const text = await readFile(name, 'utf8').catch(() => {
    throw new ConfigurationError(`${name} cannot be read. Next: name an existing mirror.yaml with --config`);
  });
  return parseConfig(text, name);
}

function describePlan(plan: Plan): string {
  const lines = plan.chunks.flatMap(({ name, tables }) => [
    `chunk ${name}`,
    ...tables.flatMap((table) => [
      `  ${tableText(table)} → ${table.warehouseTable} (${table.kind}, about ${table.estimatedRows} rows, ` +
        `${megabytes(table.estimatedBytes)}, at least ${table.ranges.length} part${table.ranges.length === 1 ? '' : 's'})`,
      ...table.columns.map(({ source, name: column, postgresType, bigquery, required }) => {
        const renamed = source === column ? '' : ` as ${column}`;
        return `    ${source}${renamed}: ${postgresType} → ${bigquery}${required ? ' REQUIRED' : ''}`;
      }),
      ...table.omittedColumns.map((column) => `    ${column}: left out by mirror.yaml`),
    ]),
  ]);
  const transforms = plan.config.transforms.map(
    ({ transformer, table, columns }) =>
      `  ${transformer}: ${table} ${Object.entries(columns)
        .map(([column, formats]) => `${column} as ${formats.join(', ')}`)
        .join('; ')}`,
  );
  return [
    `Shard ${plan.shard} of ${plan.config.project}.${plan.config.dataset}: ${tablesOf(plan).length} tables in ${plan.chunks.length} chunks`,
    ...lines,
    ...(transforms.length > 0 ? ['transforms', ...transforms] : []),
    ...(plan.leftOut.length > 0 ? ['left out'] : []),
    ...plan.leftOut.map((table) => `  ${tableText(table)}: ${table.reason}`),
    ...(plan.warnings.length > 0 ? ['warnings'] : []),
    ...plan.warnings.map((text) => `  ${text}`),
  ].join('\n');
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
