import { isAlias, isMap, isNode, isScalar, LineCounter, parseDocument, visit, type Document } from 'yaml';
import { z } from 'zod';
import { ConfigurationError } from './errors.ts';

/** What is wrong in mirror.yaml, told so that a person finds the line and knows what to write there. */

/** A place in mirror.yaml and what is wrong there. */
export type Fault = { path: readonly PropertyKey[]; message: string };

type File = { file: string; source: string };

/** The file's content. Throws one ConfigurationError that names every fault of its YAML. */
export function readYaml({ file, source }: File): unknown {
  const { document, lineOf } = open(source);
  const faults = document.errors.map(({ code, message, pos }) => {
    const text = code === 'MULTIPLE_DOCS' ? 'a second document begins; wanted: one' : message;
    return `  line ${lineOf(pos[0])}: ${text}`;
  });
  visit(document, {
    Alias: (_, alias) => {
      if (!alias.resolve(document)) {
        faults.push(`  line ${lineOf(alias.range?.[0] ?? 0)}: *${alias.source} stands for nothing above it`);
      }
    },
  });
  if (faults.length > 0) throw new ConfigurationError(`${file} is not valid YAML:\n${faults.join('\n')}`);
  return document.toJS();
}

/** One error that names all of `faults`, each with its line, in the file's order. */
export function configFaults({ file, source }: File, faults: readonly Fault[]): ConfigurationError {
  const opened = open(source);
  const told = faults
    .map(({ path, message }) => {
      const place = path.length > 0 ? `${placeText(path)}: ` : '';
      return { line: lineAt(opened, path), text: `${place}${message}` };
    })
    .sort((a, b) => a.line - b.line)
    .map(({ line, text }) => `  line ${line}: ${text}`);
  const count = told.length === 1 ? 'a fault' : `${told.length} faults`;
  return new ConfigurationError(`${file} has ${count}:\n${told.join('\n')}`);
}

type Opened = { document: Document.Parsed; lineOf: (offset: number) => number };

function open(source: string): Opened {
  const lineCounter = new LineCounter();
  const document = parseDocument(source, { lineCounter, prettyErrors: false });
  return { document, lineOf: (offset) => lineCounter.linePos(offset).line };
}

/** The line of a key, or of a list's entry; of what surrounds it where it is missing. */
function lineAt({ document, lineOf }: Opened, path: readonly PropertyKey[]): number {
  for (let depth = path.length; depth > 0; depth--) {
    const parent: unknown = document.getIn(path.slice(0, depth - 1), true);
    const last = path[depth - 1];
    const map = isAlias(parent) ? parent.resolve(document) : parent;
    const pair = isMap(map) ? map.items.find(({ key }) => String(isScalar(key) ? key.value : key) === last) : undefined;
    const node = pair ? pair.key : document.getIn(path.slice(0, depth), true);
    if (isNode(node) && node.range) return lineOf(node.range[0]);
  }
  return document.contents ? lineOf(document.contents.range[0]) : 1;
}

/** `chunks[0].tables[2]`, `columns."public.members".only[0]`. */
function placeText(path: readonly PropertyKey[]): string {
  return path
    .map((key, i) => {
      if (typeof key === 'number') return `[${key}]`;
      const text = /^\w+$/u.test(String(key)) ? String(key) : JSON.stringify(String(key));
      return i === 0 ? text : `.${text}`;
    })
    .join('');
}

/** `value` as `schema` parses it, or every fault that it has. */
export function check<T>(schema: z.ZodType<T>, value: unknown): { value: T } | { faults: Fault[] } {
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return { value: parsed.data };
  const root = z.toJSONSchema(schema, { io: 'input' });
  return { faults: parsed.error.issues.flatMap((issue) => faultsOf(issue, root, [])) };
}

type Issue = z.core.$ZodIssue;
type JsonSchema = z.core.JSONSchema.BaseSchema;

function faultsOf(issue: Issue, root: JsonSchema, above: readonly PropertyKey[]): Fault[] {
  const path = [...above, ...issue.path];
  const wanted = (text: string): Fault[] => [{ path, message: `wanted: ${text}${foundText(issue.input)}` }];
  switch (issue.code) {
    case 'unrecognized_keys': {
      const allowed = keysAt(root, path, issue.input).join(', ');
      return issue.keys.map((key) => ({ path: [...path, key], message: `unknown key; allowed: ${allowed}` }));
    }
    case 'invalid_type': {
      const type = TYPES[issue.expected] ?? issue.expected;
      if (issue.input === undefined) return [{ path, message: `missing; wanted: ${type}` }];
      if (issue.input === null) return [{ path, message: `empty; wanted: ${type}` }];
      return wanted(type);
    }
    case 'invalid_value':
      return wanted(issue.values.map(String).join(', '));
    case 'too_small': {
      if (issue.origin === 'array')
        return wanted(`at least ${issue.minimum} ${issue.minimum === 1 ? 'entry' : 'entries'}`);
      return wanted(`${issue.minimum} or more`);
    }
    case 'too_big':
      return wanted(`${issue.maximum} or less`);
    case 'invalid_union':
      return unionFaults(issue, root, path, wanted);
    // The key itself, which the path ends with; the value is not at fault.
    case 'invalid_key':
      return issue.issues.map(({ message }) => ({ path, message: `wanted: ${message}` }));
    default:
      return wanted(issue.message);
  }
}

/** Of a union's forms, the faults of the one that is meant, where its distinguishing key tells which. */
function unionFaults(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  root: JsonSchema,
  path: readonly PropertyKey[],
  wanted: (text: string) => Fault[],
): Fault[] {
  if (issue.errors.length === 0) return discriminatorFaults(issue, root, path);
  const isMissing = ({ code, input }: Issue): boolean => code === 'invalid_type' && input === undefined;
  const isForeign = ({ code }: Issue): boolean => code === 'unrecognized_keys';
  const meant = issue.errors.find((issues) => !issues.some((each) => isMissing(each) || isForeign(each)));
  if (meant) return meant.flatMap((each) => faultsOf(each, root, path));
  return wanted(`one of ${keysAt(root, path).join(', ')}`);
}

/** The key that tells the forms apart holds no form's value. */
function discriminatorFaults({ input }: Issue, root: JsonSchema, path: readonly PropertyKey[]): Fault[] {
  const key = String(path.at(-1));
  const found: unknown = typeof input === 'object' && input !== null ? Reflect.get(input, key) : undefined;
  const allowed = nodesAt(root, path).map((node) => String(node.const));
  const message = `wanted: ${allowed.join(', ')}${foundText(found)}`;
  return [{ path, message: found === undefined ? `missing; ${message}` : message }];
}

const TYPES: Record<string, string> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  array: 'a list',
  object: 'keys and values',
  record: 'keys and values',
};

function foundText(input: unknown): string {
  if (input === undefined) return '';
  if (Array.isArray(input)) return input.length === 0 ? '; found an empty list' : '; found a list';
  if (typeof input === 'object' && input !== null) return '; found keys and values';
  return `; found ${JSON.stringify(input)}`;
}

/** The keys that the schema allows at a place: of several forms, those of the one that `input` says it is. */
function keysAt(root: JsonSchema, path: readonly PropertyKey[], input?: unknown): string[] {
  const nodes = nodesAt(root, path).filter((node) => isForm(node, input));
  return [...new Set(nodes.flatMap(({ properties }) => Object.keys(properties ?? {})))];
}

function isForm({ properties = {} }: JsonSchema, input: unknown): boolean {
  if (typeof input !== 'object' || input === null) return true;
  return Object.entries(properties).every(
    ([key, schema]) => !isSchema(schema) || schema.const === undefined || Reflect.get(input, key) === schema.const,
  );
}

/** The schema's nodes at a place, one per form. */
function nodesAt(root: JsonSchema, path: readonly PropertyKey[]): JsonSchema[] {
  let nodes = formsOf(root);
  for (const key of path) {
    nodes = nodes
      .flatMap(({ items, properties, additionalProperties }) =>
        typeof key === 'number' ? items : (properties?.[String(key)] ?? additionalProperties),
      )
      .filter(isSchema)
      .flatMap(formsOf);
  }
  return nodes;
}

const isSchema = (node: unknown): node is JsonSchema =>
  typeof node === 'object' && node !== null && !Array.isArray(node);

const formsOf = (node: JsonSchema): JsonSchema[] => node.anyOf ?? node.oneOf ?? [node];
