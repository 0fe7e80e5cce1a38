import { escapeIdentifier } from 'pg';
import type { RangePlan } from '../mirror/plan.ts';
import type { Relation } from './catalogue.ts';

/**
 * A range of a large table: small enough that losing one costs little, large enough that its start costs nothing; and
 * several for each connection, since a table is done when its last range is, which the other connections wait for.
 */
const RANGE_BYTES = { least: 64 * 1024 * 1024, most: 512 * 1024 * 1024 };
const RANGES_PER_CONNECTION = 8;
/** `ctid` conditions read only their pages since PostgreSQL 14; before, every range would read the whole table. */
const TID_RANGE_SCAN = 140000;

/** What is read by itself of a relation: of each partition, and of a large heap's pages, so that several connections can. */
export function rangesOf(relation: Relation, serverVersion: number, connections: number): RangePlan[] {
  if (relation.kind === 'view' || relation.kind === 'foreign table' || relation.leaves.length === 0) {
    return [{ relation: qualified(relation), from: null, to: null }];
  }
  // Rights on a partitioned table do not reach its partitions when these are read by their own names.
  if (relation.kind === 'partitioned table' && !relation.leaves.every(({ readable }) => readable)) {
    return [{ relation: qualified(relation), from: null, to: null }];
  }
  return relation.leaves.flatMap((leaf) => {
    // A parent's children are tables of their own: without ONLY their rows would come twice.
    const name = leaf.relkind === 'f' ? qualified(leaf) : `ONLY ${qualified(leaf)}`;
    const share = leaf.bytes / (connections * RANGES_PER_CONNECTION);
    const bytes = Math.min(Math.max(share, RANGE_BYTES.least), RANGE_BYTES.most);
    const count = leaf.heap && serverVersion >= TID_RANGE_SCAN ? Math.max(1, Math.ceil(leaf.bytes / bytes)) : 1;
    const pages = Math.ceil(leaf.pages / count);
    // The last range is open-ended: pages that were added since are in it.
    return Array.from({ length: count }, (_, i) => ({
      relation: name,
      from: i === 0 ? null : i * pages,
      to: i === count - 1 ? null : (i + 1) * pages,
    }));
  });
}

export const qualified = ({ schema, table }: { schema: string; table: string }): string =>
  `${escapeIdentifier(schema)}.${escapeIdentifier(table)}`;
