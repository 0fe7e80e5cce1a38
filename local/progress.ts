import { createLogUpdate } from 'log-update';
import type { StepStatus } from '../functions/ledger/status.ts';
import { exportText, frameOf, type RunView } from './run-view.ts';

/** What a person sees of a run while it goes on: a picture on a terminal, a line for each thing that happened elsewhere. */
export type Progress = {
  /** A line that stays. */
  say: (text: string) => void;
  show: (view: RunView) => void;
  /** The run has ended, or was stopped: nothing moves any more. */
  end: () => void;
};

/** A terminal is drawn on, unless CI is set: many CI systems pretend to have one. */
export function openProgress(): Progress {
  const isDrawn = process.stdout.isTTY && !process.env['CI'] && process.env['TERM'] !== 'dumb';
  return isDrawn ? drawn(process.stdout) : plain((text) => console.log(text));
}

const FRAME_MS = 120;

function drawn(terminal: NodeJS.WriteStream): Progress {
  const draw = createLogUpdate(terminal);
  const begun = Date.now();
  let view: RunView | undefined;
  let timer: NodeJS.Timeout | undefined;
  const redraw = (): void => {
    const elapsed = Date.now() - begun;
    if (view) draw(frameOf(view, elapsed / 1000, Math.floor(elapsed / FRAME_MS)).join('\n'));
  };
  return {
    say: (text) => {
      draw.clear();
      console.log(text);
      redraw();
    },
    show: (next) => {
      view = next;
      timer ??= setInterval(redraw, FRAME_MS);
      redraw();
    },
    end: () => {
      clearInterval(timer);
      redraw();
      draw.done();
      view = undefined;
    },
  };
}

const PROGRESS_LINE_MS = 10_000;

/** Each step once, as it ends; the export's progress every ten seconds. */
export function plain(say: (text: string) => void, now: () => number = Date.now): Progress {
  const told = new Set<string>();
  let next = now() + PROGRESS_LINE_MS;
  const once = (text: string): void => {
    if (!told.has(text)) say(text);
    told.add(text);
  };
  return {
    say,
    show: ({ status, exporting }) => {
      if (status.restore !== undefined && status.steps.some(isWaitingExport)) once(withoutTime(status.restore));
      if (exporting && now() >= next && status.steps.some(isWaitingExport)) {
        next = now() + PROGRESS_LINE_MS;
        say(`export: ${exportText(exporting)}`);
      }
      for (const { step, chunk, state, seconds } of status.steps) {
        const name = [step, chunk].filter(Boolean).join(' ');
        if (state !== 'waiting') once(`${name}: ${state}${seconds === undefined ? '' : ` in ${seconds.toFixed(1)} s`}`);
      }
    },
    end: () => {},
  };
}

const isWaitingExport = ({ step, state }: StepStatus): boolean => step === 'export' && state === 'waiting';

/** "restoring, 4 min" is a line when it begins, not each second. */
const withoutTime = (restore: string): string => restore.replace(/, \d+ (?:s|min)$/u, '');
