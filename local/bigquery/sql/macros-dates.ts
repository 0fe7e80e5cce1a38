import { EXTRACT_MACROS } from './calls-date.ts';
import { strictCast } from './macros-casts.ts';
import { failure, macroSql, type Overload, type Scalar } from './macros.ts';

const UTC = (x: string) => `(${x} AT TIME ZONE 'UTC')`;
const branches = (cases: Record<string, string>) =>
  `CASE part ${Object.entries(cases)
    .map(([part, sql]) => `WHEN '${part}' THEN ${sql}`)
    .join(' ')} END`;

/** BigQuery's dates and times reach from year 1 to 9999. */
const inRange = (name: string, type: string) =>
  macroSql(name, [
    ['x', `CASE WHEN year(x) NOT BETWEEN 1 AND 9999 THEN ${failure("'Date or time out of range'", type)} ELSE x END`],
  ]);

const SHIFT_DAYS = {
  DAY: 'to_days(n::INTEGER)',
  WEEK: 'to_days(7 * n::INTEGER)',
  MONTH: 'to_months(n::INTEGER)',
  QUARTER: 'to_months(3 * n::INTEGER)',
  YEAR: 'to_years(n::INTEGER)',
};
const SHIFT_TIMES = {
  MICROSECOND: 'to_microseconds(n)',
  MILLISECOND: 'to_microseconds(n * 1000)',
  SECOND: 'to_microseconds(n * 1000000)',
  MINUTE: 'to_microseconds(n * 60000000)',
  HOUR: 'to_microseconds(n * 3600000000)',
};
const UNITS = { MICROSECOND: 1, MILLISECOND: 1e3, SECOND: 1e6, MINUTE: 6e7, HOUR: 36e8, DAY: 864e8 };

/** Whole days from `b` to `a`, counted in crossed boundaries: weeks begin on Sunday, ISO weeks on Monday. */
const DATE_DIFFS = {
  DAY: "date_diff('day', b::DATE, a::DATE)",
  WEEK: "date_diff('day', bq_sunday(b::DATE), bq_sunday(a::DATE)) // 7",
  ISOWEEK: "date_diff('day', date_trunc('week', b::DATE)::DATE, date_trunc('week', a::DATE)::DATE) // 7",
  MONTH: "date_diff('month', b::DATE, a::DATE)",
  QUARTER: "date_diff('quarter', b::DATE, a::DATE)",
  YEAR: "date_diff('year', b::DATE, a::DATE)",
  ISOYEAR: 'isoyear(a) - isoyear(b)',
};
const boundaries = (at: string) =>
  Object.fromEntries(
    Object.entries(UNITS)
      .filter(([part]) => part !== 'DAY')
      .map(([part, unit]) => [part, `bq_floor_div(${at}(a), ${unit}) - bq_floor_div(${at}(b), ${unit})`]),
  );

const DATE_TRUNCS = {
  DAY: 'x::DATE',
  WEEK: 'bq_sunday(x::DATE)',
  ISOWEEK: "date_trunc('week', x)::DATE",
  MONTH: "date_trunc('month', x)::DATE",
  QUARTER: "date_trunc('quarter', x)::DATE",
  YEAR: "date_trunc('year', x)::DATE",
  ISOYEAR: "date_trunc('week', make_date(isoyear(x), 1, 4))::DATE",
};
const timestamps = (cases: Record<string, string>) =>
  Object.fromEntries(Object.entries(cases).map(([part, sql]) => [part, `(${sql})::TIMESTAMP`]));
const TIME_TRUNCS = Object.fromEntries(
  ['MICROSECOND', 'MILLISECOND', 'SECOND', 'MINUTE', 'HOUR'].map((part) => [
    part,
    `date_trunc('${part.toLowerCase()}', x)`,
  ]),
);

/** The typed forms of one constructor; a STRING is cast. */
function constructor(name: Scalar, overloads: Overload[]): string {
  const cast: Overload = ['x STRING', strictCast(name, 'STRING')];
  return macroSql(`bq_new_${name.toLowerCase()}`, [cast, ...overloads]);
}

const casts = (name: Scalar, types: Scalar[]): Overload[] => types.map((type) => [`x ${type}`, strictCast(name, type)]);

export const DATE_MACROS = [
  macroSql('bq_civil_at', [['x, z', 'x AT TIME ZONE z']]),
  macroSql('bq_civil', [
    ['x DATE, z', 'x::TIMESTAMP'],
    ['x DATETIME, z', 'x'],
    ['x TIMESTAMP, z', 'bq_civil_at(x, z)'],
    ['x TIME, z', "(DATE '1970-01-01' + x)"],
    ['x STRING, z', failure("'No matching signature for a date or time function with a STRING'", 'TIMESTAMP')],
  ]),
  inRange('bq_date_in_range', 'DATE'),
  inRange('bq_datetime_in_range', 'TIMESTAMP'),
  macroSql('bq_floor_div', [['n, d', '(n - ((n % d) + d) % d) // d']]),
  macroSql('bq_sunday', [['d', 'd - dayofweek(d)::INTEGER']]),
  macroSql('bq_date_add', [['x DATE, n, part', `bq_date_in_range((x + ${branches(SHIFT_DAYS)})::DATE)`]]),
  macroSql('bq_datetime_add', [
    ['x DATETIME, n, part', `bq_datetime_in_range(x + ${branches({ ...SHIFT_DAYS, ...SHIFT_TIMES })})`],
  ]),
  macroSql('bq_timestamp_add', [['x TIMESTAMP, n, part', UTC(`bq_datetime_add(${UTC('x')}, n, part)`)]]),
  macroSql('bq_time_add', [['x TIME, n, part', `(x + ${branches(SHIFT_TIMES)})`]]),
  macroSql('bq_date_diff', [['a DATE, b DATE, part', `(${branches(DATE_DIFFS)})`]]),
  macroSql('bq_datetime_diff', [
    ['a DATETIME, b DATETIME, part', `(${branches({ ...DATE_DIFFS, ...boundaries('epoch_us') })})`],
  ]),
  // A TIMESTAMP's difference is in whole units, not in boundaries.
  macroSql('bq_timestamp_diff', [
    [
      'a TIMESTAMP, b TIMESTAMP, part',
      branches(
        Object.fromEntries(
          Object.entries(UNITS).map(([part, unit]) => [part, `(epoch_us(a) - epoch_us(b)) // ${unit}`]),
        ),
      ),
    ],
  ]),
  macroSql('bq_time_diff', [['a TIME, b TIME, part', branches(boundaries('epoch_us'))]]),
  macroSql('bq_date_trunc', [['x DATE, part', branches(DATE_TRUNCS)]]),
  macroSql('bq_datetime_trunc', [['x DATETIME, part', branches({ ...timestamps(DATE_TRUNCS), ...TIME_TRUNCS })]]),
  macroSql('bq_timestamp_trunc', [
    ['x TIMESTAMP, part, z', 'bq_datetime_trunc(bq_civil_at(x, z), part) AT TIME ZONE z'],
  ]),
  macroSql('bq_time_trunc', [['x TIME, part', `bq_datetime_trunc(DATE '1970-01-01' + x, part)::TIME`]]),
  macroSql('bq_last_day', [['x DATE', 'last_day(x)']]),
  macroSql('bq_unix_date', [['x DATE', "date_diff('day', DATE '1970-01-01', x)"]]),
  macroSql('bq_date_from_unix_date', [['n INT64', "bq_date_add(DATE '1970-01-01', n, 'DAY')"]]),
  macroSql('bq_unix_seconds', [['x TIMESTAMP', 'bq_floor_div(epoch_us(x), 1000000)']]),
  macroSql('bq_unix_millis', [['x TIMESTAMP', 'bq_floor_div(epoch_us(x), 1000)']]),
  macroSql('bq_unix_micros', [['x TIMESTAMP', 'epoch_us(x)']]),
  macroSql('bq_timestamp_seconds', [['n INT64', UTC('bq_datetime_in_range(make_timestamp(n * 1000000))')]]),
  macroSql('bq_timestamp_millis', [['n INT64', UTC('bq_datetime_in_range(make_timestamp(n * 1000))')]]),
  macroSql('bq_timestamp_micros', [['n INT64', UTC('bq_datetime_in_range(make_timestamp(n))')]]),
  constructor('DATE', [
    ...casts('DATE', ['DATE', 'DATETIME', 'TIMESTAMP']),
    ['x TIMESTAMP, z STRING', 'bq_civil_at(x, z)::DATE'],
    ['y INT64, m INT64, d INT64', 'bq_date_in_range(make_date(y, m, d))'],
  ]),
  constructor('DATETIME', [
    ...casts('DATETIME', ['DATE', 'DATETIME', 'TIMESTAMP']),
    ['x DATE, t TIME', '(x + t)'],
    ['x TIMESTAMP, z STRING', 'bq_civil_at(x, z)'],
    [
      'y INT64, mo INT64, d INT64, h INT64, mi INT64, s INT64',
      'bq_datetime_in_range(make_timestamp(y, mo, d, h, mi, s::DOUBLE))',
    ],
  ]),
  constructor('TIMESTAMP', [
    ...casts('TIMESTAMP', ['DATE', 'DATETIME', 'TIMESTAMP']),
    ['x STRING, z STRING', `(${strictCast('DATETIME', 'STRING')}) AT TIME ZONE z`],
    ['x DATE, z STRING', 'x::TIMESTAMP AT TIME ZONE z'],
    ['x DATETIME, z STRING', 'x AT TIME ZONE z'],
  ]),
  constructor('TIME', [
    ...casts('TIME', ['TIME', 'DATETIME', 'TIMESTAMP']),
    ['x TIMESTAMP, z STRING', 'bq_civil_at(x, z)::TIME'],
    ['h INT64, m INT64, s INT64', 'make_time(h, m, s::DOUBLE)'],
  ]),
  ...(
    [
      ['date', 'DATE', 'try_strptime(x, f)::DATE'],
      ['datetime', 'TIMESTAMP', 'try_strptime(x, f)'],
      ['timestamp', 'TIMESTAMPTZ', UTC('try_strptime(x, f)')],
      ['time', 'TIME', 'try_strptime(x, f)::TIME'],
    ] as const
  ).map(([name, type, sql]) =>
    macroSql(`bq_parse_${name}`, [
      [
        'f, x',
        `coalesce(${sql}, CASE WHEN x IS NOT NULL THEN ${failure("'Failed to parse input string \"' || x || '\"'", type)} END)`,
      ],
    ]),
  ),
  ...EXTRACT_MACROS,
];
