/** A decimal as its digits and where the point stands: value = digits / 10^scale. */
type Decimal = { digits: bigint; scale: number };

const PATTERN = /^\s*(?<sign>[+-]?)(?<whole>\d*)\.?(?<fraction>\d*)(?:[eE](?<exponent>[+-]?\d+))?\s*$/u;

/** Beyond this many places no type holds the value, or all of it is rounded away: no need to build the digits. */
const FAR = 1000;

function parseDecimal(text: string): Decimal | undefined {
  const found = PATTERN.exec(text)?.groups;
  const digits = `${found?.['whole'] ?? ''}${found?.['fraction'] ?? ''}`;
  const exponent = Number(found?.['exponent'] ?? '0');
  if (!found || digits === '') return undefined;
  const value = BigInt(digits) * (found['sign'] === '-' ? -1n : 1n);
  if (value === 0n) return { digits: 0n, scale: 0 };
  const scale = (found['fraction'] ?? '').length - exponent;
  if (scale < -FAR) return undefined;
  return scale <= 0 ? { digits: value * 10n ** BigInt(-scale), scale: 0 } : { digits: value, scale };
}

/** `numerator / denominator` to the nearest whole number, halves away from zero, as BigQuery rounds NUMERIC. */
function divideRounded(numerator: bigint, denominator: bigint): bigint {
  const negative = numerator < 0n !== denominator < 0n;
  const n = numerator < 0n ? -numerator : numerator;
  const d = denominator < 0n ? -denominator : denominator;
  const quotient = (n * 2n + d) / (d * 2n);
  return negative ? -quotient : quotient;
}

function unscaled({ digits, scale }: Decimal, to: number): bigint {
  if (scale - to > FAR * 10) return 0n;
  return scale <= to ? digits * 10n ** BigInt(to - scale) : divideRounded(digits, 10n ** BigInt(scale - to));
}

function plainText(value: bigint, scale: number): string {
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0');
  const point = digits.length - scale;
  return `${value < 0n ? '-' : ''}${digits.slice(0, point)}${scale > 0 ? `.${digits.slice(point)}` : ''}`;
}

/** A decimal in any spelling as plain digits with `scale` decimals, halves away from zero; null if it is no number. */
export function roundedText(text: string, scale: number): string | null {
  const value = parseDecimal(text);
  return value === undefined ? null : plainText(unscaled(value, scale), scale);
}

/** A float64's exact binary value as plain digits with `scale` decimals, halves away from zero; null for NaN and infinities. */
export function roundedFloat(value: number, scale: number): string | null {
  if (!Number.isFinite(value)) return null;
  let mantissa = value;
  let halvings = 0;
  while (!Number.isInteger(mantissa)) {
    mantissa *= 2;
    halvings += 1;
  }
  return plainText(divideRounded(BigInt(mantissa) * 10n ** BigInt(scale), 2n ** BigInt(halvings)), scale);
}

/** NUMERIC × NUMERIC, to 9 decimals. */
export function multiplyNumeric(a: string, b: string): string {
  const [x, y] = [unscaled(parseDecimal(a) ?? ZERO, 9), unscaled(parseDecimal(b) ?? ZERO, 9)];
  return plainText(divideRounded(x * y, 10n ** 9n), 9);
}

/** NUMERIC / NUMERIC, to 9 decimals; null for a division by zero. */
export function divideNumeric(a: string, b: string): string | null {
  const [x, y] = [unscaled(parseDecimal(a) ?? ZERO, 9), unscaled(parseDecimal(b) ?? ZERO, 9)];
  return y === 0n ? null : plainText(divideRounded(x * 10n ** 9n, y), 9);
}

const ZERO: Decimal = { digits: 0n, scale: 0 };
