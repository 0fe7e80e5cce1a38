/** A reversed copy; Array#toReversed is too new. */
export function backwards<T>(items: T[]): T[] {
  const reversed = items.slice();
  let end = items.length;
  for (const item of items) reversed[--end] = item;
  return reversed;
}

export function normalizeLines(text: string): string {
  return text.replace(/\r\n?/g, '\n');
}

/** HTML and Markdown have no U+0000. */
export function withoutNul(text: string): string {
  return text.split('\u0000').join('\ufffd');
}

export function wellFormed(text: string): string {
  // With the u flag a pair is one character, so only unpaired surrogates match.
  return text.replace(/[\ud800-\udfff]/gu, '\ufffd');
}

export function leadingBlanks(text: string): number {
  let count = 0;
  while (count < text.length && /\s/.test(text.charAt(count))) count += 1;
  return count;
}

export function trailingBlanks(text: string): number {
  let count = 0;
  while (count < text.length && /\s/.test(text.charAt(text.length - 1 - count))) count += 1;
  return count;
}

/** A loop, since a regular expression that looks for blanks at the end takes quadratic time on many blanks in between. */
export function trimWhile(text: string, isTrimmed: (unit: number) => boolean): string {
  let begin = 0;
  let end = text.length;
  while (begin < end && isTrimmed(text.charCodeAt(begin))) begin += 1;
  while (begin < end && isTrimmed(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(begin, end);
}

export function countCodePoints(text: string): number {
  let count = text.length;
  for (let index = 0; index + 1 < text.length; index++) {
    if ((text.charCodeAt(index) & 0xfc00) === 0xd800 && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00) {
      count -= 1;
      index += 1;
    }
  }
  return count;
}
