import { failure, macroSql, type Overload } from './macros.ts';

/** Unicode white space, which TRIM takes off by default. */
const BLANKS =
  '\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000';

function trimming(name: string): string {
  return macroSql(`bq_${name}`, [
    ['x STRING', `${name}(x, '${BLANKS}')`],
    ['x STRING, characters STRING', `${name}(x, characters)`],
  ]);
}

/** The argument is of this type alone. */
function only(name: string, type: string, body: string): string {
  return macroSql(name, [[`x ${type}`, body]]);
}

const ofBytes = (name: string, body: string) => {
  const refused = ['STRING'].map((type): Overload => [
    `x ${type}`,
    failure(`'No matching signature for function ${name.toUpperCase()} for argument type ${type}'`, 'VARCHAR'),
  ]);
  return macroSql(`bq_${name}`, [['x BYTES', body], ...refused]);
};

const digest = (name: string) =>
  macroSql(`bq_${name}`, [
    ['x STRING', `unhex(${name}(x))`],
    ['x BYTES', `unhex(${name}(x))`],
  ]);

const padding = (name: string) => {
  const guarded = (pattern: string) =>
    `CASE WHEN n < 0 OR length(${pattern}) = 0 THEN ${failure(`'${name.toUpperCase()}: the length must not be negative, the pattern not empty'`, 'VARCHAR')}
      ELSE ${name}(x, n::INTEGER, ${pattern}) END`;
  return macroSql(`bq_${name}`, [
    ['x STRING, n INT64', guarded("' '")],
    ['x STRING, n INT64, pattern STRING', guarded('pattern')],
  ]);
};

// A position of 0 is 1, a negative one counts from the end and stops at the first character.
const START = 'CASE WHEN p = 0 THEN 1 WHEN p < 0 THEN greatest(length(x) + p + 1, 1) ELSE p END';

export const TEXT_MACROS = [
  macroSql('bq_error', [['message', failure('message', 'BIGINT')]]),
  macroSql('bq_substr', [
    ['x STRING, p INT64', `substring(x, ${START})`],
    [
      'x STRING, p INT64, n INT64',
      `CASE WHEN n < 0 THEN ${failure("'Third argument in SUBSTR() cannot be negative'", 'VARCHAR')} ELSE substring(x, ${START}, n) END`,
    ],
  ]),
  macroSql('bq_length', [
    ['x STRING', 'length(x)'],
    ['x BYTES', 'octet_length(x)'],
  ]),
  only('bq_char_length', 'STRING', 'length(x)'),
  macroSql('bq_byte_length', [
    ['x STRING', 'strlen(x)'],
    ['x BYTES', 'octet_length(x)'],
  ]),
  // DuckDB changes case letter by letter; where a letter becomes two, JavaScript knows.
  only('bq_upper', 'STRING', 'CASE WHEN strlen(x) = length(x) THEN upper(x) ELSE bq_unicode_upper(x) END'),
  only('bq_lower', 'STRING', 'CASE WHEN strlen(x) = length(x) THEN lower(x) ELSE bq_unicode_lower(x) END'),
  ...['trim', 'ltrim', 'rtrim'].map(trimming),
  macroSql('bq_replace', [['x STRING, f STRING, t STRING', 'replace(x, f, t)']]),
  macroSql('bq_split', [
    ['x STRING', "string_split(x, ',')"],
    ['x STRING, d STRING', "CASE WHEN d = '' THEN bq_characters(x) ELSE string_split(x, d) END"],
  ]),
  ...['lpad', 'rpad'].map(padding),
  macroSql('bq_repeat', [
    [
      'x STRING, n INT64',
      `CASE WHEN n < 0 THEN ${failure("'REPEAT: the count must not be negative'", 'VARCHAR')} ELSE repeat(x, n) END`,
    ],
  ]),
  macroSql('bq_regexp_replace', [
    ['x STRING, pattern STRING, replacement STRING', "regexp_replace(x, pattern, replacement, 'g')"],
  ]),
  ofBytes('to_hex', 'lower(hex(x))'),
  ofBytes('to_base64', 'base64(x)'),
  macroSql('bq_from_hex', [
    [
      'x STRING',
      `CASE WHEN regexp_full_match(x, '[0-9A-Fa-f]*') THEN unhex(CASE WHEN length(x) % 2 = 1 THEN '0' || x ELSE x END)
            WHEN x IS NOT NULL THEN ${failure("'Failed to decode invalid hexadecimal string'", 'BLOB')} END`,
    ],
  ]),
  macroSql('bq_from_base64', [
    [
      'x STRING',
      `CASE WHEN regexp_full_match(x, '(?:\\s*[A-Za-z0-9+/]){0}\\s*') THEN ''::BLOB
            WHEN regexp_full_match(regexp_replace(x, '\\s', '', 'g'), '(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?')
              THEN from_base64(rpad(rtrim(regexp_replace(x, '\\s', '', 'g'), '='), ((length(rtrim(regexp_replace(x, '\\s', '', 'g'), '=')) + 3) // 4 * 4)::INTEGER, '='))
            WHEN x IS NOT NULL THEN ${failure("'Failed to decode invalid base64 string'", 'BLOB')} END`,
    ],
  ]),
  ...['md5', 'sha1', 'sha256'].map(digest),
  macroSql('bq_farm_fingerprint', [
    ['x STRING', 'bq_fingerprint64(encode(x))'],
    ['x BYTES', 'bq_fingerprint64(x)'],
  ]),
  macroSql('bq_format_integer', [['f, x INT64', 'printf(f, x)']]),
  macroSql('bq_format_float', [
    ['f, x FLOAT64', 'printf(f, x)'],
    ['f, x INT64', failure("'FORMAT: %f takes a FLOAT64'", 'VARCHAR')],
    ['f, x NUMERIC', failure("'The local BigQuery does not implement FORMAT of NUMERIC with %f'", 'VARCHAR')],
  ]),
];
