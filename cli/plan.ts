import { readFile } from 'node:fs/promises';
import { parseConfig, type ConfigFile } from '../functions/mirror/config.ts';
import type { Preview } from '../functions/export/aptible/preview.ts';
import { ConfigurationError } from '../functions/mirror/errors.ts';
import { runIdOf } from '../functions/mirror/names.ts';
import { tablesOf, type Plan, type TablePlan } from '../functions/mirror/plan.ts';
import { tableText } from '../functions/mirror/table-pattern.ts';
import { parseArguments, UsageError, type Options } from './arguments.ts';
import { chooseTarget } from './target.ts';

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
    'What a run would do, without moving a byte: tables, rows, columns with both types, what is left out and why; ' +
    'of a source on Aptible: which backup it would mirror.',
  options,
  run: async (args: string[]): Promise<number> => {
    const { values } = parseArguments('plan', args, options);
    const named = values.config === undefined ? undefined : await readConfig(values.config);
    if (values.source === undefined && named?.config.source.type === 'aptible') {
      return planOfBackup(named, values.config, values.json ?? false);
    }
    const url = values.source ?? process.env['SOURCE_URL'];
    if (!url) {
      const what = named
        ? `the source of ${values.config} is reached by its URL, which no file holds`
        : 'wants a database';
      throw new UsageError(
        `commons-mirror plan: ${what}. Next: name it with --source URL, or in the variable SOURCE_URL`,
      );
    }
    const { urlSource } = await import('../functions/export/source.ts');
    const { takeSnapshot } = await import('../functions/export/snapshot.ts');
    const source = urlSource(url, 'commons-mirror plan');
    try {
      const file = named ?? (await configForDatabase(url));
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

async function configForDatabase(url: string): Promise<ConfigFile> {
  const { configForAll } = await import('../local/config-for-all.ts');
  return parseConfig(await configForAll(url), 'mirror.yaml (made for this database)');
}

async function readConfig(name: string): Promise<ConfigFile> {
  const text = await readFile(name, 'utf8').catch(() => {
    throw new ConfigurationError(`${name} cannot be read. Next: name an existing mirror.yaml with --config`);
  });
  return parseConfig(text, name);
}

/** Tables are known only once the backup is restored; what can be told before is which backup that would be. */
async function planOfBackup({ config }: ConfigFile, file: string | undefined, json: boolean): Promise<number> {
  const { source, project } = config;
  if (source.type !== 'aptible') return 1;
  await chooseTarget({ ...(file !== undefined && { config: file }) });
  const { aptibleApi } = await import('../functions/export/aptible/login.ts');
  const { previewBackup } = await import('../functions/export/aptible/preview.ts');
  const preview = await previewBackup(aptibleApi(), source);
  console.log(json ? JSON.stringify(preview, null, 2) : describePreview(preview, project, source.maxBackupAgeHours));
  return preview.choice === 'none' ? 1 : 0;
}

function describePreview({ newest, published, ...preview }: Preview, project: string, limitHours: number): string {
  const age = newest && `backup ${newest.id}, taken ${newest.createdAt}, ${newest.ageHours.toFixed(1)} hours old`;
  const chosen = {
    newest: `${age} (allowed are ${limitHours})`,
    'a new one': `a new one, since ${preview.why}${age ? `; the newest: ${age}` : ''}`,
    none: `none: ${preview.why}`,
  };
  const seen = 'unknown' in published ? `not known (${published.unknown})` : (published.createdAt ?? 'none yet');
  return [
    `Source: ${preview.environment}/${preview.database} on Aptible, source.backup: ${preview.policy}`,
    `Backup: ${chosen[preview.choice]}`,
    `Published now: ${seen}`,
    `Restored into: ${preview.restoreInto}, as mirror-${project}-<run>-<attempt>, and removed at the end`,
    'Its tables are known once it is restored. For their plan, name a copy of the database: --source URL',
  ].join('\n');
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
      ...describeKeys(table.keys),
      ...(table.verify
        ? [`    verified by fingerprint; not covered: ${table.verify.notCovered.join(', ') || 'none'}`]
        : []),
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

function describeKeys({ primaryKey, foreignKeys, leftOut }: TablePlan['keys']): string[] {
  return [
    ...(primaryKey.length > 0 ? [`    primary key: ${primaryKey.join(', ')}`] : []),
    ...foreignKeys.map(
      ({ columns, table, referenced }) =>
        `    foreign key: ${columns.join(', ')} → ${table} (${referenced.join(', ')})`,
    ),
    ...leftOut.map(({ key, reason }) => `    key ${key} left out: ${reason}`),
  ];
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
