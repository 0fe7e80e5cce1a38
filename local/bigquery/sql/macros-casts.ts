import { failure, macroSql, SCALARS, SCALAR_NAMES, type Overload, type Scalar } from './macros.ts';
import { bignumericToText } from './stored.ts';
import { BIGNUMERIC_FIELD } from './types.ts';

const DATE = '[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}';
const TIME = '(?:[01]?[0-9]|2[0-3]):[0-5]?[0-9]:[0-5]?[0-9](?:\\.[0-9]{1,6})?';
const CIVIL = `${DATE}(?:[ Tt]${TIME})?`;
const DECIMAL = '[+-]?(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)';

const is = (pattern: string, value = 'x') => `regexp_full_match(${value}, '${pattern}')`;
const UTC = "(x AT TIME ZONE 'UTC')";
const big = (unscaled: string) => `struct_pack("${BIGNUMERIC_FIELD}" := ${unscaled})`;
/** A plain decimal's digits up to the 38th after the point. */
const UNSCALED = (plain: string) =>
  `split_part(ltrim(${plain}, '+'), '.', 1) || rpad(split_part(${plain}, '.', 2), 38, '0')`;
const MOST = '57896044618658097711785492504343953926634992332820282019728792003956564819967';

/** SAFE_CAST, by target and by the argument's type. BigQuery allows no others. */
const SAFE_CASTS: Partial<Record<Scalar, Overload[]>> = {
  INT64: [
    [
      'x STRING',
      `CASE WHEN ${is('\\s*[+-]?[0-9]+\\s*')} THEN TRY_CAST(x AS BIGINT)
            WHEN ${is('\\s*0[xX][0-9a-fA-F]{1,16}\\s*')} THEN TRY_CAST(lower(trim(x)) AS BIGINT)
            WHEN ${is('\\s*-0[xX][0-9a-fA-F]{1,16}\\s*')} THEN -TRY_CAST(lower(ltrim(trim(x), '-')) AS BIGINT) END`,
    ],
    ['x INT64', 'x'],
    // Halves away from zero; DuckDB's own cast would take them to the even neighbour.
    [
      'x FLOAT64',
      'CASE WHEN isfinite(x) AND round(x) >= -9223372036854775808 AND round(x) < 9223372036854775808 THEN round(x)::BIGINT END',
    ],
    ['x NUMERIC', 'TRY_CAST(round(x, 0) AS BIGINT)'],
    ['x BIGNUMERIC', 'TRY_CAST(bq_rounded(bq_bignumeric_text(x), 0) AS BIGINT)'],
    ['x BOOL', 'x::BIGINT'],
  ],
  FLOAT64: [
    [
      'x STRING',
      `CASE WHEN ${is(`\\s*${DECIMAL}(?:[eE][+-]?[0-9]+)?\\s*`)} THEN TRY_CAST(trim(x, ' \t\n\v\f\r') AS DOUBLE)
            WHEN ${is('\\s*[+-]?(?i:nan)\\s*')} THEN 'nan'::DOUBLE
            WHEN ${is('\\s*[+]?(?i:inf|infinity)\\s*')} THEN 'inf'::DOUBLE
            WHEN ${is('\\s*-(?i:inf|infinity)\\s*')} THEN '-inf'::DOUBLE END`,
    ],
    ['x INT64', 'x::DOUBLE'],
    ['x FLOAT64', 'x'],
    ['x NUMERIC', 'x::DOUBLE'],
    ['x BIGNUMERIC', 'bq_bignumeric_text(x)::DOUBLE'],
  ],
  NUMERIC: [
    [
      'x STRING',
      // DuckDB reads a DECIMAL of 18 digits a hundred times faster than one of 38.
      `CASE WHEN ${is('[+-]?[0-9]{1,9}(?:\\.[0-9]{0,9})?')} THEN CAST(x AS DECIMAL(18,9))::DECIMAL(38,9)
            WHEN ${is('[+-]?[0-9]+\\.?[0-9]*')} THEN TRY_CAST(x AS DECIMAL(38,9))
            WHEN ${is(`\\s*${DECIMAL}(?:[eE][+-]?[0-9]{1,9})?\\s*`)} THEN TRY_CAST(bq_rounded(x, 9) AS DECIMAL(38,9)) END`,
    ],
    ['x INT64', 'x::DECIMAL(38,9)'],
    ['x FLOAT64', 'TRY_CAST(bq_rounded_float(x, 9) AS DECIMAL(38,9))'],
    ['x NUMERIC', 'x'],
    ['x BIGNUMERIC', 'TRY_CAST(bq_rounded(bq_bignumeric_text(x), 9) AS DECIMAL(38,9))'],
  ],
  BIGNUMERIC: [
    [
      'x STRING',
      // 38 digits before the point are within the range.
      `CASE WHEN ${is('[+-]?[0-9]{1,38}(?:\\.[0-9]{0,38})?')} THEN ${big(`CAST(${UNSCALED('x')} AS BIGNUM)`)}
            WHEN ${is(`\\s*${DECIMAL}(?:[eE][+-]?[0-9]{1,9})?\\s*`)} THEN bq_bignumeric_of_plain(bq_rounded(x, 38)) END`,
    ],
    ['x INT64', 'bq_bignumeric_of_plain(x::VARCHAR)'],
    ['x FLOAT64', 'bq_bignumeric_of_plain(bq_rounded_float(x, 38))'],
    ['x NUMERIC', 'bq_bignumeric_of_plain(x::VARCHAR)'],
    ['x BIGNUMERIC', 'x'],
  ],
  BOOL: [
    ['x STRING', "CASE lower(x) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END"],
    ['x INT64', 'x <> 0'],
    ['x BOOL', 'x'],
  ],
  STRING: [
    [
      'x STRING',
      `CASE WHEN typeof(x) = 'JSON' THEN ${failure("'Invalid cast from JSON to STRING'", 'VARCHAR')} ELSE x END`,
    ],
    ['x INT64', 'x::VARCHAR'],
    ['x FLOAT64', 'bq_float_text(x)'],
    ['x NUMERIC', "rtrim(rtrim(x::DECIMAL(38,9)::VARCHAR, '0'), '.')"],
    ['x BIGNUMERIC', 'bq_bignumeric_text(x)'],
    ['x BOOL', 'x::VARCHAR'],
    ['x BYTES', 'TRY(decode(x))'],
    ['x DATE', 'x::VARCHAR'],
    ['x TIME', "strftime(DATE '1970-01-01' + x, '%H:%M:%S') || bq_fraction(microsecond(x))"],
    ['x DATETIME', 'bq_datetime_text(x)'],
    ['x TIMESTAMP', `bq_datetime_text(${UTC}) || '+00'`],
  ],
  BYTES: [
    ['x STRING', 'encode(x)'],
    ['x BYTES', 'x'],
  ],
  DATE: [
    ['x STRING', `CASE WHEN ${is(DATE)} AND x[:4] <> '0000' THEN TRY_CAST(x AS DATE) END`],
    ['x DATE', 'x'],
    ['x DATETIME', 'x::DATE'],
    ['x TIMESTAMP', `${UTC}::DATE`],
  ],
  TIME: [
    ['x STRING', `CASE WHEN ${is(TIME)} THEN TRY_CAST(x AS TIME) END`],
    ['x TIME', 'x'],
    ['x DATETIME', 'x::TIME'],
    ['x TIMESTAMP', `${UTC}::TIME`],
  ],
  DATETIME: [
    ['x STRING', `CASE WHEN ${is(CIVIL)} AND x[:4] <> '0000' THEN TRY_CAST(upper(x) AS TIMESTAMP) END`],
    ['x DATE', 'x::TIMESTAMP'],
    ['x DATETIME', 'x'],
    ['x TIMESTAMP', UTC],
  ],
  TIMESTAMP: [
    [
      'x STRING',
      `CASE WHEN x[:4] = '0000' THEN NULL
            WHEN ${is(`${DATE}[ T]${TIME}(?:\\+00|Z)`)} THEN TRY_CAST(x AS TIMESTAMPTZ)
            WHEN ${is(`${CIVIL}[Zz]?`)} THEN TRY_CAST(rtrim(upper(x), 'Z') AS TIMESTAMP) AT TIME ZONE 'UTC'
            WHEN ${is(`${CIVIL}[+-](?:0?[0-9]|1[0-4])(?::[0-5]?[0-9])?`)}
              THEN bq_timestamp_in_range(TRY_CAST(regexp_extract(upper(x), '${CIVIL}') AS TIMESTAMP) - bq_offset_interval(x))
            WHEN ${is(`${CIVIL} [A-Za-z_]+(?:/[A-Za-z0-9_+-]+)*`)}
              THEN bq_timestamp_in_range((TRY_CAST(regexp_extract(upper(x), '${CIVIL}') AS TIMESTAMP)
                AT TIME ZONE coalesce(bq_zone(regexp_extract(x, '[^ ]+$')), 'UTC')) AT TIME ZONE 'UTC'
                + CASE WHEN bq_zone(regexp_extract(x, '[^ ]+$')) IS NOT NULL THEN INTERVAL 0 DAY END) END`,
    ],
    ['x DATE', "x::TIMESTAMP AT TIME ZONE 'UTC'"],
    ['x DATETIME', "x AT TIME ZONE 'UTC'"],
    ['x TIMESTAMP', 'x'],
  ],
};

const MESSAGES: Partial<Record<Scalar, string>> = {
  INT64: "'Bad int64 value: ' || @",
  FLOAT64: "'Bad double value: ' || @",
  BOOL: "'Bad bool value: ' || @",
  NUMERIC: "'Invalid NUMERIC value: ' || @",
  BIGNUMERIC: "'Invalid BIGNUMERIC value: ' || @",
  STRING: "'Invalid cast of bytes to UTF8 string'",
  DATE: "'Invalid date: ''' || @ || ''''",
  TIME: "'Invalid time string \"' || @ || '\"'",
  DATETIME: "'Invalid datetime string \"' || @ || '\"'",
  TIMESTAMP: "'Invalid timestamp: ''' || @ || ''''",
};

const HELPERS = [
  macroSql('bq_bignumeric_text', [['x', bignumericToText('x')]]),
  macroSql('bq_bignumeric_in_range', [
    ['b', `CASE WHEN b BETWEEN '-${MOST.slice(0, -1)}8'::BIGNUM AND '${MOST}'::BIGNUM THEN ${big('b')} END`],
  ]),
  macroSql('bq_bignumeric_of_plain', [['p', `bq_bignumeric_in_range(TRY_CAST(${UNSCALED('p')} AS BIGNUM))`]]),
  macroSql('bq_float_text', [
    [
      'x',
      `CASE WHEN NOT isfinite(x) THEN x::VARCHAR WHEN x = 0 THEN '0' WHEN printf('%.15g', x)::DOUBLE = x THEN printf('%.15g', x) ELSE printf('%.17g', x) END`,
    ],
  ]),
  macroSql('bq_fraction', [
    [
      'us',
      `CASE WHEN us % 1000000 = 0 THEN '' WHEN us % 1000 = 0 THEN printf('.%03d', (us % 1000000) // 1000) ELSE printf('.%06d', us % 1000000) END`,
    ],
  ]),
  macroSql('bq_datetime_text', [['t', "strftime(t, '%Y-%m-%d %H:%M:%S') || bq_fraction(microsecond(t))"]]),
  macroSql('bq_timestamp_in_range', [['t', "CASE WHEN year(t) BETWEEN 1 AND 9999 THEN t AT TIME ZONE 'UTC' END"]]),
  macroSql('bq_offset_interval', [
    [
      'x',
      `to_minutes(CASE WHEN regexp_extract(x, '([+-])[0-9:]+$', 1) = '-' THEN -1 ELSE 1 END
        * (regexp_extract(x, '[+-]([0-9]+)(?::[0-9]+)?$', 1)::INTEGER * 60
           + coalesce(nullif(regexp_extract(x, '[0-9][+-][0-9]+:([0-9]+)$', 1), '')::INTEGER, 0)))`,
    ],
  ]),
];

/** The body of SAFE_CAST; other argument types than the listed are refused, as in CAST. */
function safeCast(target: Scalar, source: Scalar): string {
  const body = SAFE_CASTS[target]?.find(([parameters]) => parameters === `x ${source}`)?.[1];
  return body ?? failure(`'Invalid cast from ${source} to ${target}'`, SCALARS[target]);
}

/** The body of CAST, which fails where SAFE_CAST gives NULL. */
export function strictCast(target: Scalar, source: Scalar): string {
  const shown = source === 'BIGNUMERIC' ? 'bq_bignumeric_text(x)' : 'x::VARCHAR';
  const message = (MESSAGES[target] ?? `'Invalid cast to ${target}'`).replace('@', shown);
  return `coalesce(${safeCast(target, source)}, CASE WHEN x IS NOT NULL THEN ${failure(message, SCALARS[target])} END)`;
}

export const CAST_MACROS = [
  ...HELPERS,
  ...SCALAR_NAMES.flatMap((target) => {
    const name = target.toLowerCase();
    return [
      macroSql(
        `bq_safe_cast_${name}`,
        SCALAR_NAMES.map((source) => [`x ${source}`, safeCast(target, source)]),
      ),
      macroSql(
        `bq_cast_${name}`,
        SCALAR_NAMES.map((source) => [`x ${source}`, strictCast(target, source)]),
      ),
    ];
  }),
];
