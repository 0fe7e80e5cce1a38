import type { Fault } from '../mirror/config-faults.ts';
import type { Config } from '../mirror/config.ts';
import { isSpatial } from '../mirror/spatial.ts';
import { entryOf, isTable, matches, tableOf, tablePattern, tableText } from '../mirror/table-pattern.ts';
import { builderTables } from './builder.ts';
import type { Column, Relation } from './catalogue.ts';

/** mirror.yaml held against what the database has: which relation is in which chunk, and what is wrong. */

export type Selection = {
  chunks: { name: string; relations: Relation[] }[];
  warnings: string[];
  leftOut: { schema: string; table: string; reason: string }[];
  faults: Fault[];
};

export function selectTables(config: Config, relations: readonly Relation[]): Selection {
  const faults: Fault[] = [];
  const chunkOf = new Map<Relation, string>();
  const unreadable = new Set<Relation>();
  // Ten thousand tables may be listed one by one.
  const byName = new Map(relations.map((relation) => [tableText(relation), [relation]]));
  const chunks = config.chunks.map(({ name, tables, except }, c) => {
    const excepted = except.map(tablePattern);
    const chosen = new Set<Relation>();
    for (const [t, text] of tables.entries()) {
      const pattern = tablePattern(text);
      // A pattern takes tables; views, materialized views and foreign tables only when named in full.
      const matching = pattern.exact
        ? (byName.get(tableText(tableOf(text))) ?? [])
        : relations.filter((relation) => isOrdinary(relation) && matches(pattern, relation));
      if (matching.length === 0)
        faults.push({ path: ['chunks', c, 'tables', t], message: `no such table in the database: ${text}` });
      for (const relation of matching) {
        if (excepted.some((pattern) => matches(pattern, relation))) continue;
        (relation.onPrimaryOnly ? unreadable : chosen).add(relation);
      }
    }
    for (const relation of chosen) {
      const other = chunkOf.get(relation);
      if (other) {
        const message = `${tableText(relation)} is in two chunks, ${other} and ${name}; wanted: one`;
        faults.push({ path: ['chunks', c], message });
        chosen.delete(relation);
      } else chunkOf.set(relation, name);
    }
    return { name, relations: [...chosen] };
  });
  const builder = builderTables(config, relations);
  const alone: Relation[] = [];
  for (const relation of builder.relations) {
    const other = chunkOf.get(relation);
    if (other) {
      const path = ['builder', config.builder.findIndex((text) => isTable(text, relation))];
      faults.push({ path, message: `${tableText(relation)} is in chunk ${other} too; wanted: one` });
    } else {
      chunkOf.set(relation, builder.name);
      alone.push(relation);
    }
  }
  chunks.push({ name: builder.name, relations: alone });
  return {
    chunks: chunks.filter((chunk) => chunk.relations.length > 0),
    warnings: [...unreadable].map(
      (relation) => `${unloggedText(relation)}, which a replica cannot read: it is left out`,
    ),
    leftOut: relations.flatMap((relation) => {
      if (chunkOf.has(relation)) return [];
      const reason = unreadable.has(relation) ? 'unlogged, which a replica cannot read' : whyNotListed(relation);
      return [{ schema: relation.schema, table: relation.table, reason }];
    }),
    faults: [...faults, ...builder.faults, ...thresholdFaults(config, [...chunkOf.keys()])],
  };
}

const whyNotListed = (relation: Relation): string =>
  isOrdinary(relation) ? 'not listed in mirror.yaml' : `a ${relation.kind}, not listed by its full name`;

export const unloggedText = (relation: Relation): string =>
  `${tableText(relation)} ${relation.kind === 'partitioned table' ? 'has unlogged partitions' : 'is unlogged'}`;

const isOrdinary = ({ kind }: Relation): boolean => kind === 'table' || kind === 'partitioned table';

function thresholdFaults(config: Config, mirrored: readonly Relation[]): Fault[] {
  const message = 'this table is not mirrored';
  const isMirrored = (text: string): boolean => mirrored.some((relation) => isTable(text, relation));
  return [
    ...Object.keys(config.coverage.tables)
      .filter((text) => !isMirrored(text))
      .map((text) => ({ path: ['coverage', 'tables', text], message })),
    ...Object.keys(config.columns)
      .filter((text) => !isMirrored(text))
      .map((text) => ({ path: ['columns', text], message })),
    ...(config.verify === 'all' ? [] : config.verify).flatMap((text, i) =>
      isMirrored(text) ? [] : [{ path: ['verify', i], message }],
    ),
    ...config.transforms.flatMap(({ table }, i) =>
      isMirrored(table) ? [] : [{ path: ['transforms', i, 'table'], message }],
    ),
  ];
}

/** The columns to mirror of one table, those that are taken as another type so typed, and those that stay out. */
export function selectColumns(
  config: Config,
  relation: Relation,
  columns: readonly Column[],
): { chosen: Column[]; omitted: string[]; faults: Fault[] } {
  const rule = entryOf(config.columns, relation);
  if (!rule) return { chosen: [...columns], omitted: [], faults: [] };
  const text = Object.keys(config.columns).find((name) => isTable(name, relation)) ?? '';
  const { key, names } = listOf(rule);
  const isChosen = ({ column }: Column): boolean => names.includes(column) === (key === 'only');
  const chosen = columns.filter(isChosen);
  const faults = names.flatMap((name, i) =>
    columns.some(({ column }) => column === name)
      ? []
      : [{ path: ['columns', text, key, i], message: `${tableText(relation)} has no column ${name}` }],
  );
  const as = new Map(Object.entries(rule.as ?? {}));
  return {
    chosen: chosen.map((column) => {
      const wanted = as.get(column.column);
      return wanted ? { ...column, type: { ...column.type, kind: `as ${wanted}` } } : column;
    }),
    omitted: columns.filter((column) => !isChosen(column)).map(({ column }) => column),
    faults: [
      ...faults,
      ...[...as].flatMap(([name, wanted]) => {
        const path = ['columns', text, 'as', name];
        const column = chosen.find((candidate) => candidate.column === name);
        if (!column) return [{ path, message: `${tableText(relation)} has no column ${name} among the mirrored ones` }];
        if (wanted === 'string' || isSpatial(column.type)) return [];
        return [{ path, message: `${column.postgresType} is no geography; allowed: PostGIS's geometry and geography` }];
      }),
    ],
  };
}

function listOf(rule: Config['columns'][string]): { key: 'only' | 'except'; names: string[] } {
  if ('only' in rule) return { key: 'only', names: rule.only };
  return { key: 'except', names: 'except' in rule ? rule.except : [] };
}
