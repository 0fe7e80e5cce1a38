import { readdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';

/** BigQuery: the inline code of a JavaScript UDF may have at most 32 KB. */
export const MAX_INLINE_CODE_BYTES = 32768;

/** The texts of draft/, by file name. `index.ts` has convertDraftToAll. */
export type Sources = Readonly<Record<string, string>>;

/**
 * The statement that defines `draft(raw STRING, formats ARRAY<STRING>) RETURNS ARRAY<STRING>` for the query that follows it: the files of
 * draft/ as the body of a JavaScript UDF, so that BigQuery runs the very code that the tests import.
 *
 * Throws where the sources (draft/, unless given) are not fit for it: over MAX_INLINE_CODE_BYTES, imports of anything else, two
 * things of one name, or text that cannot be carried unchanged.
 */
export function draftFunctionSql(sources = readSources()): string {
  const files = inOrder(sources);
  checkNames(files);
  const body = [...files.map(bodyOf), 'return convertDraftToAll(raw, formats);\n'].join('\n');
  checkRawString(body);
  const bytes = Buffer.byteLength(body);
  if (bytes > MAX_INLINE_CODE_BYTES) {
    throw new Error(
      `draft/ is ${bytes} bytes without types and comments, BigQuery takes ${MAX_INLINE_CODE_BYTES} of inline code: shorten it`,
    );
  }
  return `CREATE TEMP FUNCTION draft(raw STRING, formats ARRAY<STRING>) RETURNS ARRAY<STRING> LANGUAGE js AS r"""\n${body}""";\n`;
}

function readSources(): Sources {
  const folder = new URL('./draft/', import.meta.url);
  const names = readdirSync(folder).filter((name) => name.endsWith('.ts'));
  return Object.fromEntries(names.map((name) => [name, readFileSync(new URL(name, folder), 'utf8')]));
}

/** `code` is without types; its lines are the source's. */
type File = { name: string; code: string };

/** Without `as`, which would leave the other name behind. */
const IMPORT = /^import \{(?:(?! as )[^}])*\} from '\.\/([\w-]+\.ts)';$/gm;

/** Each file behind those that it imports, since a UDF's body is one text. */
function inOrder(sources: Sources): File[] {
  const ordered: File[] = [];
  const visit = (name: string, importers: readonly string[]): void => {
    if (ordered.some((file) => file.name === name)) return;
    const path = [...importers, name];
    if (importers.includes(name)) throw new Error(`draft/ has files that import each other: ${path.join(', ')}`);
    const source = sources[name];
    if (source === undefined) throw new Error(`draft/ has no file ${name}, which ${importers.at(-1)} imports`);
    const code = stripTypeScriptTypes(source);
    for (const [, imported = ''] of code.matchAll(IMPORT)) visit(imported, path);
    ordered.push({ name, code });
  };
  visit('index.ts', []);
  return ordered;
}

/** In one text, a function would silently take the place of another file's. */
function checkNames(files: readonly File[]): void {
  const owners = new Map<string, string>();
  for (const { name: file, code } of files) {
    for (const [, name = ''] of code.matchAll(/^(?:export )?(?:async )?(?:function|const|let|var|class) (\w+)/gm)) {
      const owner = owners.get(name);
      if (owner !== undefined) throw new Error(`draft/ has two things called ${name}, in ${owner} and ${file}`);
      owners.set(name, file);
    }
  }
}

const bodyOf = (file: File): string => dropComments({ ...file, code: dropModules(file) });

/** A UDF's body is a function's, where `export` and `import` are errors. */
function dropModules({ name, code }: File): string {
  // Every line stays, so that a fault below is told by the source's line.
  const dropped = code
    .replace(IMPORT, (text) => text.replace(/[^\n]/g, ''))
    .replace(/^export (?=const |function )/gm, '');
  const left = /^(?:export|import)\b.*/m.exec(dropped);
  if (left !== null) {
    throw new Error(
      `${name} may only export consts and functions, and import from its own folder, for a UDF is no module: ${JSON.stringify(left[0])}`,
    );
  }
  return dropped;
}

/**
 * Drops whole-line comments, indentation and empty lines. That is safe because no string, template or regular expression can
 * reach over a line's end here: only a template or an escaped line end could, and both are refused.
 */
function dropComments({ name, code }: File): string {
  const kept: string[] = [];
  const unfit = (index: number, what: string, text: string): Error =>
    new Error(
      `${name} line ${index + 1}: ${what} is not allowed, for comments are dropped line by line: ${JSON.stringify(text)}`,
    );
  let inComment = false;
  for (const [index, line] of code.split('\n').entries()) {
    const text = line.trim();
    if (!inComment && text.startsWith('/*')) inComment = true;
    if (inComment) {
      const end = text.indexOf('*/');
      if (end >= 0 && end !== text.length - 2) throw unfit(index, 'code behind a comment', text);
      inComment = end < 0;
    } else if (text !== '' && !text.startsWith('//')) {
      if (text.includes('`')) throw unfit(index, 'a backtick (write \\x60)', text);
      if (text.endsWith('\\')) throw unfit(index, 'an escaped line end', text);
      if (text.includes('/*')) throw unfit(index, 'a comment that does not begin its line', text);
      kept.push(text);
    }
  }
  return kept.join('\n');
}

/** GoogleSQL: a raw string keeps backslashes, may not hold its own quotes, nor end in a single backslash. ASCII cannot be garbled. */
function checkRawString(body: string): void {
  if (body.includes('"""')) {
    throw new Error('draft/ holds """, which would end the SQL string around it: write it otherwise');
  }
  const foreign = /[^\n -~]/.exec(body);
  if (foreign !== null) {
    const codePoint = foreign[0].charCodeAt(0).toString(16).padStart(4, '0');
    throw new Error(`draft/ holds the character U+${codePoint}; allowed is printable ASCII: write it as an escape`);
  }
}
