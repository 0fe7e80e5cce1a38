import fc from 'fast-check';

/** Types with values in PostgreSQL's own input text, near every limit that the two databases do not share. */
export type ArbitraryType = { sql: string; value: fc.Arbitrary<string> };

const MARKS = ['', ' ', '\t', '\n', '\r\n', '\r', '"', '""', ',', '\\', '\\N', '\\.', 'NULL', 'N', "'", '\ufeff', '\u0001', '\u007f', '😀', 'é', 'e\u0301', '{}', '=1', '%', '0', 'true', 'NaN', 'N0123456789abcdef!']; // prettier-ignore

/** Text without U+0000, which PostgreSQL cannot hold, and without what is no Unicode. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...MARKS),
  fc.array(fc.constantFrom(...MARKS, 'a', 'b'), { maxLength: 8 }).map((parts) => parts.join('')),
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => text.replaceAll('\0', '').toWellFormed()),
  fc.string({ maxLength: 40 }),
);

const digits = (most: number): fc.Arbitrary<string> =>
  fc
    .array(fc.constantFrom('0', '1', '2', '3', '4', '5', '6', '7', '8', '9'), { minLength: 1, maxLength: most })
    .map((each) => each.join('').replace(/^0+(?=.)/u, ''));
const anyDecimal = (integers: number, decimals: number): fc.Arbitrary<string> =>
  fc
    .tuple(fc.constantFrom('', '-'), digits(integers), fc.option(digits(decimals)))
    .map(([sign, whole, fraction]) => `${sign}${whole}${fraction === null ? '' : `.${fraction}`}`);
const among = (...texts: string[]): fc.Arbitrary<string> => fc.constantFrom(...texts);

const anyNumeric = fc.oneof(
  anyDecimal(10, 5),
  anyDecimal(42, 42),
  among(
    'NaN',
    'Infinity',
    '-Infinity',
    '0',
    '-0',
    '1e38',
    '1e-38',
    '1e-39',
    '5.78960446186580977117854925043439539266e38',
  ),
);
const anyFloat = fc.oneof(
  fc.double().map(String),
  among('NaN', 'Infinity', '-Infinity', '-0', '5e-324', '1e308', '0.1'),
);
const anyInteger = (least: bigint, most: bigint): fc.Arbitrary<string> =>
  fc.oneof(fc.bigInt({ min: least, max: most }), fc.constantFrom(least, most, 0n)).map(String);

const two = (n: number): string => String(n).padStart(2, '0');
const anyDay = fc.oneof(
  fc
    .tuple(fc.integer({ min: 1, max: 12_000 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 }))
    .map(([y, m, d]) => `${String(y).padStart(4, '0')}-${two(m)}-${two(d)}`),
  among('0001-01-01', '9999-12-31', '10000-01-01', '2000-02-29', '1970-01-01', '1582-10-15'),
);
const anyClock = fc.oneof(
  fc
    .tuple(fc.nat(23), fc.nat(59), fc.nat(59), fc.nat(999_999))
    .map(([h, m, s, u]) => `${two(h)}:${two(m)}:${two(s)}.${String(u).padStart(6, '0')}`),
  among('00:00:00', '23:59:59.999999', '24:00:00', '12:00:00.1'),
);
const orEndless = (texts: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof({ arbitrary: texts, weight: 5 }, { arbitrary: among('infinity', '-infinity', '0044-03-15 BC'), weight: 1 });
const anyMoment = fc.tuple(anyDay, anyClock).map(([day, clock]) => `${day} ${clock}`);
const anyOffset = among('', '+00', '+05:30', '-12', '+14', '-00:00:28');

/** JSON in any writing: blanks, keys twice, numbers of any length, escapes; `json` takes all, jsonb most. */
const anyJson: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => {
  const blank = among('', '', ' ', '\n', '\t\r\n');
  const string = fc.oneof(
    anyText.map((text) => JSON.stringify(text)),
    among('"\\u00e9"', '"\\ud83d\\ude00"', '"\\\\u0000"', '"\\/"', '"\\""', '"a"', '"b"', '"\\u0061"'),
  );
  const number = fc.oneof(
    anyDecimal(5, 3),
    anyDecimal(30, 20),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    among('1e2', '1E+2', '-0', '1.0', '18446744073709551615', '9223372036854775808', '1e400'),
  );
  const list = (open: string, close: string, items: fc.Arbitrary<string>): fc.Arbitrary<string> =>
    fc
      .tuple(blank, fc.array(items, { maxLength: 4 }), blank)
      .map(([before, each, after]) => `${open}${before}${each.join(`,${after}`)}${close}`);
  const member = fc.tuple(string, blank, tie('value')).map(([key, space, value]) => `${key}${space}:${space}${value}`);
  return {
    value: fc.oneof(
      { maxDepth: 4 },
      among('null', 'true', 'false', '{}', '[]'),
      string,
      number,
      list('[', ']', tie('value')),
      list('{', '}', member),
    ),
  };
}).value;

const anyBytes = fc.uint8Array({ maxLength: 40 }).map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`);

/** `typmod`s near the limits of NUMERIC and BIGNUMERIC. */
const numericTypes: fc.Arbitrary<ArbitraryType> = fc
  .tuple(fc.integer({ min: 1, max: 90 }), fc.integer({ min: -5, max: 45 }))
  .map(([precision, scale]) => {
    const integers = Math.max(1, Math.min(precision, precision - scale));
    const decimals = Math.max(1, Math.min(scale, precision));
    return {
      sql: `numeric(${precision},${scale})`,
      value: fc.oneof(
        { arbitrary: anyDecimal(integers, decimals), weight: 9 },
        { arbitrary: among('NaN', '0'), weight: 1 },
      ),
    };
  });

const SCALARS: ArbitraryType[] = [
  { sql: 'smallint', value: anyInteger(-(2n ** 15n), 2n ** 15n - 1n) },
  { sql: 'integer', value: anyInteger(-(2n ** 31n), 2n ** 31n - 1n) },
  { sql: 'bigint', value: anyInteger(-(2n ** 63n), 2n ** 63n - 1n) },
  { sql: 'oid', value: anyInteger(0n, 2n ** 32n - 1n) },
  { sql: 'numeric', value: anyNumeric },
  { sql: 'real', value: fc.oneof(fc.float().map(String), anyFloat) },
  { sql: 'double precision', value: anyFloat },
  { sql: 'money', value: anyDecimal(12, 2) },
  { sql: 'boolean', value: among('t', 'f') },
  { sql: 'text', value: anyText },
  { sql: 'varchar', value: anyText },
  { sql: 'char(12)', value: anyText.map((text) => text.slice(0, 12).toWellFormed()) },
  { sql: 'bytea', value: anyBytes },
  { sql: 'date', value: orEndless(anyDay) },
  { sql: 'time', value: anyClock },
  { sql: 'timetz', value: fc.tuple(anyClock, anyOffset).map(([clock, offset]) => `${clock}${offset}`) },
  { sql: 'timestamp', value: orEndless(anyMoment) },
  { sql: 'timestamptz', value: orEndless(fc.tuple(anyMoment, anyOffset).map(([at, offset]) => `${at}${offset}`)) },
  {
    sql: 'interval',
    value: fc.tuple(fc.integer({ min: -9999, max: 9999 }), anyClock).map(([days, clock]) => `${days} days ${clock}`),
  },
  { sql: 'uuid', value: fc.uuid() },
  { sql: 'json', value: anyJson },
  { sql: 'jsonb', value: anyJson },
  { sql: 'inet', value: fc.ipV4() },
  { sql: 'bit varying', value: fc.array(among('0', '1'), { maxLength: 9 }).map((bits) => bits.join('')) },
  { sql: 'int4range', value: among('empty', '[1,5)', '(,)', '[7,7]') },
  { sql: 'public.mood', value: among('happy', 'NULL', 'so, "so"', '') },
  { sql: 'public.short', value: anyText.map((text) => text.slice(0, 5).toWellFormed()) },
  { sql: 'public.hstore', value: fc.dictionary(anyText, fc.option(anyText), { maxKeys: 4 }).map(hstoreText) },
];

function hstoreText(pairs: Record<string, string | null>): string {
  const quoted = (text: string): string => `"${text.replaceAll(/["\\]/gu, '\\$&')}"`;
  return Object.entries(pairs)
    .map(([key, value]) => `${quoted(key)}=>${value === null ? 'NULL' : quoted(value)}`)
    .join(', ');
}

/** What the mirror refuses rather than guess, as its documentation says: text in a composite that looks like bounds. */
const looksLikeBounds = (text: string): boolean => /\[-?\d+:-?\d+\]/u.test(text);

/** `[0:1]={"a",NULL}`, of one or two dimensions. */
const arrayOf = ({ sql, value }: ArbitraryType): ArbitraryType => {
  const item = fc
    .option(value, { freq: 6 })
    .map((text) => (text === null ? 'NULL' : `"${text.replaceAll(/["\\]/gu, '\\$&')}"`));
  const flat = fc.array(item, { maxLength: 4 });
  const square = fc.tuple(item, item, item, item).map(([a, b, c, d]) => `{{${a},${b}},{${c},${d}}}`);
  const bounded = fc
    .tuple(fc.integer({ min: -3, max: 3 }), fc.array(item, { minLength: 1, maxLength: 3 }))
    .map(([from, items]) => `[${from}:${from + items.length - 1}]={${items.join(',')}}`);
  return {
    sql: `${sql}[]`,
    value: fc.oneof(
      { arbitrary: flat.map((items) => `{${items.join(',')}}`), weight: 4 },
      { arbitrary: square, weight: 1 },
      { arbitrary: bounded, weight: 1 },
    ),
  };
};

const field = (value: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.option(value, { freq: 5 }).map((text) => (text === null ? '' : `"${text.replaceAll(/["\\]/gu, '$&$&')}"`));
const composite: ArbitraryType = {
  sql: 'public.pair',
  value: fc
    .tuple(
      field(anyInteger(-9n, 9n)),
      field(anyText.filter((text) => !looksLikeBounds(text))),
      field(anyJson),
      field(among('{}', '{1,2}', '[0:1]={1,2}')),
    )
    .map((fields) => `(${fields.join(',')})`),
};

export const TYPES_SETUP = `
  CREATE EXTENSION hstore SCHEMA public;
  CREATE TYPE public.mood AS ENUM ('happy', 'NULL', 'so, "so"', '');
  CREATE DOMAIN public.short AS varchar(5);
  CREATE TYPE public.pair AS (a int, "b c" text, document json, numbers int[]);`;

export const anyType: fc.Arbitrary<ArbitraryType> = fc.oneof(
  { arbitrary: fc.constantFrom(...SCALARS), weight: 8 },
  { arbitrary: numericTypes, weight: 2 },
  { arbitrary: fc.constantFrom(...SCALARS, composite).map(arrayOf), weight: 2 },
  { arbitrary: fc.constant(composite), weight: 1 },
);
