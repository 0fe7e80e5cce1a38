import type { Image, Link } from './entities.ts';
import { CODE, type Run, type Style } from './runs.ts';

/** Runs with properly nested beginnings and ends. */

export type Token =
  | { kind: 'text'; text: string }
  | { kind: 'code'; text: string }
  | { kind: 'image'; image: Image; text: string }
  | { kind: 'open'; element: Element }
  | { kind: 'close'; element: Element };

/** One opening with its end: compared by identity. */
export interface Element {
  wrap: Style | Link;
}

/** Links are outermost, so that a style that begins within one never splits it. With codeIsLeaf, code is a token, not an element. */
export function nestRuns(runs: Run[], codeIsLeaf: boolean): Token[] {
  const tokens: Token[] = [];
  const open: Element[] = [];
  let link: Link | null = null;
  const closeDownTo = (count: number): void => {
    while (open.length > count) {
      const element = open.pop();
      if (element !== undefined) tokens.push({ kind: 'close', element });
    }
  };
  const push = (wrap: Style | Link): void => {
    const element = { wrap };
    open.push(element);
    tokens.push({ kind: 'open', element });
  };

  for (const run of runs) {
    const wanted = run.target !== null && run.target.kind === 'link' ? run.target : null;
    if (wanted !== link) {
      closeDownTo(0);
      if (wanted !== null) push(wanted);
      link = wanted;
    }
    const styles = codeIsLeaf ? run.styles.filter((style) => style.bit !== CODE) : run.styles;
    const going = open.findIndex((element) => element.wrap.kind === 'style' && styles.indexOf(element.wrap) < 0);
    if (going >= 0) closeDownTo(going);
    for (const style of styles) if (!open.some((element) => element.wrap === style)) push(style);
    addLeaf(tokens, run, codeIsLeaf && (run.mask & CODE) !== 0 ? 'code' : 'text');
  }
  closeDownTo(0);
  return tokens;
}

function addLeaf(tokens: Token[], run: Run, kind: 'text' | 'code'): void {
  const target = run.target;
  const isBlank = run.text.trim() === '';
  if (target !== null && target.kind === 'image') {
    if (target.url !== '') tokens.push({ kind: 'image', image: target, text: target.alt || run.text.trim() });
    else addText(tokens, target.alt || run.text);
  } else if (kind === 'code' && !isBlank) {
    tokens.push({ kind, text: run.text });
  } else {
    addText(tokens, target !== null && target.kind === 'link' && target.showsUrl && isBlank ? target.url : run.text);
  }
}

export function addText(tokens: Token[], text: string): void {
  const last = tokens[tokens.length - 1];
  if (last !== undefined && last.kind === 'text') last.text += text;
  else if (text !== '') tokens.push({ kind: 'text', text });
}
