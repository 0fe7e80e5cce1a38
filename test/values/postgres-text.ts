/** PostgreSQL's own text of arrays, composites and hstore, read by the rules of its manual. */

/** A type as the catalogue describes it, domains resolved; named after its output function, which decides how text is read. */
export type PostgresType =
  | { form: 'scalar'; name: string }
  | { form: 'array'; delimiter: string; element: PostgresType }
  | { form: 'record'; attributes: { name: string; type: PostgresType }[] };

/** The JSON text of a value as `to_json` documents it, and whether an array in it has bounds of its own, which JSON has not. */
export function jsonOf(type: PostgresType, text: string): { json: string; hasBounds: boolean } {
  let hasBounds = false;
  const value = (of: PostgresType, written: string | null): string => {
    if (written === null) return 'null';
    if (of.form === 'scalar') return scalar(of.name, written);
    if (of.form === 'record') {
      const fields = recordFields(written, of.attributes.length);
      const members = of.attributes.map(({ name, type: each }, i) => {
        return `${JSON.stringify(name)}:${value(each, fields[i] ?? null)}`;
      });
      return `{${members.join(',')}}`;
    }
    const array = readArray(written, of.delimiter);
    if (array.lowerBounds.some((bound) => bound !== 1)) hasBounds = true;
    const nested = (items: ArrayItem[]): string =>
      `[${items.map((item) => (Array.isArray(item) ? nested(item) : value(of.element, item))).join(',')}]`;
    return nested(array.items);
  };
  const json = value(type, text);
  return { json, hasBounds };
}

const NUMBERS = ['int2', 'int4', 'int8', 'float4', 'float8', 'numeric'];

function scalar(name: string, text: string): string {
  if (NUMBERS.includes(name) && /^-?[0-9]/u.test(text)) return text;
  if (name === 'bool') return text === 't' ? 'true' : 'false';
  if (name === 'json' || name === 'jsonb') return text;
  if (name === 'hstore') return hstoreJson(text);
  if (name === 'int2vector' || name === 'oidvector') return vectorJson(name, text);
  if (name === 'timestamp') return JSON.stringify(text.replace(' ', 'T'));
  if (name === 'timestamptz') return JSON.stringify(text.replace(' ', 'T').replace('+00', '+00:00'));
  return JSON.stringify(text);
}

const vectorJson = (name: string, text: string): string =>
  `[${text
    .split(' ')
    .filter(Boolean)
    .map((each) => (name === 'int2vector' ? each : JSON.stringify(each)))
    .join(',')}]`;

type ArrayItem = string | null | ArrayItem[];

/** `[0:1]={1,"a b",NULL,{…}}` */
function readArray(text: string, delimiter: string): { items: ArrayItem[]; lowerBounds: number[] } {
  const [bounds = ''] = /^(?:\[-?[0-9]+:-?[0-9]+\])+=/u.exec(text) ?? [];
  const lowerBounds = [...bounds.matchAll(/\[(-?[0-9]+):/gu)].map(([, lower]) => Number(lower));
  let at = bounds.length;
  const list = (): ArrayItem[] => {
    if (text[at] !== '{') throw new SyntaxError('No array');
    at++;
    const items: ArrayItem[] = [];
    while (text[at] !== '}') {
      if (text[at] === '{') items.push(list());
      else if (text[at] === '"') items.push(quoted());
      else items.push(bare());
      if (text[at] === delimiter) at++;
    }
    at++;
    return items;
  };
  const quoted = (): string => {
    let value = '';
    for (at++; text[at] !== '"'; at++) {
      if (at >= text.length) throw new SyntaxError('An open quote');
      if (text[at] === '\\') at++;
      value += text[at] ?? '';
    }
    at++;
    return value;
  };
  const bare = (): string | null => {
    const start = at;
    while (at < text.length && text[at] !== delimiter && text[at] !== '}') at++;
    const value = text.slice(start, at);
    return value.toUpperCase() === 'NULL' ? null : value;
  };
  return { items: list(), lowerBounds };
}

/** `(a,"b ""c""",)`: nothing between commas is NULL. */
function recordFields(text: string, count: number): (string | null)[] {
  const fields: (string | null)[] = [];
  if (count === 0) return fields;
  let at = 1;
  for (;;) {
    let value = '';
    let isNull = true;
    for (let inQuotes = false; inQuotes || (text[at] !== ',' && text[at] !== ')'); at++) {
      if (at >= text.length) throw new SyntaxError('No record');
      isNull = false;
      if (text[at] === '"' && inQuotes && text[at + 1] === '"') value += text[++at] ?? '';
      else if (text[at] === '"') inQuotes = !inQuotes;
      else if (text[at] === '\\') value += text[++at] ?? '';
      else value += text[at] ?? '';
    }
    fields.push(isNull ? null : value);
    if (text[at++] === ')') break;
  }
  if (fields.length !== count) throw new SyntaxError(`A record of ${fields.length} fields, not ${count}`);
  return fields;
}

/** `"a"=>"b", "c"=>NULL` */
function hstoreJson(text: string): string {
  const pairs = [...text.matchAll(/"((?:[^"\\]|\\.)*)"=>(?:NULL|"((?:[^"\\]|\\.)*)")/gsu)];
  const plain = (escaped: string): string => JSON.stringify(escaped.replaceAll(/\\(.)/gsu, '$1'));
  return `{${pairs.map(([, key = '', value]) => `${plain(key)}:${value === undefined ? 'null' : plain(value)}`).join(',')}}`;
}
