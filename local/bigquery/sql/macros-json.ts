import { failure, macroSql, type Overload } from './macros.ts';

/** JSON and STRING documents: DuckDB tells them apart where a macro has both. */
function ofDocument(name: string, parameters: string, json: string, string: string): string {
  return `CREATE MACRO ${name}(d JSON${parameters}) AS (${json}), (d VARCHAR${parameters}) AS (${string});`;
}

const quoted = (sql: string) => `'"' || ${sql} || '"'`;
const DECIMAL_TEXT = "rtrim(rtrim(x::DECIMAL(38,9)::VARCHAR, '0'), '.')";
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
    `CASE WHEN x = trunc(x) AND x BETWEEN -9007199254740992 AND 9007199254740992 THEN ${DECIMAL_TEXT} ELSE ${quoted(DECIMAL_TEXT)} END`,
  ],
  ['x BOOL', 'x::VARCHAR'],
];

export const JSON_MACROS = [
  // A typed macro takes JSON for the VARCHAR that it is to DuckDB: here they are told apart.
  ofDocument(
    'bq_assign_json',
    '',
    'd',
    failure("'Value has type STRING which cannot be inserted into a column of type JSON'", 'JSON'),
  ),
  `CREATE MACRO bq_alike(model, v, result) AS (
    CASE WHEN (typeof(model) = 'JSON') = (typeof(v) = 'JSON') OR typeof(v) = '"NULL"' THEN result
      WHEN bq_fail('Value has type ' || typeof(v) || ' which cannot be inserted into a column of type ' || typeof(model)) IS NULL THEN result END);`,
  macroSql('bq_parse_json', [['x STRING', "bq_json_canonical(x, 'exact')::JSON"]]),
  macroSql('bq_parse_json_round', [['x STRING', "bq_json_canonical(x, 'round')::JSON"]]),
  // Not TRY, which takes the rows of a failing vector one by one: a call into JavaScript for each.
  macroSql('bq_safe_parse_json', [['x STRING', "bq_safe_json_canonical(x, 'exact')::JSON"]]),
  macroSql('bq_safe_parse_json_round', [['x STRING', "bq_safe_json_canonical(x, 'round')::JSON"]]),
  macroSql('bq_to_json_string', [
    ...SCALAR_JSON.map(([parameters, body]): Overload => [parameters, `coalesce(${body}, 'null')`]),
    ['x STRING', 'bq_any_json(x)'],
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
  `CREATE MACRO bq_string(d JSON) AS (bq_json_string_value(d::VARCHAR)),
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
