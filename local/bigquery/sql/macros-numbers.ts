import { failure, macroSql } from './macros.ts';

const ZERO = (name: string, type: string) => failure(`'division by zero: ${name}(' || a || ', ' || b || ')'`, type);
const NUMERIC = '::DECIMAL(38,9)';

/** FLOAT64 for FLOAT64 and INT64, NUMERIC for NUMERIC: DuckDB would keep INT64 and change the NUMERIC's scale. */
function rounding(name: string, duck: string): string {
  return macroSql(`bq_${name}`, [
    ['x INT64', 'x::DOUBLE'],
    ['x FLOAT64', `${duck}(x)`],
    ['x NUMERIC', `${duck}(x)${NUMERIC}`],
  ]);
}

const outOfArray = (n: string) => failure(`'Array index ' || ${n} || ' is out of bounds'`, 'BIGINT');

export const NUMBER_MACROS = [
  macroSql('bq_abs', [
    ['x INT64', 'abs(x)'],
    ['x FLOAT64', 'abs(x)'],
    ['x NUMERIC', `abs(x)${NUMERIC}`],
  ]),
  macroSql('bq_sign', [
    ['x INT64', 'sign(x)::BIGINT'],
    ['x FLOAT64', 'CASE WHEN isnan(x) THEN x ELSE sign(x)::DOUBLE END'],
    ['x NUMERIC', `sign(x)${NUMERIC}`],
  ]),
  macroSql('bq_round', [
    ['x INT64', 'x::DOUBLE'],
    ['x FLOAT64', 'round(x)'],
    ['x NUMERIC', `round(x, 0)${NUMERIC}`],
    ['x INT64, n INT64', 'round(x::DOUBLE, n::INTEGER)'],
    ['x FLOAT64, n INT64', 'round(x, n::INTEGER)'],
    ['x NUMERIC, n INT64', `CAST(bq_rounded(x::VARCHAR, n)${NUMERIC} AS DECIMAL(38,9))`],
  ]),
  rounding('floor', 'floor'),
  rounding('ceil', 'ceil'),
  rounding('trunc', 'trunc'),
  macroSql('bq_mod', [
    ['a INT64, b INT64', `CASE WHEN b = 0 THEN ${ZERO('MOD', 'BIGINT')} ELSE a % b END`],
    ['a NUMERIC, b NUMERIC', `CASE WHEN b = 0 THEN ${ZERO('MOD', 'DECIMAL(38,9)')} ELSE (a % b)${NUMERIC} END`],
  ]),
  macroSql('bq_div', [['a INT64, b INT64', `CASE WHEN b = 0 THEN ${ZERO('DIV', 'BIGINT')} ELSE a // b END`]]),
  macroSql('bq_sqrt', [['x FLOAT64', 'sqrt(x)']]),
  macroSql('bq_pow', [['a FLOAT64, b FLOAT64', 'pow(a, b)']]),
  macroSql('bq_is_nan', [
    ['x FLOAT64', 'isnan(x)'],
    ['x INT64', 'FALSE'],
    ['x NUMERIC', 'FALSE'],
    ['x', 'FALSE'],
  ]),
  macroSql('bq_is_inf', [['x FLOAT64', 'isinf(x)']]),

  macroSql('bq_array_length', [['x', 'len(x)']]),
  macroSql('bq_array_to_string', [
    ['x, d STRING', 'CASE WHEN x IS NOT NULL THEN array_to_string(list_filter(x, lambda e: e IS NOT NULL), d) END'],
    [
      'x, d STRING, n STRING',
      'CASE WHEN x IS NOT NULL THEN array_to_string(list_transform(x, lambda e: coalesce(e, n)), d) END',
    ],
  ]),
  macroSql('bq_generate_array', [
    ['a INT64, b INT64', 'generate_series(a, b)'],
    [
      'a INT64, b INT64, s INT64',
      `CASE WHEN s = 0 THEN [${failure("'Sequence step cannot be 0.'", 'BIGINT')}] ELSE generate_series(a, b, s) END`,
    ],
  ]),
  macroSql('bq_offset', [['x, n', `x[CASE WHEN n < 0 OR n >= len(x) THEN ${outOfArray('n')} ELSE n + 1 END]`]]),
  macroSql('bq_ordinal', [['x, n', `x[CASE WHEN n < 1 OR n > len(x) THEN ${outOfArray('n')} ELSE n END]`]]),
  macroSql('bq_safe_offset', [['x, n', 'CASE WHEN n >= 0 THEN x[n + 1] END']]),
  macroSql('bq_safe_ordinal', [['x, n', 'CASE WHEN n >= 1 THEN x[n] END']]),
];
