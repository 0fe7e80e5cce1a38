import type { Fault } from '../mirror/config-faults.ts';
import type { Config } from '../mirror/config.ts';
import { isTable } from '../mirror/table-pattern.ts';
import type { Relation } from './catalogue.ts';

/**
 * The Builder tables, a *hard* export: people build forms and reports on exactly these, so that the list is explicit, no
 * pattern stands in for a name, and one that is missing fails the run instead of leaving a gap. They are a chunk of their
 * own, which nothing else can hold up.
 */
export const BUILDER_CHUNK = 'builder';

export function builderTables(
  config: Config,
  relations: readonly Relation[],
): { name: string; relations: Relation[]; faults: Fault[] } {
  const found: Relation[] = [];
  const faults: Fault[] = [];
  for (const [i, text] of config.builder.entries()) {
    const relation = relations.find((candidate) => isTable(text, candidate));
    const fault = faultOf(relation);
    if (relation && fault === undefined) found.push(relation);
    else faults.push({ path: ['builder', i], message: `the Builder table ${text} is ${fault}` });
  }
  return { name: BUILDER_CHUNK, relations: found, faults };
}

function faultOf(relation: Relation | undefined): string | undefined {
  if (!relation) return 'missing in the database';
  return relation.onPrimaryOnly ? 'unlogged, which a replica cannot read' : undefined;
}
