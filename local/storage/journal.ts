import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';

export type Journal<Entry> = {
  /** How many entries the file holds. */
  length: () => number;
  append: (entry: Entry) => void;
  /** Replaces all that was written by `entries`, atomically. */
  rewrite: (entries: Entry[]) => void;
  close: () => void;
};

/**
 * Opens a file of one JSON entry a line and gives each entry to `replay`, oldest first.
 * An entry is in it whole or not at all, whenever the process is killed: what the kernel was given outlives the process
 * (a power cut is not covered: nothing is fsynced), and a line cut short is dropped.
 * Writing is synchronous, so that nothing runs between the check of a precondition and its effect.
 * Throws when a line other than the last cannot be parsed.
 */
export function openJournal<Entry>(
  path: string,
  parse: (value: unknown) => Entry,
  replay: (entry: Entry) => void,
): Journal<Entry> {
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const end = text.lastIndexOf('\n') + 1;
  const lines = end === 0 ? [] : text.slice(0, end - 1).split('\n');
  for (const [index, line] of lines.entries()) replay(parseLine(path, index + 1, line, parse));

  let file = openSync(path, 'a+');
  let size = Buffer.byteLength(text.slice(0, end));
  if (fstatSync(file).size > size) ftruncateSync(file, size);
  let length = lines.length;

  return {
    length: () => length,
    append: (entry) => {
      const line = Buffer.from(`${JSON.stringify(entry)}\n`);
      try {
        writeWhole(file, line);
      } catch (error) {
        // Half a line followed by others would make the journal unreadable.
        ftruncateSync(file, size);
        throw error;
      }
      size += line.length;
      length += 1;
    },
    rewrite: (entries) => {
      const lines = Buffer.from(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
      const temporary = `${path}.tmp`;
      const next = openSync(temporary, 'w');
      try {
        writeWhole(next, lines);
      } finally {
        closeSync(next);
      }
      renameSync(temporary, path);
      closeSync(file);
      file = openSync(path, 'a+');
      size = lines.length;
      length = entries.length;
    },
    close: () => closeSync(file),
  };
}

function parseLine<Entry>(path: string, number: number, line: string, parse: (value: unknown) => Entry): Entry {
  try {
    return parse(JSON.parse(line));
  } catch (cause) {
    throw new Error(
      `${path}, line ${number}: not an entry of this journal. Restore the file, or delete its directory to start empty.`,
      { cause },
    );
  }
}

function writeWhole(file: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length;) written += writeSync(file, bytes, written);
}
