import { z } from 'zod';

/** `schema.table`; either part may hold `*`, or stand in double quotes to be taken literally (`""` for a quote). */
export type TablePattern = { text: string; schema: RegExp; table: RegExp; exact: boolean };

const PART = /(?:"(?:[^"]|"")+"|[^".]+)/u;
const PATTERN = new RegExp(`^(${PART.source})\\.(${PART.source})$`, 'u');

export const PatternText = z
  .string()
  .regex(
    PATTERN,
    'schema.table, either part with * or in double quotes, such as public.members, care.*, "my.schema"."Table"',
  );

export function tablePattern(text: string): TablePattern {
  const [, schema = '', table = ''] = PATTERN.exec(text) ?? [];
  return {
    text,
    schema: partPattern(schema),
    table: partPattern(table),
    exact: ![schema, table].some((part) => !part.startsWith('"') && part.includes('*')),
  };
}

export function matches(pattern: TablePattern, table: { schema: string; table: string }): boolean {
  return pattern.schema.test(table.schema) && pattern.table.test(table.table);
}

/** The table that `text` (without `*`) names, however it is quoted. */
export function tableOf(text: string): { schema: string; table: string } {
  const [, schema = '', table = ''] = PATTERN.exec(text) ?? [];
  return { schema: literal(schema), table: literal(table) };
}

/** Whether `text` (without `*`) names `table`, however it is quoted. */
export function isTable(text: string, { schema, table }: { schema: string; table: string }): boolean {
  const named = tableOf(text);
  return named.schema === schema && named.table === table;
}

/** The entry of a record keyed by table. */
export function entryOf<T>(record: Record<string, T>, table: { schema: string; table: string }): T | undefined {
  return Object.entries(record).find(([text]) => isTable(text, table))?.[1];
}

/** How a table is written in mirror.yaml: quoted only where a plain name would read as something else. */
export function tableText({ schema, table }: { schema: string; table: string }): string {
  const part = (name: string): string => (/[".*\s]/u.test(name) ? `"${name.replaceAll('"', '""')}"` : name);
  return `${part(schema)}.${part(table)}`;
}

const literal = (part: string): string => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part);

function partPattern(part: string): RegExp {
  if (part.startsWith('"')) return new RegExp(`^${escape(literal(part))}$`, 'u');
  return new RegExp(`^${part.split('*').map(escape).join('.*')}$`, 'su');
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/gu, '\\$&');
