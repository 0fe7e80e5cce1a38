import { failure, macroSql, mismatch, SCALARS, SCALAR_NAMES, type Overload, type Scalar } from './macros.ts';
import { BIGNUMERIC_FIELD } from './types.ts';

/** Comparison with NaN, which DuckDB holds equal to itself and greater than all: in BigQuery only != is true of it. */
const FLOATS: Record<string, string> = {
  '=': 'a = b AND NOT isnan(a)',
  '<>': 'a <> b OR isnan(a)',
  '<': 'a < b AND NOT isnan(b)',
  '<=': 'a <= b AND NOT isnan(b)',
  '>': 'a > b AND NOT isnan(a)',
  '>=': 'a >= b AND NOT isnan(a)',
};

const OPERATORS = { '=': 'bq_eq', '<>': 'bq_ne', '<': 'bq_lt', '<=': 'bq_le', '>': 'bq_gt', '>=': 'bq_ge' };

const NAMES: Record<string, string> = {
  '=': 'Equality',
  '<>': 'Inequality',
  '<': 'Less than',
  '<=': 'Less than or equal',
  '>': 'Greater than',
  '>=': 'Greater than or equal',
};

/** DuckDB makes a BETWEEN of two comparisons with one value, and has none for a STRUCT. */
const unscaled = (value: string) => `struct_extract(${value}, '${BIGNUMERIC_FIELD}')`;
const wide = (value: string) => `bq_bignumeric_of_plain(${value}::VARCHAR)`;

function comparison(operator: string, name: string): string {
  const refused = (a: Scalar, b: Scalar): Overload[] => [
    [`a ${a}, b ${b}`, failure(mismatch(`operator ${operator}`, a, b), 'BOOLEAN')],
    [`a ${b}, b ${a}`, failure(mismatch(`operator ${operator}`, b, a), 'BOOLEAN')],
  ];
  const both = (a: Scalar, b: Scalar, left: string, right: string, reversed: string, rest: string): Overload[] => [
    [`a ${a}, b ${b}`, `${left} ${operator} ${right}`],
    [`a ${b}, b ${a}`, `${reversed} ${operator} ${rest}`],
  ];
  const floats = FLOATS[operator] ?? '';
  return macroSql(name, [
    ...SCALAR_NAMES.filter((type) => type !== 'BIGNUMERIC').map((type): Overload => [
      `a ${type}, b ${type}`,
      type === 'FLOAT64' ? floats : `a ${operator} b`,
    ]),
    ['a BIGNUMERIC, b BIGNUMERIC', `${unscaled('a')} ${operator} ${unscaled('b')}`],
    ...(['INT64', 'NUMERIC'] as const).flatMap((type): Overload[] => [
      [`a FLOAT64, b ${type}`, floats.replaceAll(/\bb\b/gu, 'b::DOUBLE')],
      [`a ${type}, b FLOAT64`, floats.replaceAll(/\ba\b/gu, 'a::DOUBLE')],
    ]),
    ...both('NUMERIC', 'INT64', 'a', 'b', 'a', 'b'),
    ...(['INT64', 'NUMERIC'] as const).flatMap((type) =>
      both('BIGNUMERIC', type, unscaled('a'), unscaled(wide('b')), unscaled(wide('a')), unscaled('b')),
    ),
    ...both('DATETIME', 'DATE', 'a', 'b::TIMESTAMP', 'a::TIMESTAMP', 'b'),
    ...refused('BIGNUMERIC', 'FLOAT64'),
    ...refused('TIMESTAMP', 'DATE'),
    ...refused('TIMESTAMP', 'DATETIME'),
    ...SCALAR_NAMES.filter((type) => type !== 'STRING').flatMap((type) => refused('STRING', type)),
    [
      'a GEOGRAPHY, b GEOGRAPHY',
      failure(`'${NAMES[operator]} is not defined for arguments of type GEOGRAPHY'`, 'BOOLEAN'),
    ],
    ['a, b', `a ${operator} b`],
  ]);
}

/** A FLOAT64 result: BigQuery refuses the infinity that finite numbers overflow to. */
const finite = (result: string) =>
  `CASE WHEN isinf(${result}) AND isfinite(a) AND isfinite(b) THEN ${failure("'Floating point overflow'", 'DOUBLE')} ELSE ${result} END`;

function arithmetic(operator: string, name: string, numeric: string, more: Overload[] = []): string {
  const mixed = (body: string): Overload[] => [
    ['a NUMERIC, b NUMERIC', body],
    ['a NUMERIC, b INT64', body],
    ['a INT64, b NUMERIC', body],
  ];
  const known = new Set(['INT64', 'FLOAT64', 'NUMERIC']);
  const floats = `a::DOUBLE ${operator} b::DOUBLE`;
  return macroSql(name, [
    ['a INT64, b INT64', operator === '/' ? divided('(a::DOUBLE / b::DOUBLE)', 'DOUBLE') : `a ${operator} b`],
    [
      'a FLOAT64, b FLOAT64',
      operator === '/' ? divided(`(${finite(`(${floats})`)})`, 'DOUBLE') : finite(`(${floats})`),
    ],
    ...mixed(numeric),
    ...more,
    ...SCALAR_NAMES.filter(
      (type) => !known.has(type) && !more.some(([parameters]) => parameters.includes(`${type},`)),
    ).map((type): Overload => [
      `a ${type}, b`,
      failure(`'The local BigQuery does not implement ${type} ${operator} …'`, 'BIGINT'),
    ]),
    ['a, b', failure(`'No matching signature for operator ${operator}'`, 'BIGINT')],
  ]);
}

function divided(result: string, type: string): string {
  return `CASE WHEN b = 0 THEN ${failure("'division by zero: ' || a || ' / ' || b", type)} ELSE ${result} END`;
}

const dates = (sign: string): Overload[] => [
  ['a DATE, b INT64', `bq_date_add(a, ${sign}b, 'DAY')`],
  ['a DATE, b DATE', failure("'The local BigQuery does not implement DATE - DATE: use DATE_DIFF'", 'BIGINT')],
];

/** Literals that take the type of what they meet, given as `model`. */
const COERCIONS = [
  macroSql('bq_coerce_string', [
    ...SCALAR_NAMES.map((type): Overload => {
      const text = ['STRING', 'DATE', 'TIME', 'DATETIME', 'TIMESTAMP'].includes(type);
      return [
        `model ${type}, s`,
        text
          ? `bq_cast_${type.toLowerCase()}(s::VARCHAR)`
          : failure(mismatch('literal', type, 'STRING'), SCALARS[type]),
      ];
    }),
    ['model, s', 's'],
  ]),
  macroSql('bq_coerce_float', [
    ['model NUMERIC, v', 'bq_cast_numeric(v::DOUBLE)'],
    ['model BIGNUMERIC, v', 'bq_cast_bignumeric(v::DOUBLE)'],
    ...SCALAR_NAMES.filter((type) => !type.includes('NUMERIC')).map((type): Overload => [`model ${type}, v`, 'v']),
    ['model, v', 'v'],
  ]),
];

/** What BigQuery converts without a CAST when it stores a value. */
const ASSIGNABLE: [to: Scalar, from: Scalar][] = [
  ['FLOAT64', 'INT64'],
  ['FLOAT64', 'NUMERIC'],
  ['FLOAT64', 'BIGNUMERIC'],
  ['NUMERIC', 'INT64'],
  ['BIGNUMERIC', 'INT64'],
  ['BIGNUMERIC', 'NUMERIC'],
  ['DATETIME', 'DATE'],
];

/** The value if its type is the model's: else DuckDB would cast it by rules of its own. Both branches are it, to keep its type. */
const STORED = `CASE WHEN typeof(v) = typeof(model) OR typeof(v) = '"NULL"' THEN v
  WHEN bq_fail('Value has type ' || typeof(v) || ' which cannot be inserted into a column of type ' || typeof(model)) IS NULL THEN v END`;

const ASSIGN = macroSql('bq_assign', [
  ...SCALAR_NAMES.flatMap((to) =>
    SCALAR_NAMES.map((from): Overload => {
      const parameters = `model ${to}, v ${from}`;
      // DuckDB's JSON is a VARCHAR by another name.
      if (to === 'STRING' && from === 'STRING') return [parameters, STORED];
      if (to === from) return [parameters, 'v'];
      if (ASSIGNABLE.some(([a, b]) => a === to && b === from)) return [parameters, `bq_cast_${to.toLowerCase()}(v)`];
      const message = `'Value has type ${from} which cannot be inserted into a column of type ${to}'`;
      return [parameters, failure(message, SCALARS[to])];
    }),
  ),
  ['model, v', STORED],
]);

/** Aggregates, chosen by the argument `x`: DuckDB's result of a type that is not BigQuery's, or its NaN, set right. */
const AGGREGATES = [
  macroSql('bq_sum', [
    ['x INT64, total', 'total::BIGINT'],
    ['x FLOAT64, total', 'total'],
    ['x NUMERIC, total', 'total::DECIMAL(38,9)'],
  ]),
  macroSql('bq_avg', [
    ['x INT64, total, n, mean', 'mean'],
    ['x FLOAT64, total, n, mean', 'mean'],
    ['x NUMERIC, total, n, mean', 'CAST(bq_numeric_divide(total::VARCHAR, n::VARCHAR) AS DECIMAL(38,9))'],
  ]),
  macroSql('bq_min', [
    ['x FLOAT64, least, most', 'CASE WHEN isnan(most) THEN most ELSE least END'],
    ['x INT64, least, most', 'least'],
    ['x NUMERIC, least, most', 'least'],
    ['x, least, most', 'least'],
  ]),
  // NaN comes after NULL and before all numbers.
  macroSql('bq_nan_order', [
    ['x FLOAT64', 'NOT isnan(x)'],
    ['x INT64', '0'],
    ['x NUMERIC', '0'],
    ['x GEOGRAPHY', failure("'ORDER BY does not support expressions of type GEOGRAPHY'", 'INTEGER')],
    ['x', '0'],
  ]),
];

/** A comparison where DuckDB cannot tell the types in time to choose: they are looked at as the query is planned. */
function unseen(operator: string, name: string): string {
  const nan = (side: string) => `(typeof(${side}) = 'DOUBLE' AND ${side}::VARCHAR = 'nan')`;
  const never = operator === '<>' ? ` OR ${nan('a')}` : ` AND NOT (${nan('a')} OR ${nan('b')})`;
  return `CREATE MACRO ${name}_unseen(a, b) AS ((a ${operator} b${never}) AND bq_comparable(typeof(a), typeof(b)));`;
}

export const OPERATOR_MACROS = [
  ...Object.entries(OPERATORS).flatMap(([operator, name]) => [comparison(operator, name), unseen(operator, name)]),
  arithmetic('+', 'bq_add', '(a::DECIMAL(38,9) + b::DECIMAL(38,9))::DECIMAL(38,9)', [
    ...dates('').slice(0, 1),
    ['a INT64, b DATE', "bq_date_add(b, a, 'DAY')"],
  ]),
  arithmetic('-', 'bq_subtract', '(a::DECIMAL(38,9) - b::DECIMAL(38,9))::DECIMAL(38,9)', dates('-')),
  arithmetic('*', 'bq_multiply', 'CAST(bq_numeric_multiply(a::VARCHAR, b::VARCHAR) AS DECIMAL(38,9))'),
  arithmetic(
    '/',
    'bq_divide',
    divided('CAST(bq_numeric_divide(a::VARCHAR, b::VARCHAR) AS DECIMAL(38,9))', 'DECIMAL(38,9)'),
  ),
  macroSql('bq_negate', [
    ['x INT64', '-x'],
    ['x FLOAT64', '-x'],
    ['x NUMERIC', '-x'],
  ]),
  macroSql('bq_concatenable', [
    ['x STRING', 'x'],
    ['x BYTES', 'x'],
    ...[...SCALAR_NAMES, 'GEOGRAPHY']
      .filter((type) => type !== 'STRING' && type !== 'BYTES')
      .map((type): Overload => [
        `x ${type}`,
        failure(`'No matching signature for || or CONCAT for argument type ${type}'`, 'VARCHAR'),
      ]),
    ['x', 'x'],
  ]),
  ...COERCIONS,
  ASSIGN,
  ...AGGREGATES,
];
