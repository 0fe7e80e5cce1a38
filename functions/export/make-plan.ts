import { escapeIdentifier, escapeLiteral, type Client } from 'pg';
import { configFaults, type Fault } from '../mirror/config-faults.ts';
import type { Config, ConfigFile } from '../mirror/config.ts';
import { PermanentError } from '../mirror/errors.ts';
import { isCovered } from '../mirror/fingerprint.ts';
import { columnNames, shardOf, startOf, warehouseTable } from '../mirror/names.ts';
import { drawNullToken, refusalPrefix } from '../mirror/null-token.ts';
import type { ColumnPlan, Plan, TablePlan } from '../mirror/plan.ts';
import { isTable, tableText } from '../mirror/table-pattern.ts';
import type { Reason } from '../mirror/reasons.ts';
import { bigQueryType, copyExpression } from '../mirror/types.ts';
import { columnsOf, type Column, type Relation } from './catalogue.ts';
import { constraintsOf, noKeys, planKeys, type Planned } from './keys.ts';
import { qualified, rangesOf } from './ranges.ts';
import { selectColumns, unloggedText, type Selection } from './select-tables.ts';

export type Run = { runId: string; attempt: number; trigger: Plan['trigger'] };

/**
 * The plan of a run, from the catalogue as the locked snapshot shows it. Throws one PermanentError that names every fault:
 * of mirror.yaml, of the role's rights, of tables that cannot be mirrored.
 */
export async function makePlan(
  client: Client,
  file: ConfigFile,
  run: Run,
  selection: Selection,
  backup?: Plan['backup'],
): Promise<Plan> {
  const { config } = file;
  const serverVersion = await versionOf(client);
  const nullToken = drawNullToken();
  const relations = selection.chunks.flatMap((chunk) => chunk.relations);
  const oids = relations.map(({ oid }) => oid);
  const columns = await columnsOf(client, oids);
  const planned: Planned[] = [];
  const faults = [...selection.faults];
  const warnings = [...selection.warnings, ...(await encodingWarnings(client))];
  const leftOut = [...selection.leftOut];
  const rights: string[] = [];

  const planTable = (relation: Relation): TablePlan | undefined => {
    const all = columns.get(relation.oid) ?? [];
    const { chosen, omitted, faults: columnFaults } = selectColumns(config, relation, all);
    faults.push(...columnFaults, ...transformFaults(config, relation, chosen));
    rights.push(...rightFaults(relation, chosen));
    if (relation.unlogged) {
      warnings.push(`${unloggedText(relation)}: what is unlogged is empty in a restored backup`);
    }
    if (chosen.length === 0) {
      leftOut.push({ schema: relation.schema, table: relation.table, reason: 'it has no column to mirror' });
      return undefined;
    }
    const typed = columnPlans(chosen, isHeldToNotNull(relation), nullToken, serverVersion);
    for (const { source, postgresType } of typed.unknown) {
      warnings.push(
        `${tableText(relation)}.${source}: the type ${postgresType} is not known; its text form is mirrored`,
      );
    }
    const plan: TablePlan = {
      oid: relation.oid,
      schema: relation.schema,
      table: relation.table,
      warehouseTable: warehouseTable(relation.schema, relation.table),
      kind: relation.kind,
      description: relation.description ?? '',
      estimatedRows: Math.round(relation.leaves.reduce((sum, { rows }) => sum + rows, 0)),
      estimatedBytes: relation.leaves.reduce((sum, { bytes }) => sum + bytes, 0),
      columns: typed.columns,
      omittedColumns: omitted,
      keys: noKeys(),
      ...(isVerified(config, relation) && { verify: coverageOf(typed.columns) }),
      ranges: rangesOf(relation, serverVersion, config.source.connections),
    };
    planned.push({ relation, columns: chosen, plan });
    return plan;
  };

  const chunks = selection.chunks.map(({ name, relations }) => ({
    name,
    tables: relations.flatMap((relation) => planTable(relation) ?? []),
  }));
  if (faults.length === 0 && rights.length === 0 && chunks.every(({ tables }) => tables.length === 0)) {
    faults.push({ path: ['chunks'], message: 'no table with a column to mirror is left' });
  }
  if (faults.length > 0) throw configFaults(file, faults);
  if (rights.length > 0) {
    throw new PermanentError(
      `The role may not read all that mirror.yaml lists:\n${rights.map((text) => `  ${text}`).join('\n')}`,
    );
  }
  const keys = planKeys(planned, await constraintsOf(client, oids));
  for (const { plan } of planned) plan.keys = keys.get(plan.warehouseTable) ?? plan.keys;
  return {
    version: 1,
    ...run,
    shard: shardOf(startOf(run.runId), config.timeZone),
    startedAt: startOf(run.runId).toISOString(),
    config,
    backup,
    serverVersion,
    nullToken,
    chunks: chunks.filter(({ tables }) => tables.length > 0),
    leftOut,
    warnings,
  };
}

const isVerified = ({ verify }: Config, relation: Relation): boolean =>
  verify === 'all' || verify.some((text) => isTable(text, relation));

function coverageOf(columns: readonly ColumnPlan[]): NonNullable<TablePlan['verify']> {
  const names = (wanted: boolean): string[] =>
    columns.filter((column) => isCovered(column) === wanted).map(({ name }) => name);
  return { covered: names(true), notCovered: names(false) };
}

async function versionOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ version: string }>("SELECT current_setting('server_version_num') AS version");
  const version = Number(rows[0]?.version);
  if (version >= 130000) return version;
  throw new PermanentError(`PostgreSQL ${version} is too old. Allowed: 13 and newer.`);
}

/** SQL_ASCII keeps any bytes, and knows nothing of characters. */
async function encodingWarnings(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ encoding: string }>("SELECT current_setting('server_encoding') AS encoding");
  return rows[0]?.encoding === 'SQL_ASCII'
    ? ['The database has the encoding SQL_ASCII: a text that is not UTF-8 ends the run, and its table is named']
    : [];
}

function columnPlans(
  columns: readonly Column[],
  isHeld: boolean,
  nullToken: string,
  serverVersion: number,
): { columns: ColumnPlan[]; unknown: ColumnPlan[] } {
  const names = columnNames(columns.map(({ column }) => column));
  const refusal = (reason: Reason): string => escapeLiteral(refusalPrefix(nullToken, reason));
  const unknown: ColumnPlan[] = [];
  const planned = columns.map((column, i): ColumnPlan => {
    const { bigquery, refusals, known } = bigQueryType(column.type);
    const plan: ColumnPlan = {
      source: column.column,
      position: column.position,
      name: names[i] ?? column.column,
      postgresType: column.postgresType,
      bigquery,
      required: column.notNull && isHeld,
      description: describe(column, names[i]),
      expression: copyExpression(column.type, escapeIdentifier(column.column), refusal, serverVersion),
      refusals,
    };
    if (!known) unknown.push(plan);
    return plan;
  });
  return { columns: planned, unknown };
}

/** Whether PostgreSQL itself keeps NULLs out of a NOT NULL column: of a foreign table, somebody else promises it. */
const isHeldToNotNull = ({ kind, leaves }: Relation): boolean =>
  kind !== 'foreign table' && leaves.every(({ relkind }) => relkind !== 'f');

/** BigQuery: "The maximum column description length is 1,024 characters." A changed name is told in it. */
function describe({ column, description }: Column, name: string | undefined): string {
  const original = name === column ? '' : `PostgreSQL: ${column}`;
  return [original, description ?? ''].filter(Boolean).join('\n').slice(0, 1024);
}

function rightFaults(relation: Relation, columns: readonly Column[]): string[] {
  const name = tableText(relation);
  if (!relation.readable) {
    const schema = escapeIdentifier(relation.schema);
    return [
      `${name}: no right. Next: GRANT SELECT ON ${qualified(relation)}, and USAGE ON SCHEMA ${schema}, TO the role`,
    ];
  }
  if (relation.filtered) {
    return [
      `${name}: row-level security would hide rows from the role. Next: ALTER ROLE … BYPASSRLS, or use the table's owner`,
    ];
  }
  const closed = columns.filter(({ readable }) => !readable).map(({ column }) => column);
  return closed.length > 0
    ? [`${name}: no SELECT right on ${closed.join(', ')}. Next: GRANT it, or except the columns`]
    : [];
}

function transformFaults(config: Config, relation: Relation, columns: readonly Column[]): Fault[] {
  // The twin's columns are named as BigQuery names them.
  const names = columnNames(columns.map(({ column }) => column));
  return config.transforms.flatMap((transform, i) => {
    if (!isTable(transform.table, relation)) return [];
    return Object.keys(transform.columns).flatMap((name) => {
      const path = ['transforms', i, 'columns', name];
      const column = columns.find((candidate) => candidate.column === name);
      if (!column) return [{ path, message: `${tableText(relation)} has no column ${name} among the mirrored ones` }];
      const { bigquery } = bigQueryType(column.type);
      if (bigquery !== 'STRING' && bigquery !== 'JSON') {
        return [{ path, message: `${column.postgresType} holds no Draft.js content; allowed: text, json, jsonb` }];
      }
      return (transform.columns[name] ?? []).flatMap((format) => {
        const output = `${names[columns.indexOf(column)]}_${format}`;
        const taken = names.some((candidate) => candidate.toLowerCase() === output.toLowerCase());
        return taken ? [{ path, message: `${tableText(relation)} already has a column ${output}` }] : [];
      });
    });
  });
}
