import { appendFileSync, existsSync, mkdirSync, readFileSync, truncateSync } from 'node:fs';
import path from 'node:path';

export type JsonLines = {
  /** Adds one line per value, with one synchronous write: what was answered survives `kill -9`. */
  append: (values: unknown[]) => void;
};

/**
 * Opens a file of JSON lines, made when first needed, and calls `each` with what every line holds. A last line that a killed
 * process left half-written is cut off; a damaged line before it is an error.
 */
export function openJsonLines(file: string, each: (value: unknown) => void): JsonLines {
  mkdirSync(path.dirname(file), { recursive: true });
  if (existsSync(file)) {
    const bytes = readFileSync(file);
    const end = bytes.lastIndexOf(0x0a) + 1;
    if (end < bytes.length) truncateSync(file, end);
    const lines = bytes.toString('utf8', 0, end).split('\n').slice(0, -1);
    for (const [index, line] of lines.entries()) {
      try {
        each(JSON.parse(line));
      } catch (error) {
        throw new Error(
          `${file}: line ${index + 1} is damaged; a JSON value per line is needed. Move the file away to begin empty.`,
          { cause: error },
        );
      }
    }
  }
  return {
    append(values) {
      appendFileSync(file, values.map((value) => `${JSON.stringify(value)}\n`).join(''));
    },
  };
}
