import { toStored } from './sql/stored.ts';
import type { Field } from './sql/types.ts';

/**
 * How a load job reads the text of a CSV value, type by type, as DuckDB expressions: natively, for this is where the time of a
 * load goes. Each type has branches, tried in order, of a condition and the value where it holds; text that meets none is bad.
 * The first branch is the form that PostgreSQL and most others write; it is recognized by writing the value out again, which
 * costs a third of a regular expression.
 */
type Branch = { when: string; value: string };

export type TextRules = {
  /** Whether ASCII 0 may stand in a STRING. */
  preserveAsciiControlCharacters: boolean;
  /** Whether a value may hold line ends. */
  quotedNewlines: boolean;
};

/**
 * The value of `text`, a VARCHAR expression that is NULL for NULL; `otherwise` is evaluated for text that is no value of the type.
 * A NULL in a REQUIRED column is as bad as a wrong text.
 * @param first whether to know the first branch of the type alone, which takes DuckDB half of the time to plan
 */
export function valueOf(
  field: Field,
  text: string,
  rules: TextRules,
  otherwise: string,
  { first = false } = {},
): string {
  const whenNull = field.mode === 'REQUIRED' ? otherwise : 'NULL';
  // One call, for it is one of JavaScript: a branch would make two.
  if (field.type === 'GEOGRAPHY') {
    return `CASE WHEN ${text} IS NULL THEN ${whenNull} ELSE coalesce(bq_loaded_geography(${text}), ${otherwise}) END`;
  }
  const branches = branchesOf(field, text, rules).slice(0, first ? 1 : undefined);
  if (branches.length === 0)
    return field.mode === 'REQUIRED' ? `CASE WHEN ${text} IS NULL THEN ${otherwise} ELSE ${text} END` : text;
  const cases = branches.map(({ when, value }) => `WHEN ${when} THEN ${value}`).join(' ');
  return `CASE WHEN ${text} IS NULL THEN ${whenNull} ${cases} ELSE ${otherwise} END`;
}

function branchesOf(field: Field, text: string, rules: TextRules): Branch[] {
  switch (field.type) {
    case 'STRING':
      return string(text, rules);
    case 'INT64':
      return integer(text);
    case 'FLOAT64':
      return float(text);
    case 'BOOL':
      return boolean(text);
    case 'NUMERIC':
      return numeric(text, field);
    case 'BIGNUMERIC':
      return bignumeric(text, field);
    case 'BYTES':
      return bytes(text);
    case 'DATE':
      return date(text);
    case 'TIME':
      return time(text);
    case 'DATETIME':
      return datetime(text);
    case 'TIMESTAMP':
      return timestamp(text);
    case 'JSON':
      return json(text, rules);
    default:
      throw new TypeError(`A CSV file cannot hold values of type ${field.type}: column ${field.name}`);
  }
}

function string(text: string, rules: TextRules): Branch[] {
  // BigQuery: "Bad character (ASCII 0) encountered" unless preserveAsciiControlCharacters is set.
  const conditions = rules.preserveAsciiControlCharacters ? [] : [`NOT contains(${text}, chr(0))`];
  if (!rules.quotedNewlines) conditions.push(noLineEnds(text));
  return conditions.length === 0 ? [] : [{ when: conditions.join(' AND '), value: text }];
}

function noLineEnds(text: string): string {
  return `NOT contains(${text}, chr(10)) AND NOT contains(${text}, chr(13))`;
}

const decimalText = '[+-]?(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+)(?:[eE][+-]?[0-9]+)?';

function integer(text: string): Branch[] {
  const value = `TRY_CAST(${text} AS BIGINT)`;
  return [
    { when: `${value}::VARCHAR = ${text}`, value },
    // DuckDB's cast takes 1.5, 1e2, 0x10, 1_000 and blanks, too.
    { when: `regexp_full_match(${text}, '[+-]?[0-9]+') AND ${value} IS NOT NULL`, value },
  ];
}

/** Google does not say how a CSV load spells what is not a number; these are the words of its CAST. */
const notNumbers = '(?i)nan|[+-]?inf(?:inity)?';

function float(text: string): Branch[] {
  const value = `TRY_CAST(${text} AS DOUBLE)`;
  return [
    // A number beyond FLOAT64 is an error there, an infinity here.
    { when: `regexp_full_match(${text}, '${decimalText}') AND isfinite(${value})`, value },
    { when: `regexp_full_match(${text}, '${notNumbers}')`, value },
  ];
}

/** BigQuery's CSV loads take these words in any case; CAST takes only true and false. */
function boolean(text: string): Branch[] {
  // Not IN: DuckDB makes a join of each, and plans hundreds of them for minutes.
  const isOneOf = (value: string, words: string[]): string => words.map((word) => `${value} = '${word}'`).join(' OR ');
  return [
    { when: isOneOf(text, ['t', 'true']), value: 'TRUE' },
    { when: isOneOf(text, ['f', 'false']), value: 'FALSE' },
    { when: isOneOf(`lower(${text})`, ['t', 'true', '1', 'yes', 'y']), value: 'TRUE' },
    { when: isOneOf(`lower(${text})`, ['f', 'false', '0', 'no', 'n']), value: 'FALSE' },
  ];
}

/** More decimals than the type has are rounded half away from zero, without a word: so does BigQuery's load, and so does DuckDB. */
function numeric(text: string, field: Field): Branch[] {
  const type = field.precision === undefined ? 'DECIMAL(38,9)' : `DECIMAL(${field.precision},${field.scale ?? 0})`;
  const value = `TRY_CAST(${text} AS ${type})`;
  const short = `TRY_CAST(${text} AS DECIMAL(18,9))`;
  const general = { when: `regexp_full_match(${text}, '${decimalText}') AND ${value} IS NOT NULL`, value };
  if (field.precision !== undefined) return [general];
  // DuckDB reads a DECIMAL(38,9) a hundred times slower than one that fits 64 bits.
  return [{ when: `starts_with(${short}::VARCHAR, ${text})`, value: `${short}::DECIMAL(38,9)` }, general];
}

/** The text itself, if it is a decimal of at most 38 and 38 digits; a zero with a sign is left to the cast. */
const plainDecimal = '(?:0|-?[1-9][0-9]{0,37})(?:[.][0-9]{1,38})?';

/** The value in its stored form, which is canonical text. */
function bignumeric(text: string, field: Field): Branch[] {
  const value = `bq_safe_cast_bignumeric(${text})`;
  const short = `TRY_CAST(${text} AS DECIMAL(18,9))::VARCHAR`;
  const canonical = `CASE WHEN contains(${text}, '.') THEN rtrim(rtrim(${text}, '0'), '.') ELSE ${text} END`;
  return [
    { when: `starts_with(${short}, ${text})`, value: canonical },
    { when: `regexp_full_match(${text}, '${plainDecimal}')`, value: canonical },
    {
      when: `regexp_full_match(${text}, '${decimalText}') AND ${value} IS NOT NULL`,
      value: toStored(field, value),
    },
  ];
}

/** Base64 in the standard alphabet with its padding, without line breaks. */
function bytes(text: string): Branch[] {
  const value = `TRY(from_base64(${text}))`;
  return [{ when: `to_base64(${value}) = ${text}`, value }];
}

const day = '[0-9]{4}-[0-9]{2}-[0-9]{2}';
const clock = '[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.][0-9]{1,6})?';
const clockBefore24 = '(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{1,6})?';

function date(text: string): Branch[] {
  const value = `TRY_CAST(${text} AS DATE)`;
  return [{ when: `${value}::VARCHAR = ${text} AND ${value} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'`, value }];
}

function time(text: string): Branch[] {
  return [{ when: `regexp_full_match(${text}, '${clockBefore24}')`, value: `TRY_CAST(${text} AS TIME)` }];
}

const allTime = `BETWEEN TIMESTAMP '0001-01-01 00:00:00' AND TIMESTAMP '9999-12-31 23:59:59.999999'`;

function datetime(text: string): Branch[] {
  const value = `TRY_CAST(${text} AS TIMESTAMP)`;
  return [
    { when: `${value}::VARCHAR = ${text} AND ${value} ${allTime}`, value },
    // The clock is checked by its digits: DuckDB takes 24:00:00 for the next day's midnight.
    { when: `regexp_full_match(${text}, '${day}[ Tt]${clockBefore24}') AND ${value} ${allTime}`, value },
  ];
}

function timestamp(text: string): Branch[] {
  // Without a zone, TIMESTAMP is read fast; its microseconds since 1970 are UTC's.
  const instant = (naive: string): string => `make_timestamptz(epoch_us(${naive}))`;
  const utc = `TRY_CAST(${text} AS TIMESTAMP)`;
  const local = `TRY_CAST(left(${text}, strlen(regexp_extract(${text}, '^${day}[ Tt]${clock}'))) AS TIMESTAMP)`;
  const offset = (group: number): string =>
    `coalesce(TRY_CAST(regexp_extract(${text}, '^.{17}[^+-]*([+-])([0-9]{1,2})(?::?([0-9]{2}))?$', ${group}) AS BIGINT), 0)`;
  const west = `regexp_matches(${text}, '^.{17}[^+-]*-')`;
  const seconds = `(CASE WHEN ${west} THEN -1 ELSE 1 END * (${offset(2)} * 3600 + ${offset(3)} * 60))`;
  const shifted = `(${local} - to_seconds(${seconds}))`;
  return [
    {
      when: `${utc}::VARCHAR || '+00' = ${text} AND ${utc} ${allTime}`,
      value: instant(utc),
    },
    {
      when:
        `regexp_full_match(${text}, '${day}[ Tt]${clockBefore24}(?:[Zz]| ?UTC|[+-][0-9]{1,2}(?::?[0-9]{2})?)?') ` +
        `AND ${offset(2)} <= 14 AND ${offset(3)} <= 59 AND ${shifted} ${allTime}`,
      value: instant(shifted),
    },
  ];
}

/** What DuckDB's parser takes and BigQuery's may not: numbers that FLOAT64 does not hold, NaN and infinities, trailing commas. */
const suspiciousJson = '(?:^|[:\\[,\\s])-?(?:[0-9]{16}|[0-9.]{17}|[0-9.]+[eE]|[nN][aA]|[iI][nN])|,\\s*[\\]}]';

function json(text: string, rules: TextRules): Branch[] {
  const oneLine = rules.quotedNewlines ? '' : ` AND ${noLineEnds(text)}`;
  // 501 levels take 1002 characters; only such a document has to be counted.
  const shallow = `(strlen(${text}) < 1000 OR strlen(${text}) - strlen(replace(replace(${text}, '[', ''), '{', '')) <= 500)`;
  const exact = `TRY(bq_parse_json(${text}))`;
  return [
    {
      when: `json_valid(${text}) AND NOT regexp_matches(${text}, '${suspiciousJson}') AND ${shallow}${oneLine}`,
      value: `${text}::JSON`,
    },
    { when: `${exact} IS NOT NULL${oneLine}`, value: exact },
  ];
}
