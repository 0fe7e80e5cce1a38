import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';

/** BigQuery: the inline code of a JavaScript UDF may have at most 32 KB. */
export const MAX_INLINE_CODE_BYTES = 32768;

/**
 * The statement that defines `draft(raw STRING, formats ARRAY<STRING>) RETURNS ARRAY<STRING>` for the query that follows it: draft.ts as the
 * body of a JavaScript UDF, so that BigQuery runs the very code that the tests import.
 *
 * Throws where the source (draft.ts, unless given) is not fit for it: over MAX_INLINE_CODE_BYTES, a module with imports, or
 * text that cannot be carried unchanged.
 */
export function draftFunctionSql(source = readSource()): string {
  const body = dropComments(dropExports(stripTypeScriptTypes(source))) + '\nreturn convertDraftToAll(raw, formats);\n';
  checkRawString(body);
  const bytes = Buffer.byteLength(body);
  if (bytes > MAX_INLINE_CODE_BYTES) {
    throw new Error(
      `draft.ts is ${bytes} bytes without types and comments, BigQuery takes ${MAX_INLINE_CODE_BYTES} of inline code: shorten it`,
    );
  }
  return `CREATE TEMP FUNCTION draft(raw STRING, formats ARRAY<STRING>) RETURNS ARRAY<STRING> LANGUAGE js AS r"""\n${body}""";\n`;
}

function readSource(): string {
  return readFileSync(new URL('./draft.ts', import.meta.url), 'utf8');
}

/** A UDF's body is a function's, where `export` and `import` are errors. */
function dropExports(code: string): string {
  const dropped = code.replace(/^export (?=const |function )/gm, '');
  const left = /^(?:export|import)\b.*/m.exec(dropped);
  if (left !== null) {
    throw new Error(
      `draft.ts may only export consts and functions, and import nothing, for a UDF is no module: ${JSON.stringify(left[0])}`,
    );
  }
  return dropped;
}

/**
 * Drops whole-line comments, indentation and empty lines. That is safe because no string, template or regular expression can
 * reach over a line's end here: only a template or an escaped line end could, and both are refused.
 */
function dropComments(code: string): string {
  const kept: string[] = [];
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

function unfit(index: number, what: string, text: string): Error {
  return new Error(
    `draft.ts line ${index + 1}: ${what} is not allowed, for comments are dropped line by line: ${JSON.stringify(text)}`,
  );
}

/** GoogleSQL: a raw string keeps backslashes, may not hold its own quotes, nor end in a single backslash. ASCII cannot be garbled. */
function checkRawString(body: string): void {
  if (body.includes('"""'))
    throw new Error('draft.ts holds """, which would end the SQL string around it: write it otherwise');
  const foreign = /[^\n -~]/.exec(body);
  if (foreign !== null) {
    const codePoint = foreign[0].charCodeAt(0).toString(16).padStart(4, '0');
    throw new Error(`draft.ts holds the character U+${codePoint}; allowed is printable ASCII: write it as an escape`);
  }
}
