import { open } from 'node:fs/promises';

const pieceBytes = 1024 * 1024;

/**
 * Whether the file's quotes come in pairs. DuckDB's reader drops a last row whose quote is never closed, without an error: the
 * rest of a file that was cut off. Where quotes stand in pairs, none is open at the end.
 *
 * @param quote one ASCII character, or '' for a file that has none
 */
export async function quotesArePaired(path: string, quote: string): Promise<boolean> {
  if (quote === '') return true;
  const file = await open(path);
  try {
    const piece = Buffer.alloc(pieceBytes);
    const words = new Int32Array(piece.buffer, piece.byteOffset, pieceBytes / 4);
    const pattern = quote.charCodeAt(0) * 0x01010101;
    let parity = 0;
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, pieceBytes);
      if (bytesRead === 0) return isEven(parity);
      // The last word may be a part of one; zeros are no quotes.
      piece.fill(0, bytesRead, Math.min(bytesRead + 4, pieceBytes));
      parity ^= parityOf(words, Math.ceil(bytesRead / 4), pattern);
    }
  } finally {
    await file.close();
  }
}

/** Four bytes at a time: a byte that equals the quote leaves its highest bit, and an exclusive or counts bits modulo 2. */
function parityOf(words: Int32Array, count: number, pattern: number): number {
  let parity = 0;
  for (let index = 0; index < count; index++) {
    const difference = (words[index] ?? 0) ^ pattern;
    parity ^= ~(((difference & 0x7f7f7f7f) + 0x7f7f7f7f) | difference | 0x7f7f7f7f);
  }
  return parity;
}

function isEven(bits: number): boolean {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++;
  return count % 2 === 0;
}
