import type { Call } from './call.ts';
import { strftime } from './format-date.ts';
import { text } from './literals.ts';
import { coerceTo } from './operators.ts';
import { macro, plain, type Expression } from './parser.ts';
import { InvalidQuery, unsupported, type FieldType } from './types.ts';

const DATE_PARTS = ['DAY', 'WEEK', 'ISOWEEK', 'MONTH', 'QUARTER', 'YEAR', 'ISOYEAR'];
const TIME_PARTS = ['MICROSECOND', 'MILLISECOND', 'SECOND', 'MINUTE', 'HOUR'];

/** EXTRACT's parts, of a civil time `t`. */
const EXTRACTS: Record<string, string> = {
  YEAR: 'year(t)',
  ISOYEAR: 'isoyear(t)',
  QUARTER: 'quarter(t)',
  MONTH: 'month(t)',
  // Weeks begin on Sunday; the days before the year's first Sunday are in week 0.
  WEEK: "strftime(t, '%U')::BIGINT",
  ISOWEEK: 'weekofyear(t)',
  DAY: 'day(t)',
  DAYOFYEAR: 'dayofyear(t)',
  DAYOFWEEK: '(dayofweek(t) + 1)',
  HOUR: 'hour(t)',
  MINUTE: 'minute(t)',
  SECOND: 'second(t)',
  // DuckDB counts the seconds in.
  MILLISECOND: '(millisecond(t) % 1000)',
  MICROSECOND: '(microsecond(t) % 1000000)',
};

export const DATE_CALLS: Record<string, Call> = {
  CURRENT_TIMESTAMP: { min: 0, max: 0, emit: () => plain('now()', [], { type: 'TIMESTAMP' }) },
  CURRENT_DATETIME: {
    min: 0,
    max: 1,
    emit: ([zone]) => macro('bq_civil_at', ['now()', zoneSql(zone)], { type: 'DATETIME' }),
  },
  CURRENT_DATE: {
    min: 0,
    max: 1,
    emit: ([zone]) => plain(`bq_civil_at(now(), ${zoneSql(zone).sql})::DATE`, zone ? [zone] : [], { type: 'DATE' }),
  },
  CURRENT_TIME: {
    min: 0,
    max: 1,
    emit: ([zone]) => plain(`bq_civil_at(now(), ${zoneSql(zone).sql})::TIME`, zone ? [zone] : [], { type: 'TIME' }),
  },
  DATE: constructor('date', 'DATE', [1, 2, 3]),
  DATETIME: constructor('datetime', 'DATETIME', [1, 2, 6]),
  TIMESTAMP: constructor('timestamp', 'TIMESTAMP', [1, 2]),
  TIME: constructor('time', 'TIME', [1, 2, 3]),
  EXTRACT: {
    min: 1,
    max: 2,
    emit: ([value, zone], { part }) => {
      if (!value) throw new InvalidQuery('EXTRACT takes a value');
      const civil = macro('bq_civil', [value, zoneSql(zone)]);
      const to = ({ DATE: 'DATE', TIME: 'TIME', DATETIME: 'DATETIME' } as const)[part];
      if (to !== undefined)
        return plain(`${civil.sql}::${to === 'DATETIME' ? 'TIMESTAMP' : to}`, [civil], { type: to });
      const sql = EXTRACTS[part];
      if (sql === undefined) throw unsupported(`EXTRACT(${part} …)`);
      return macro(`bq_extract_${part.toLowerCase()}`, [civil], { type: 'INT64' });
    },
  },
  ...arithmetic('DATE', DATE_PARTS),
  ...arithmetic('DATETIME', [...DATE_PARTS, ...TIME_PARTS]),
  ...arithmetic('TIMESTAMP', ['DAY', ...TIME_PARTS]),
  ...arithmetic('TIME', TIME_PARTS),
  FORMAT_DATE: formatter('DATE'),
  FORMAT_DATETIME: formatter('DATETIME'),
  FORMAT_TIMESTAMP: formatter('TIMESTAMP'),
  FORMAT_TIME: formatter('TIME'),
  PARSE_DATE: parser('DATE'),
  PARSE_DATETIME: parser('DATETIME'),
  PARSE_TIMESTAMP: parser('TIMESTAMP'),
  PARSE_TIME: parser('TIME'),
  LAST_DAY: {
    min: 1,
    max: 1,
    emit: ([value]) => macro('bq_last_day', value ? [typed(value, 'DATE')] : [], { type: 'DATE' }),
  },
  UNIX_DATE: { min: 1, max: 1, emit: (args) => macro('bq_unix_date', args, { type: 'INT64' }) },
  DATE_FROM_UNIX_DATE: { min: 1, max: 1, emit: (args) => macro('bq_date_from_unix_date', args, { type: 'DATE' }) },
  ...Object.fromEntries(
    ['SECONDS', 'MILLIS', 'MICROS'].flatMap((unit): [string, Call][] => [
      [
        `UNIX_${unit}`,
        { min: 1, max: 1, emit: (args) => macro(`bq_unix_${unit.toLowerCase()}`, args, { type: 'INT64' }) },
      ],
      [
        `TIMESTAMP_${unit}`,
        { min: 1, max: 1, emit: (args) => macro(`bq_timestamp_${unit.toLowerCase()}`, args, { type: 'TIMESTAMP' }) },
      ],
    ]),
  ),
};

/** The SQL of EXTRACT's macros: one for each part. */
export const EXTRACT_MACROS = Object.entries(EXTRACTS).map(
  ([part, sql]) => `CREATE MACRO bq_extract_${part.toLowerCase()}(t) AS (${sql})::BIGINT;`,
);

function zoneSql(zone: Expression | undefined): Expression {
  return zone ?? plain("'UTC'", []);
}

/** A literal beside a DATE function is a DATE. */
function typed(value: Expression, type: FieldType): Expression {
  return coerceTo(
    { sql: `NULL::${type === 'DATETIME' ? 'TIMESTAMP' : type === 'TIMESTAMP' ? 'TIMESTAMPTZ' : type}`, depth: 0, type },
    value,
  );
}

function constructor(name: string, type: FieldType, counts: number[]): Call {
  return {
    min: counts[0] ?? 1,
    max: counts.at(-1) ?? 1,
    emit: (args) => {
      if (!counts.includes(args.length)) throw unsupported(`${type} of ${args.length} arguments`);
      return macro(`bq_new_${name}`, args, { type });
    },
  };
}

/** _ADD, _SUB, _DIFF and _TRUNC of one type. */
function arithmetic(type: 'DATE' | 'DATETIME' | 'TIMESTAMP' | 'TIME', parts: string[]): Record<string, Call> {
  const allowed = (part: string, more: string[] = []) => {
    if (!parts.includes(part) && !more.includes(part)) throw unsupported(`the date part ${part} in a ${type} function`);
    return text(part);
  };
  const shift = (sign: '' | '-'): Call => ({
    min: 2,
    max: 2,
    interval: 1,
    emit: ([value, count], { part }) => {
      if (!value || !count || part.startsWith('ISO')) throw unsupported(`INTERVAL … ${part}`);
      const by = plain(`(${sign}${count.sql})`, [count]);
      return macro(`bq_${type.toLowerCase()}_add`, [typed(value, type), by, allowed(part)], { type });
    },
  });
  return {
    [`${type}_ADD`]: shift(''),
    [`${type}_SUB`]: shift('-'),
    [`${type}_DIFF`]: {
      min: 2,
      max: 2,
      part: 2,
      emit: (args, { part }) =>
        macro(`bq_${type.toLowerCase()}_diff`, [...args.map((arg) => typed(arg, type)), allowed(part)], {
          type: 'INT64',
        }),
    },
    [`${type}_TRUNC`]: {
      min: 1,
      max: 2,
      part: 1,
      emit: ([value, zone], { part }) => {
        if (!value || (zone && type !== 'TIMESTAMP')) throw unsupported(`${type}_TRUNC with a time zone`);
        const zoned = type === 'TIMESTAMP' ? [zoneSql(zone)] : [];
        const name = allowed(part, type === 'TIMESTAMP' ? DATE_PARTS : []);
        return macro(`bq_${type.toLowerCase()}_trunc`, [typed(value, type), name, ...zoned], { type });
      },
    },
  };
}

function formatter(type: 'DATE' | 'DATETIME' | 'TIMESTAMP' | 'TIME'): Call {
  return {
    min: 2,
    max: type === 'TIMESTAMP' ? 3 : 2,
    emit: ([format, value, zone]) => {
      if (!format || !value) throw new InvalidQuery(`FORMAT_${type} takes a format and a value`);
      const civil = macro('bq_civil', [typed(value, type), zoneSql(zone)]);
      return plain(`strftime(${civil.sql}, ${text(strftime(format, 'format'))})`, [civil], { type: 'STRING' });
    },
  };
}

function parser(type: 'DATE' | 'DATETIME' | 'TIMESTAMP' | 'TIME'): Call {
  return {
    min: 2,
    max: 2,
    emit: ([format, value]) => {
      if (!format || !value) throw new InvalidQuery(`PARSE_${type} takes a format and a string`);
      return macro(`bq_parse_${type.toLowerCase()}`, [text(strftime(format, 'parse')), value], { type });
    },
  };
}
