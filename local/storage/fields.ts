import { ApiError } from '../http.ts';
import { isRecord } from './call.ts';

/** What of a response is wanted: a name's own mask, or `true` for all of it. `*` stands for every name. */
type Mask = Map<string, Mask | true>;

/** Cuts a response down to `fields`, in the partial response syntax `a,b/c,items(name,size)`. Throws 400 for what is not. */
export function selectFields(body: Record<string, unknown>, fields: string): Record<string, unknown> {
  return select(body, parse(fields));
}

function select(value: Record<string, unknown>, mask: Mask): Record<string, unknown> {
  const selected: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) {
    const wanted = mask.get(name) ?? mask.get('*');
    if (wanted === true) selected[name] = member;
    else if (wanted && Array.isArray(member)) {
      selected[name] = member.map((item: unknown) => (isRecord(item) ? select(item, wanted) : item));
    } else if (wanted && isRecord(member)) selected[name] = select(member, wanted);
  }
  return selected;
}

function parse(fields: string): Mask {
  const tokens = fields.match(/[^,/()\s]+|[,/()]/g) ?? [];
  let position = 0;

  function list(): Mask {
    const mask: Mask = new Map();
    do {
      const name = tokens[position++];
      if (name === undefined || /[,/()]/.test(name)) throw invalid(fields);
      mask.set(name, merge(mask.get(name), inside()));
    } while (tokens[position] === ',' && position++ >= 0);
    return mask;
  }

  function inside(): Mask | true {
    if (tokens[position] === '(') {
      position += 1;
      const mask = list();
      if (tokens[position++] !== ')') throw invalid(fields);
      return mask;
    }
    if (tokens[position] !== '/') return true;
    const name = tokens[++position];
    if (name === undefined || /[,/()]/.test(name)) throw invalid(fields);
    position += 1;
    return new Map([[name, inside()]]);
  }

  const mask = list();
  if (position < tokens.length) throw invalid(fields);
  return mask;
}

function merge(before: Mask | true | undefined, after: Mask | true): Mask | true {
  if (before === true || after === true) return true;
  if (!before) return after;
  const merged: Mask = new Map(before);
  for (const [name, mask] of after) merged.set(name, merge(merged.get(name), mask));
  return merged;
}

function invalid(fields: string): ApiError {
  return new ApiError(400, 'invalidParameter', `Invalid field selection ${fields}`);
}
