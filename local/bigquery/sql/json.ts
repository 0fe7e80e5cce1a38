/** A JSON text that BigQuery refuses; `message` says why and never more of the text than BigQuery does. */
export class JsonError extends Error {}

/** A parsed document. Numbers stay as written, so that nothing is lost before it is decided what may be. */
export type Json =
  | { kind: 'null' }
  | { kind: 'boolean'; value: boolean }
  | { kind: 'number'; raw: string }
  | { kind: 'string'; value: string }
  | { kind: 'array'; items: Json[] }
  | { kind: 'object'; members: Map<string, Json> };

/** BigQuery: "PARSE_JSON … nesting level" of at most 500. */
const DEEPEST = 500;

/** Parses a JSON text; of duplicate keys the first is kept. Throws JsonError. */
export function parseJson(text: string): Json {
  let at = 0;
  const fail = (what: string): JsonError => new JsonError(`syntax error while parsing JSON: ${what} at position ${at}`);
  const blanks = /[ \t\n\r]*/uy;
  const skip = () => {
    blanks.lastIndex = at;
    at += blanks.exec(text)?.[0].length ?? 0;
  };
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  };

  const value = (depth: number): Json => {
    skip();
    const character = text[at];
    const isNesting = character === '{' || character === '[';
    if (isNesting && depth > DEEPEST)
      throw new JsonError(`Max nesting of ${DEEPEST} has been exceeded while parsing JSON document`);
    if (character === '{') return object(depth);
    if (character === '[') return array(depth);
    if (character === '"') return { kind: 'string', value: string() };
    const word = take(/true|false|null/uy);
    if (word !== undefined) return word === 'null' ? { kind: 'null' } : { kind: 'boolean', value: word === 'true' };
    const raw = take(/-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/uy);
    if (raw === undefined) throw fail('unexpected token');
    return { kind: 'number', raw };
  };

  const string = (): string => {
    const raw = take(/"[^"\\]*(?:\\.[^"\\]*)*"/uy);
    if (raw === undefined) throw fail('invalid string');
    let result: string;
    try {
      // JavaScript's strings and escapes are JSON's.
      result = String(JSON.parse(raw));
    } catch {
      throw fail('invalid string');
    }
    if (!result.isWellFormed()) throw fail('surrogate without its pair');
    return result;
  };

  const array = (depth: number): Json => {
    const items: Json[] = [];
    at += 1;
    skip();
    if (text[at] === ']') at += 1;
    else {
      for (;;) {
        items.push(value(depth + 1));
        skip();
        if (separator(']')) break;
      }
    }
    return { kind: 'array', items };
  };

  const object = (depth: number): Json => {
    const members = new Map<string, Json>();
    at += 1;
    skip();
    if (text[at] === '}') at += 1;
    else {
      for (;;) {
        skip();
        const key = string();
        skip();
        if (text[at] !== ':') throw fail("expected ':'");
        at += 1;
        const member = value(depth + 1);
        if (!members.has(key)) members.set(key, member);
        skip();
        if (separator('}')) break;
      }
    }
    return { kind: 'object', members };
  };

  const separator = (closing: string): boolean => {
    if (text[at] !== ',' && text[at] !== closing) throw fail(`expected ',' or '${closing}'`);
    at += 1;
    return text[at - 1] === closing;
  };

  const result = value(1);
  skip();
  if (at < text.length) throw fail('unexpected end of the document');
  return result;
}

/** What a JSON column holds and TO_JSON_STRING gives: no blanks, keys sorted, numbers as int64, uint64 or the shortest float64. */
export function canonicalJson(text: string, wideNumbers: 'exact' | 'round'): string {
  return writeJson(parseJson(text), (raw) => jsonNumber(raw, wideNumbers));
}

/** The document without blanks; `number` writes a number from its text. */
export function writeJson(json: Json, number: (raw: string) => string = (raw) => raw): string {
  switch (json.kind) {
    case 'null':
      return 'null';
    case 'boolean':
      return String(json.value);
    case 'number':
      return number(json.raw);
    case 'string':
      return JSON.stringify(json.value);
    case 'array':
      return `[${json.items.map((item) => writeJson(item, number)).join(',')}]`;
    case 'object': {
      const members = [...json.members].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${writeJson(member, number)}`).join(',')}}`;
    }
  }
}

/** A number as the JSON type keeps it. Throws JsonError where int64, uint64 and float64 all lose digits and rounding was not asked for. */
function jsonNumber(raw: string, wideNumbers: 'exact' | 'round'): string {
  if (/^-?\d+$/u.test(raw)) {
    const whole = BigInt(raw);
    if (whole >= -(2n ** 63n) && whole < 2n ** 64n) return whole === 0n && raw.startsWith('-') ? '-0.0' : String(whole);
  }
  const value = Number(raw);
  if (!Number.isFinite(value)) throw new JsonError(`Input number: ${raw} is out of range for FLOAT64`);
  const written = floatJson(value);
  if (wideNumbers === 'exact' && decimalValue(written) !== decimalValue(raw)) {
    throw new JsonError(`Input number: ${raw} cannot round-trip through string representation`);
  }
  return written;
}

/** A decimal's value in one spelling: `-12.50e1` is `-125e0`. */
function decimalValue(raw: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/u.exec(raw) ?? [];
  const digits = `${whole}${fraction}`.replace(/^0+/u, '');
  const significant = digits.replace(/0+$/u, '');
  if (significant === '') return '0';
  return `${sign}${significant}e${BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - significant.length)}`;
}

/** The shortest decimal that reads back as this float64, always recognizable as one: 1 is `1.0`, 1e20 is `1e+20`. */
export function floatJson(value: number): string {
  const [mantissa = '', exponent = '0'] = Math.abs(value).toExponential().split('e');
  const digits = mantissa.replace('.', '');
  const point = Number(exponent) + 1;
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  if (digits.length <= point && point <= 15) return `${sign}${digits.padEnd(point, '0')}.0`;
  if (point > 0 && point <= 15) return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
  if (point > -4 && point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  const power = Math.abs(point - 1)
    .toString()
    .padStart(2, '0');
  const rest = digits.length > 1 ? `.${digits.slice(1)}` : '';
  return `${sign}${digits.slice(0, 1)}${rest}e${point - 1 < 0 ? '-' : '+'}${power}`;
}

/** What a JSON pointer leads to, undefined if nothing. */
export function atPointer(json: Json, pointer: string): Json | undefined {
  let found: Json | undefined = json;
  for (const step of pointer.split('/').slice(1)) {
    const key = step.replaceAll('~1', '/').replaceAll('~0', '~');
    if (found?.kind === 'object') found = found.members.get(key);
    else if (found?.kind === 'array' && /^\d+$/u.test(key)) found = found.items[Number(key)];
    else return undefined;
  }
  return found;
}

/** A scalar as JSON_VALUE gives it; null for JSON null, objects and arrays. */
export function scalarText(json: Json | undefined): string | null {
  if (json?.kind === 'string') return json.value;
  if (json?.kind === 'number') return json.raw;
  return json?.kind === 'boolean' ? String(json.value) : null;
}
