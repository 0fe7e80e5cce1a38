import { decimal, readJsonText } from './json-text.ts';
import { jsonOf, type PostgresType } from './postgres-text.ts';

/**
 * Whether a BigQuery type holds a PostgreSQL value exactly, and how both write it: from BigQuery's documented ranges. Nothing
 * here comes from the mirror's own table of types.
 */
export type Verdict =
  | { holds: true; canonical: string }
  /** Which reasons would be right. `canonical` where BigQuery may take the value after all, since nothing says otherwise. */
  | { holds: false; reasons: string[]; canonical?: string };

export function judge(type: PostgresType, text: string, bigquery: string): Verdict {
  const name = type.form === 'scalar' ? type.name : type.form;
  switch (bigquery) {
    case 'STRING':
      return held(text);
    case 'INTEGER':
      return BigInt.asIntN(64, BigInt(text)) === BigInt(text) ? held(text) : refused('out-of-range');
    case 'FLOAT':
      return held(float(text));
    case 'BOOLEAN':
      return held(text === 't' ? 'true' : 'false');
    case 'BYTES':
      return held(Buffer.from(text.slice(2), 'hex').toString('base64'));
    case 'NUMERIC':
      return number(name, text, { integers: 29, decimals: 9, most: undefined });
    case 'BIGNUMERIC':
      return number(name, text, { integers: 39, decimals: 38, most: MOST_BIGNUMERIC });
    case 'DATE':
      return year(text) ?? held(text);
    case 'TIME':
      return text.startsWith('24:') ? refused('end-of-day') : held(text);
    case 'DATETIME':
    case 'TIMESTAMP':
      return year(text) ?? held(text.replace('+00', ''));
    case 'JSON':
      return json(type, text);
    default:
      throw new Error(`The comparison knows no BigQuery type ${bigquery}`);
  }
}

/** A cell as BigQuery's REST API gives it, TIMESTAMPs in microseconds, in the same writing. */
export function canonicalCell(bigquery: string, cell: string): string {
  switch (bigquery) {
    case 'FLOAT':
      return float(cell);
    case 'NUMERIC':
    case 'BIGNUMERIC':
      return decimal(cell);
    case 'TIME':
      return withoutZeros(cell);
    case 'DATETIME':
      return withoutZeros(cell.replace('T', ' '));
    case 'TIMESTAMP':
      return instant(BigInt(cell));
    case 'JSON':
      return readJsonText(cell).canonical;
    default:
      return cell;
  }
}

const held = (canonical: string): Verdict => ({ holds: true, canonical });
const refused = (...reasons: string[]): Verdict => ({ holds: false, reasons });

/** "-5.7896044618658097711785492504343953926634992332820282019728792003956564819968E+38" to "5.78…967E+38", scaled by 10^38. */
const MOST_BIGNUMERIC = 2n ** 255n - 1n;

function number(
  name: string,
  text: string,
  limits: { integers: number; decimals: number; most: bigint | undefined },
): Verdict {
  // money is written with a currency sign and commas.
  const written = name === 'money' ? text.replaceAll(/[^-0-9.]/gu, '') : text;
  if (written === 'NaN') return refused('not-a-number');
  if (written.endsWith('Infinity')) return refused('infinite');
  const exact = decimal(written);
  // Hundreds of digits, before or behind the point.
  const [, power] = exact.split('e');
  if (power !== undefined) return refused(power.startsWith('-') ? 'too-precise' : 'out-of-range');
  const [whole = '', fraction = ''] = exact.replace('-', '').split('.');
  const reasons: string[] = [];
  if (fraction.length > limits.decimals) reasons.push('too-precise');
  const scaled = BigInt(whole + fraction.slice(0, limits.decimals).padEnd(limits.decimals, '0'));
  const most = limits.most ?? 10n ** BigInt(limits.integers + limits.decimals) - 1n;
  const isLowest = exact.startsWith('-') && scaled === most + 1n && limits.most !== undefined;
  if (scaled > most && !isLowest) reasons.push('out-of-range');
  return reasons.length > 0 ? refused(...reasons) : held(exact);
}

/** "0001-01-01 to 9999-12-31" */
function year(text: string): Verdict | undefined {
  if (text.endsWith('infinity')) return refused('infinite');
  if (text.endsWith(' BC')) return refused('before-year-1');
  if (/^[0-9]{5,}-/u.test(text)) return refused('after-year-9999');
  return undefined;
}

function json(type: PostgresType, text: string): Verdict {
  const { json: document, hasBounds } = jsonOf(type, text);
  const facts = readJsonText(document);
  const reasons: string[] = [];
  if (hasBounds) reasons.push('array-bounds');
  if (facts.hasDuplicateKey) reasons.push('duplicate-key');
  if (facts.hasInexactNumber) reasons.push('number-not-exact');
  if (facts.depth > 500) reasons.push('too-deep');
  if (facts.hasLoneSurrogate) reasons.push('unparseable');
  if (reasons.length > 0) return refused(...reasons);
  // Whether BigQuery keeps U+0000 in JSON is not documented: stored, or refused, but not lost.
  if (facts.hasNul) return { holds: false, reasons: ['unparseable', 'duplicate-key'], canonical: facts.canonical };
  return held(facts.canonical);
}

function float(text: string): string {
  if (/^nan$/iu.test(text)) return 'NaN';
  const [, sign, infinite] = /^([+-]?)(inf|infinity)$/iu.exec(text) ?? [];
  if (infinite) return `${sign === '-' ? '-' : ''}Infinity`;
  const double = Number(text);
  return Object.is(double, -0) ? '-0' : String(double);
}

const withoutZeros = (text: string): string => (text.includes('.') ? text.replace(/\.?0+$/u, '') : text);

/** Microseconds since 1970 as PostgreSQL writes them in UTC. */
function instant(micros: bigint): string {
  const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const seconds = (micros - fraction) / 1_000_000n;
  const text = new Date(Number(seconds) * 1000).toISOString().slice(0, 19).replace('T', ' ');
  return withoutZeros(`${text}.${String(fraction).padStart(6, '0')}`);
}
