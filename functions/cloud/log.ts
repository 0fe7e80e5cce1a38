import { AsyncLocalStorage } from 'node:async_hooks';

/** Structured logs, one JSON object a line, as Cloud Logging reads them. Texts are ours; no row value ever. */

type Labels = { step?: string; runId?: string; chunk?: string | undefined; [key: string]: unknown };

const context = new AsyncLocalStorage<Labels>();

/** Every line that `work` writes carries `labels`. */
export function withLabels<T>(labels: Labels, work: () => T): T {
  return context.run({ ...context.getStore(), ...labels }, work);
}

export const log = {
  info: (message: string, fields: Labels = {}): void => write('INFO', message, fields),
  warning: (message: string, fields: Labels = {}): void => write('WARNING', message, fields),
  error: (message: string, fields: Labels = {}): void => write('ERROR', message, fields),
};

function write(severity: string, message: string, fields: Labels): void {
  const line = { severity, message, time: new Date().toISOString(), ...context.getStore(), ...fields };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
