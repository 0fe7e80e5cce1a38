import {
  accept,
  ahead,
  expect,
  identifier,
  isIdentifier,
  list,
  next,
  optionalAlias,
  peek,
  plain,
  readable,
  type Expression,
  type Parser,
  type TableRef,
} from './parser.ts';
import { InvalidQuery, quoteName, unsupported } from './types.ts';

type Parse = (parser: Parser) => Expression;

/** One item of FROM with the join before it. `element`: what an UNNEST's star would stand for. */
export type Source = { sql: string; name: string; element?: 'struct' | 'scalar' | 'unknown'; array?: Expression };

/** Parses what follows FROM: tables, subqueries, UNNEST and joins, in order. */
export function fromClause(parser: Parser, parse: Parse): Source[] {
  const sources = [source(parser, parse)];
  for (;;) {
    const join = joinOperator(parser);
    if (join === undefined) return sources;
    const right = source(parser, parse);
    sources.push({ ...right, sql: `${join}${right.sql}${condition(parser, parse, join, right)}` });
  }
}

function joinOperator(parser: Parser): string | undefined {
  if (accept(parser, ',')) return ' CROSS JOIN ';
  if (accept(parser, 'CROSS', 'JOIN')) return ' CROSS JOIN ';
  if (accept(parser, 'INNER', 'JOIN') || accept(parser, 'JOIN')) return ' INNER JOIN ';
  for (const side of ['LEFT', 'RIGHT', 'FULL']) {
    if (accept(parser, side, 'OUTER', 'JOIN') || accept(parser, side, 'JOIN')) return ` ${side} JOIN `;
  }
  return undefined;
}

function condition(parser: Parser, parse: Parse, join: string, right: Source): string {
  if (join === ' CROSS JOIN ') return '';
  if (accept(parser, 'ON')) return ` ON ${parse(parser).sql}`;
  if (accept(parser, 'USING')) {
    expect(parser, '(');
    const columns = list(parser, () => quoteName(identifier(parser)));
    expect(parser, ')');
    return ` USING (${columns.join(', ')})`;
  }
  // BigQuery lets an array's join do without a condition: every element meets its own row.
  if (right.element !== undefined) return ' ON TRUE';
  throw new InvalidQuery('JOIN must have an immediately following ON or USING clause');
}

function source(parser: Parser, parse: Parse): Source {
  if (accept(parser, '(')) return parenthesized(parser, parse);
  if (accept(parser, 'UNNEST', '(')) {
    const array = parse(parser);
    expect(parser, ')');
    const element = array.fields ? 'struct' : SCALARS.test(array.sql) ? 'scalar' : 'unknown';
    return unnest(parser, array, element);
  }
  const start = peek(parser);
  const names = tablePath(parser);
  if (ahead(parser, '(')) throw unsupported(`the table function ${names.join('.')}`);
  if (names.length > 1 && parser.ranges.includes((names[0] ?? '').toLowerCase())) {
    return unnest(parser, plain(names.map(quoteName).join('.'), [], { name: names.at(-1) ?? '' }), 'unknown');
  }
  const [only = ''] = names;
  const common = start.kind !== 'end' && names.length === 1 && parser.ctes.includes(only.toLowerCase());
  const table = common ? undefined : tableRef(parser, names);
  const sql = table ? readTable(parser, table) : quoteName(only);
  const alias = optionalAlias(parser) ?? names.at(-1) ?? '';
  refuseAfterTable(parser);
  addRange(parser, alias);
  return { sql: `${sql} AS ${quoteName(alias)}`, name: alias };
}

/** Array expressions whose elements are no STRUCTs, as their SQL begins. */
const SCALARS = /^(?:bq_generate_array|bq_split|regexp_extract_all|\[(?:-?\d+::BIGINT|'|\]))/u;

function refuseAfterTable(parser: Parser): void {
  if (ahead(parser, 'FOR', 'SYSTEM_TIME')) throw unsupported('FOR SYSTEM_TIME AS OF');
  if (ahead(parser, 'TABLESAMPLE')) throw unsupported('TABLESAMPLE');
  if (ahead(parser, 'PIVOT') || ahead(parser, 'UNPIVOT')) throw unsupported('PIVOT and UNPIVOT');
}

function parenthesized(parser: Parser, parse: Parse): Source {
  if (ahead(parser, 'SELECT') || ahead(parser, 'WITH') || ahead(parser, '(')) {
    const { ranges } = parser;
    const { sql } = parser.query(parser);
    parser.ranges = ranges;
    expect(parser, ')');
    const alias = optionalAlias(parser);
    if (alias) addRange(parser, alias);
    return { sql: `(${sql})${alias ? ` AS ${quoteName(alias)}` : ''}`, name: alias ?? '' };
  }
  const inner = fromClause(parser, parse);
  expect(parser, ')');
  if (inner.some((each) => each.element !== undefined)) throw unsupported('UNNEST inside a parenthesized join');
  return { sql: `(${inner.map((each) => each.sql).join('')})`, name: '' };
}

function unnest(parser: Parser, array: Expression, element: NonNullable<Source['element']>): Source {
  const alias = optionalAlias(parser) ?? array.name ?? 'f0_';
  addRange(parser, alias);
  // The table's own name is one that no query uses, so that the alias means the element: a value, or a STRUCT with its fields.
  const range = quoteName(`_unnest_${parser.at}`);
  if (!accept(parser, 'WITH', 'OFFSET')) {
    return { sql: `UNNEST(${array.sql}) AS ${range}(${quoteName(alias)})`, name: alias, element, array };
  }
  const offset = optionalAlias(parser) ?? 'offset';
  const columns = `unnest(${array.sql}) AS ${quoteName(alias)}, generate_subscripts(${array.sql}, 1) - 1 AS ${quoteName(offset)}`;
  return {
    sql: `LATERAL (SELECT ${columns}) AS ${range}`,
    name: alias,
    element: element === 'struct' ? 'unknown' : element,
  };
}

function addRange(parser: Parser, name: string): void {
  parser.ranges = [...parser.ranges, name.toLowerCase()];
}

/** Notes that the statement reads the table; gives it as a FROM item. */
function readTable(parser: Parser, table: TableRef): string {
  const key = JSON.stringify(table);
  if (!parser.reads.some((each) => JSON.stringify(each) === key)) parser.reads.push(table);
  return readable(parser, table);
}

/** The parts of a table's name: `a-b.c.d` in one pair of back quotes or several, or bare with hyphens in the project. */
export function tablePath(parser: Parser): string[] {
  const names: string[] = [];
  do {
    const token = next(parser);
    if (token.kind === 'quoted') names.push(...token.text.split('.'));
    else if (names.length > 0 ? token.kind === 'word' : isIdentifier(token)) {
      let name = token.text;
      // A bare project may hold hyphens: project-id.dataset.table.
      while (names.length === 0 && ahead(parser, '-') && peek(parser).start === peek(parser, -1).end) {
        next(parser);
        name += `-${next(parser).text}`;
      }
      names.push(name);
    } else {
      parser.at -= 1;
      return [identifier(parser)];
    }
  } while (accept(parser, '.'));
  return names;
}

/** The table of a name of one to three parts. Throws for what is no plain table: wildcards, INFORMATION_SCHEMA, decorators. */
export function tableRef(parser: Parser, names: string[]): TableRef {
  const { project, dataset } = parser.context;
  if (names.some((name) => name.toUpperCase() === 'INFORMATION_SCHEMA')) throw unsupported('INFORMATION_SCHEMA');
  if (names.at(-1)?.includes('*')) throw unsupported('wildcard tables and _TABLE_SUFFIX');
  if (names.some((name) => /[@$]/u.test(name))) throw unsupported('table decorators');
  const [table = '', inDataset = dataset, inProject = project, ...rest] = names.toReversed();
  if (rest.length > 0) throw new InvalidQuery(`Invalid table-valued name: ${names.join('.')}`);
  if (inDataset === undefined) {
    throw new InvalidQuery(`Table "${table}" must be qualified with a dataset (e.g. dataset.table).`);
  }
  return { project: inProject, dataset: inDataset, table };
}
