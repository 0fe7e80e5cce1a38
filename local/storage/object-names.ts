/**
 * Orders names as the service lists them: by their UTF-8 bytes.
 * JavaScript compares UTF-16 units, which puts a surrogate pair (U+10000 and above) before U+E000 to U+FFFF; UTF-8 puts it after.
 */
export function compareNames(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let index = 0; index < shorter; index++) {
    const [unitA, unitB] = [a.charCodeAt(index), b.charCodeAt(index)];
    if (unitA === unitB) continue;
    const [pairA, pairB] = [isSurrogate(unitA), isSurrogate(unitB)];
    if (pairA === pairB) return unitA - unitB;
    return (pairA ? 0x10000 : unitA) - (pairB ? 0x10000 : unitB);
  }
  return a.length - b.length;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}

/** The index of the first of the ordered `names` for which `reached` holds; `reached` must hold for all that follow. */
export function firstIndex(names: string[], reached: (name: string) => boolean): number {
  let [low, high] = [0, names.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (reached(names[middle] ?? '')) high = middle;
    else low = middle + 1;
  }
  return low;
}

export function insertName(names: string[], name: string): void {
  const index = firstIndex(names, (other) => compareNames(other, name) >= 0);
  if (names[index] !== name) names.splice(index, 0, name);
}

export function removeName(names: string[], name: string): void {
  const index = firstIndex(names, (other) => compareNames(other, name) >= 0);
  if (names[index] === name) names.splice(index, 1);
}
