import type { Client } from 'pg';
import { canonicalCell, judge, type Verdict } from './judge.ts';
import { decimal, readJsonText } from './json-text.ts';
import type { LoadedRows, MirroredRun, PlannedTable } from './harness.ts';
import { jsonOf, type PostgresType } from './postgres-text.ts';
import { sourceRows, sourceTables, type Row, type SourceColumn, type SourceTable } from './source.ts';
import type { ErrorRow, Warehouse, WarehouseField } from './warehouse.ts';

/**
 * Every row of every table of a database against what a run has loaded: in its table value for value, or in its errors table
 * with every column's text and the right reasons; once. Only names are taken from the run's plan. Gives what is wrong, as
 * texts, at most a few per table.
 */
export async function compareRun(client: Client, warehouse: Warehouse, run: MirroredRun): Promise<Comparison> {
  const found: Comparison = { wrong: [], tables: 0, rows: 0, errors: 0 };
  const planned = run.plan.chunks.flatMap(({ tables }) => tables);
  found.wrong.push(...nameFaults(planned));
  for (const table of await sourceTables(client)) {
    const is = ({ schema, table: name }: { schema: string; table: string }): boolean =>
      schema === table.schema && name === table.table;
    const plan = planned.find(is);
    const told = `${JSON.stringify(table.schema)}.${JSON.stringify(table.table)}`;
    if (!plan) {
      const reason = run.plan.leftOut.find(is)?.reason;
      const isRight = table.columns.length === 0 && reason === 'it has no column to mirror';
      if (!isRight) found.wrong.push(`${told} is not mirrored (${reason ?? 'without a reason'})`);
      continue;
    }
    const one = await compareTable(client, warehouse, run.runId, table, plan, run.marker.find(is));
    found.tables++;
    found.rows += one.rows;
    found.errors += one.errors;
    found.wrong.push(...one.wrong.slice(0, 4).map((text) => `${told}: ${text}`));
  }
  return found;
}

export type Comparison = { wrong: string[]; tables: number; rows: number; errors: number };

/** BigQuery's rules for names, and that no two are one. */
function nameFaults(tables: readonly PlannedTable[]): string[] {
  const wrong: string[] = [];
  const ids = new Set<string>();
  for (const { warehouseTable, columns } of tables) {
    if (!/^[\p{L}\p{M}\p{N}\p{Pc}\p{Pd}\p{Zs}]+$/u.test(warehouseTable)) wrong.push(`table id ${warehouseTable}`);
    // A published table's id is this one with a date.
    if (Buffer.byteLength(`${warehouseTable}_transformed_20260101T000000Z`) > 1024)
      wrong.push(`long ${warehouseTable}`);
    if (ids.has(warehouseTable)) wrong.push(`two tables ${warehouseTable}`);
    ids.add(warehouseTable);
    const names = new Set<string>();
    for (const { name } of columns) {
      if (!/^[\p{L}_][\p{L}\p{M}\p{N}_]*$/u.test(name) || name.length > 300) wrong.push(`column ${name}`);
      if (/^(?:_table_|_file_|_partition|_row_timestamp|__root__|_colidentifier|_change_)/iu.test(name))
        wrong.push(`reserved column ${name}`);
      if (names.has(name.toLowerCase())) wrong.push(`two columns ${name} in ${warehouseTable}`);
      names.add(name.toLowerCase());
    }
  }
  return wrong;
}

type Judged = { row: Row; verdicts: (Verdict | null)[] };

async function compareTable(
  client: Client,
  warehouse: Warehouse,
  runId: string,
  table: SourceTable,
  plan: PlannedTable,
  counts: LoadedRows | undefined,
): Promise<Comparison> {
  const wrong: string[] = [];
  const fields = (await warehouse.fields(`${plan.warehouseTable}_${runId}`)) ?? [];
  const wanted = table.columns.map(({ name }) => plan.columns.find(({ source }) => source === name)?.name);
  const named = fields.map(({ name }) => name);
  if (JSON.stringify(wanted) !== JSON.stringify(named)) {
    return { tables: 0, rows: 0, errors: 0, wrong: [`columns ${named.join()} where ${wanted.join()} are wanted`] };
  }
  for (const [i, { name, required }] of table.columns.entries()) {
    const mode = required ? 'REQUIRED' : 'NULLABLE';
    if (fields[i]?.mode !== mode) wrong.push(`column ${name} is ${fields[i]?.mode}, not ${mode}`);
  }
  const rows = await sourceRows(client, table);
  const loaded = countEach((await warehouse.rows(`${plan.warehouseTable}_${runId}`)).map((row) => keyOf(row, fields)));
  const bad: Judged[] = [];
  // Rows that must be there first, so that those that may be take what is left.
  const judged = rows.map((row) => ({ row, verdicts: verdictsOf(row, table.columns, fields) }));
  const isStrict = ({ verdicts }: Judged): boolean => verdicts.every((each) => !each || each.holds);
  for (const each of [...judged.filter(isStrict), ...judged.filter((other) => !isStrict(other))]) {
    const key = wantedKey(each.verdicts);
    const left = key === undefined ? 0 : (loaded.get(key) ?? 0);
    if (key !== undefined && left > 0) loaded.set(key, left - 1);
    else if (isStrict(each)) wrong.push(`not loaded: ${short(each.row)}`);
    else bad.push(each);
  }
  for (const [key, count] of loaded) if (count > 0) wrong.push(`${count} × in the table alone: ${short(key)}`);
  const errors = (await warehouse.fields(`${plan.warehouseTable}_errors_${runId}`))
    ? await warehouse.errorRows(`${plan.warehouseTable}_errors_${runId}`)
    : [];
  wrong.push(...errorFaults(table, fields, bad, errors));
  const sum = { exported: rows.length, loaded: rows.length - bad.length, errors: bad.length };
  if (counts?.exported !== sum.exported || counts.loaded !== sum.loaded || counts.errors !== sum.errors) {
    wrong.push(`counted ${JSON.stringify(counts)}, where there are ${JSON.stringify(sum)}`);
  }
  return { tables: 1, rows: rows.length, errors: errors.length, wrong };
}

function verdictsOf(row: Row, columns: SourceColumn[], fields: WarehouseField[]): (Verdict | null)[] {
  return columns.map(({ type }, i) => {
    const text = row[i] ?? null;
    return text === null ? null : judge(type, text, fields[i]?.type ?? '');
  });
}

const keyOf = (row: Row, fields: WarehouseField[]): string =>
  JSON.stringify(row.map((cell, i) => (cell === null ? null : canonicalCell(fields[i]?.type ?? '', cell))));

/** The row as it would stand in the table; undefined where BigQuery cannot hold it. */
function wantedKey(verdicts: (Verdict | null)[]): string | undefined {
  const cells = verdicts.map((verdict) => verdict && verdict.canonical);
  return cells.some((cell) => cell === undefined) ? undefined : JSON.stringify(cells);
}

function countEach(keys: string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

/** Each bad row in the errors table once, and nothing else there. */
function errorFaults(table: SourceTable, fields: WarehouseField[], bad: Judged[], errors: ErrorRow[]): string[] {
  const left = new Set(errors);
  const wrong: string[] = [];
  for (const each of bad) {
    const same = [...left].find((error) => isSameRow(table, each, error));
    if (!same) {
      wrong.push(`not among the errors: ${short(each.row)}`);
      continue;
    }
    left.delete(same);
    const failing = each.verdicts.flatMap((verdict, i) => {
      const column = table.columns[i];
      const field = fields[i];
      return verdict && !verdict.holds && column && field ? [{ verdict, column, field }] : [];
    });
    for (const { verdict, column, field } of failing) {
      const told = same.failures.find((failure) => failure.column === field.name);
      if (!told && verdict.canonical !== undefined) continue;
      if (!told || !verdict.reasons.includes(told.reason) || told.postgresType !== column.written) {
        wrong.push(
          `${JSON.stringify(told)} where ${column.name} has ${verdict.reasons.join(' or ')}: ${short(each.row)}`,
        );
      }
    }
    const unjustified = same.failures.filter(({ column }) => !failing.some(({ field }) => field.name === column));
    if (unjustified.length > 0) wrong.push(`${JSON.stringify(unjustified)} is not justified by ${short(each.row)}`);
  }
  for (const error of left) wrong.push(`among the errors alone: ${short(JSON.stringify(error))}`);
  return wrong;
}

function isSameRow({ columns }: SourceTable, { row }: Judged, { raw }: ErrorRow): boolean {
  if (raw.length !== row.length) return false;
  return columns.every(({ type }, i) => {
    const text = row[i] ?? null;
    const told = raw[i]?.value ?? null;
    if (text === null || told === null) return text === told;
    return text === told || isSameText(type, text, told);
  });
}

/** Errors hold the exported text: base64 for bytes, JSON for arrays and records, numbers without trailing zeros. */
function isSameText(type: PostgresType, text: string, told: string): boolean {
  try {
    if (type.form !== 'scalar') return readJsonText(jsonOf(type, text).json).canonical === readJsonText(told).canonical;
    switch (type.name) {
      case 'bytea':
        return Buffer.from(text.slice(2), 'hex').toString('base64') === told;
      case 'bool':
        return text === told.slice(0, 1);
      case 'hstore':
        return readJsonText(jsonOf(type, text).json).canonical === readJsonText(told).canonical;
      case 'money':
        return decimal(text.replaceAll(/[^-0-9.]/gu, '')) === decimal(told);
      case 'numeric':
        return decimal(text) === decimal(told);
      default:
        return false;
    }
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

const short = (row: Row | string): string => (typeof row === 'string' ? row : JSON.stringify(row)).slice(0, 400);
