/**
 * A JSON text, read strictly and without losing anything: numbers stay as written, all members of an object are seen. It
 * knows what BigQuery's JSON cannot hold, by BigQuery's documentation and not by the mirror's code.
 */
export type JsonFacts = {
  /** One text per value: members in the order of their keys, numbers as exact decimals. */
  canonical: string;
  /** Levels of arrays and objects; BigQuery takes 500. */
  depth: number;
  hasDuplicateKey: boolean;
  /** A number that neither int64, uint64 nor float64 holds: the shortest text of the nearest double is another number. */
  hasInexactNumber: boolean;
  /** Half of a surrogate pair: no Unicode text. */
  hasLoneSurrogate: boolean;
  hasNul: boolean;
};

export function readJsonText(text: string): JsonFacts {
  let at = 0;
  const facts = { depth: 0, hasDuplicateKey: false, hasInexactNumber: false, hasLoneSurrogate: false, hasNul: false };
  const token = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const [found] = pattern.exec(text) ?? [];
    if (found !== undefined) at += found.length;
    return found;
  };
  const blank = (): void => {
    token(/[ \t\r\n]*/uy);
  };
  const wanted = (pattern: RegExp): string => {
    const found = token(pattern);
    if (found === undefined) throw new SyntaxError(`No JSON at ${at}`);
    return found;
  };
  const string = (): string => {
    const value = String(JSON.parse(wanted(/"(?:[^"\\]|\\.)*"/suy)));
    if (!value.isWellFormed()) facts.hasLoneSurrogate = true;
    if (value.includes('\0')) facts.hasNul = true;
    return JSON.stringify(value);
  };
  const value = (level: number): string => {
    blank();
    const first = text[at];
    if (first === '"') return string();
    if (first === '[') return list(level);
    if (first === '{') return object(level);
    const word = token(/true|false|null/uy);
    if (word !== undefined) return word;
    const written = wanted(/-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/uy);
    if (!isHeld(written)) facts.hasInexactNumber = true;
    return decimal(written);
  };
  const list = (level: number): string => {
    facts.depth = Math.max(facts.depth, level);
    at++;
    blank();
    const items: string[] = [];
    if (token(/\]/uy)) return '[]';
    do items.push(value(level + 1));
    while ((blank(), token(/,/uy)));
    wanted(/\]/uy);
    return `[${items.join(',')}]`;
  };
  const object = (level: number): string => {
    facts.depth = Math.max(facts.depth, level);
    at++;
    const members = new Map<string, string>();
    blank();
    if (token(/\}/uy)) return '{}';
    do {
      blank();
      const key = string();
      blank();
      wanted(/:/uy);
      const member = value(level + 1);
      if (members.has(key)) facts.hasDuplicateKey = true;
      members.set(key, member);
    } while ((blank(), token(/,/uy)));
    wanted(/\}/uy);
    const sorted = [...members].sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${sorted.map(([key, member]) => `${key}:${member}`).join(',')}}`;
  };
  const canonical = value(1);
  blank();
  if (at < text.length) throw new SyntaxError(`More than JSON at ${at}`);
  return { canonical, ...facts };
}

/** int64, uint64, or a double that is written back as the same number. */
function isHeld(written: string): boolean {
  const exact = decimal(written);
  if (/^-?[0-9]+$/u.test(exact) && exact.length < 25) {
    const whole = BigInt(exact);
    if (whole >= -(2n ** 63n) && whole < 2n ** 64n) return true;
  }
  const double = Number(written);
  return Number.isFinite(double) && decimal(String(double)) === exact;
}

/**
 * The one text of a decimal number, in whatever way it is written: `-1.50e1` is `-15`. Beyond 400 zeros at an end it
 * keeps an exponent, as `1e-5000` would be a long text.
 */
export function decimal(written: string): string {
  const [, sign, whole = '', fraction = '', exponent = '0'] =
    /^([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?$/u.exec(written) ?? [];
  if (sign === undefined || whole + fraction === '') throw new SyntaxError('No decimal number');
  const digits = (whole + fraction).replace(/^0+/u, '');
  if (/^0*$/u.test(digits)) return '0';
  const significant = trimZeros(digits);
  // value = significant × 10^power
  const power = Number(exponent) - fraction.length + (digits.length - significant.length);
  const minus = sign === '-' ? '-' : '';
  if (Math.abs(power) > 400) return `${minus}${significant}e${power}`;
  if (power >= 0) return minus + significant + '0'.repeat(power);
  const padded = significant.padStart(1 - power, '0');
  return `${minus}${padded.slice(0, power)}.${padded.slice(power)}`;
}

function trimZeros(digits: string): string {
  let end = digits.length;
  while (digits[end - 1] === '0') end--;
  return digits.slice(0, end);
}
