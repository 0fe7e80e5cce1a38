import { failure, macroSql, type Overload } from './macros.ts';

/** JSON and STRING documents: DuckDB tells them apart where a macro has both. */
function ofDocument(name: string, parameters: string, json: string, string: string): string {
  return `CREATE OR REPLACE TEMP MACRO ${name}(d JSON${parameters}) AS (${json}), (d VARCHAR${parameters}) AS (${string});`;
}

const quoted = (sql: string) => `'"' || ${sql} || '"'`;
const SCALAR_JSON: Overload[] = [
  // BigQuery writes as numbers only what every JSON reader can hold.
  [
    'x INT64',
    `CASE WHEN x BETWEEN -9007199254740992 AND 9007199254740992 THEN x::VARCHAR ELSE ${quoted('x::VARCHAR')} END`,
  ],
  [
    'x FLOAT64',
    `CASE WHEN isnan(x) THEN '"NaN"' WHEN isinf(x) THEN CASE WHEN x > 0 THEN '"Infinity"' ELSE '"-Infinity"' END ELSE bq_float_text(x) END`,
  ],
  [
    'x NUMERIC',
    `CASE WHEN x = trunc(x) AND x BETWEEN -9007199254740992 AND 9007199254740992 THEN bq_safe_cast_string(x) ELSE ${quoted('bq_safe_cast_string(x)')} END`,
  ],
  ['x BOOL', 'x::VARCHAR'],
];

export const JSON_MACROS = [
  macroSql('bq_parse_json', [['x STRING', "bq_json_canonical(x, 'exact')::JSON"]]),
  macroSql('bq_parse_json_round', [['x STRING', "bq_json_canonical(x, 'round')::JSON"]]),
  macroSql('bq_to_json_string', [
    ...SCALAR_JSON.map(([parameters, body]): Overload => [parameters, `coalesce(${body}, 'null')`]),
    // What a JSON column holds is in this form already.
    ['x STRING', "CASE WHEN typeof(x) = 'JSON' THEN coalesce(x::VARCHAR, 'null') ELSE bq_any_json(x) END"],
    ['x', 'bq_any_json(x)'],
  ]),
  macroSql('bq_to_json', [
    ['x INT64', 'x::VARCHAR::JSON'],
    [
      'x FLOAT64',
      "CASE WHEN isfinite(x) THEN bq_json_canonical(bq_float_text(x), 'round') ELSE bq_to_json_string(x) END::JSON",
    ],
    ['x BOOL', 'x::VARCHAR::JSON'],
    ['x STRING', 'bq_any_json(x)::JSON'],
    ['x', failure("'The local BigQuery does not implement TO_JSON of this type'", 'JSON')],
  ]),
  ofDocument('bq_json_value', ', p', 'bq_json_scalar_at(d::VARCHAR, p)', 'bq_json_scalar_at(d, p)'),
  ofDocument('bq_json_query', ', p', 'bq_json_part_at(d::VARCHAR, p)::JSON', "nullif(bq_json_part_at(d, p), 'null')"),
  ofDocument('bq_json_query_array', ', p', 'bq_json_parts_at(d::VARCHAR, p)::JSON[]', 'bq_json_parts_at(d, p)'),
  ofDocument('bq_json_value_array', ', p', 'bq_json_scalars_at(d::VARCHAR, p)', 'bq_json_scalars_at(d, p)'),
  macroSql('bq_json_member', [
    ['d, k', "bq_json_part_at(d::VARCHAR, '/' || replace(replace(k, '~', '~0'), '/', '~1'))::JSON"],
  ]),
  ofDocument('bq_json_type', '', 'bq_json_kind(d::VARCHAR)', failure("'JSON_TYPE takes JSON'", 'VARCHAR')),
  `CREATE OR REPLACE TEMP MACRO bq_string(d JSON) AS (bq_json_string_value(d::VARCHAR)),
    (d VARCHAR) AS (${failure("'STRING takes JSON, DATE, TIME, DATETIME or TIMESTAMP'", 'VARCHAR')}),
    (d DATE) AS (bq_safe_cast_string(d)), (d TIME) AS (bq_safe_cast_string(d)),
    (d TIMESTAMP) AS (bq_safe_cast_string(d)), (d TIMESTAMPTZ) AS (bq_safe_cast_string(d));`,
  ofDocument(
    'bq_json_int64',
    '',
    "bq_json_number(d::VARCHAR, 'INT64')::BIGINT",
    failure("'INT64 takes JSON'", 'BIGINT'),
  ),
  ofDocument(
    'bq_json_float64',
    '',
    "bq_json_number(d::VARCHAR, 'FLOAT64')::DOUBLE",
    failure("'FLOAT64 takes JSON'", 'DOUBLE'),
  ),
  ofDocument('bq_json_bool', '', 'bq_json_bool_value(d::VARCHAR)::BOOLEAN', failure("'BOOL takes JSON'", 'BOOLEAN')),
];
