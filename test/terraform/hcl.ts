import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Reads as much of Terraform's language as this project writes: blocks, and their arguments as text, so that tests can hold
 * the code to what is declared without Terraform at hand. A heredoc is kept as it is; a comment is kept with its block.
 */
export type Block = {
  /** `resource`, `google_pubsub_topic`, `mirror`. */
  labels: string[];
  comment: string;
  /** Name → expression, as written, its line breaks and blanks folded to one blank. */
  values: Map<string, string>;
  blocks: Block[];
};

const folder = new URL('../../terraform/', import.meta.url);

export function readTerraform(): Block[] {
  const files = globSync('*.tf', { cwd: fileURLToPath(folder) }).toSorted();
  return files.flatMap((file) => parseHcl(readFileSync(new URL(file, folder), 'utf8')));
}

export function parseHcl(text: string): Block[] {
  const lines = text.split('\n');
  let at = 0;
  const body = (): Pick<Block, 'values' | 'blocks'> => {
    const values = new Map<string, string>();
    const blocks: Block[] = [];
    let comment = '';
    for (; at < lines.length; at++) {
      const line = (lines[at] ?? '').trim();
      if (line === '}') return { values, blocks };
      const head = /^([a-z_]+)((?: "[^"]+")*) \{(\})?$/u.exec(line);
      const argument = /^([A-Za-z_]+)\s*= (.*)$/u.exec(line);
      if (line.startsWith('#')) comment += `${line.replace(/^#\s?/u, '')}\n`;
      else if (head) {
        const labels = [head[1] ?? '', ...[...(head[2] ?? '').matchAll(/"([^"]+)"/gu)].map(([, label = '']) => label)];
        at++;
        const inner = head[3] ? { values: new Map<string, string>(), blocks: [] } : body();
        if (head[3]) at--;
        blocks.push({ labels, comment, ...inner });
        comment = '';
      } else if (argument) {
        values.set(argument[1] ?? '', expression(argument[2] ?? ''));
        comment = '';
      } else if (line === '') comment = '';
      else throw new Error(`line ${at + 1} is neither a block nor an argument: ${line}`);
    }
    return { values, blocks };
  };
  /** An expression goes on until its brackets are closed, or to its heredoc's end. */
  const expression = (first: string): string => {
    const heredoc = /^<<-?([A-Z]+)$/u.exec(first);
    const parts = [first];
    while (heredoc ? (lines[at + 1] ?? '').trim() !== heredoc[1] : depth(parts.join(' ')) > 0) {
      at++;
      if (at >= lines.length) throw new Error(`the expression is not closed: ${first}`);
      parts.push((lines[at] ?? '').replace(/(?:^|\s)#\s.*$/u, '').trim());
    }
    if (heredoc) at++;
    return parts.join(' ').trim();
  };
  const { values, blocks } = body();
  if (values.size > 0) throw new Error(`arguments outside of any block: ${[...values.keys()].join(', ')}`);
  return blocks;
}

/** Brackets that are still open; those within strings do not count. */
function depth(text: string): number {
  const plain = text.replace(/"(?:[^"\\]|\\.)*"/gu, '');
  return (plain.match(/[([{]/gu)?.length ?? 0) - (plain.match(/[)\]}]/gu)?.length ?? 0);
}

/** The one resource of this type and name. Throws where there is none. */
export function resource(blocks: readonly Block[], type: string, name: string): Block {
  const found = blocks.find(({ labels }) => labels[0] === 'resource' && labels[1] === type && labels[2] === name);
  if (!found) throw new Error(`Terraform declares no ${type} of the name ${name}`);
  return found;
}

/** A local value's expression. Throws where there is none. */
export function local(blocks: readonly Block[], name: string): string {
  const found = blocks.filter(({ labels }) => labels[0] === 'locals').find(({ values }) => values.has(name));
  const value = found?.values.get(name);
  if (value === undefined) throw new Error(`Terraform declares no local value ${name}`);
  return value;
}

/** A nested block. Throws where there is none. */
export function nested(block: Block, ...path: string[]): Block {
  let at = block;
  for (const name of path) {
    const found = at.blocks.find(({ labels }) => labels.at(-1) === name);
    if (!found) throw new Error(`${block.labels.join('.')} has no ${path.join('.')}`);
    at = found;
  }
  return at;
}

/** A string, number or boolean as written. Throws where it is an expression. */
export function literal(block: Block, name: string): string | number | boolean {
  const text = block.values.get(name);
  if (text === undefined) throw new Error(`${block.labels.join('.')} has no ${name}`);
  return JSON.parse(text) as string | number | boolean;
}

/** The names of a map's own level, each with its expression: `{ a = 1, b = { … } }`. */
export function entries(text: string): Map<string, string> {
  const found = new Map<string, string>();
  let inner = text.replace(/^\{\s*/u, '').replace(/\s*\}$/u, '');
  while (inner !== '') {
    const [whole, name = ''] = /^([A-Za-z_]+)\s*= /u.exec(inner) ?? [];
    if (whole === undefined) throw new Error(`no map's entry: ${inner}`);
    inner = inner.slice(whole.length);
    const end = endOfValue(inner);
    found.set(name, inner.slice(0, end).trim());
    inner = inner.slice(end).replace(/^\s*,?\s*/u, '');
  }
  return found;
}

/** Up to the comma at this level, or to the next `name =`, since a line break between entries has been folded. */
function endOfValue(text: string): number {
  for (let i = 1; i <= text.length; i++) {
    if (depth(text.slice(0, i)) > 0 || (text.slice(0, i).match(/(?<!\\)"/gu)?.length ?? 0) % 2 === 1) continue;
    if (text[i] === ',' || /^\s+[A-Za-z_]+\s*= /u.test(text.slice(i))) return i;
  }
  return text.length;
}
