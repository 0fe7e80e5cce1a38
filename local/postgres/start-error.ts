/** PostgreSQL could not be started. `fault` names the two causes that can pass by themselves. */
export class StartError extends Error {
  readonly fault: 'in use' | 'port taken' | 'other';

  constructor(fault: StartError['fault'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
    this.fault = fault;
  }
}

const LOG_LINES = 15;

/**
 * The error for a server that ended instead of starting: how it ended, the last lines of what it wrote, and what to do.
 * Reads PostgreSQL's own messages, which are English as the cluster's locale is C.
 */
export function whyNotStarted(seen: { data: string; log: string; text: string; ending: string }): StartError {
  const { fault, action } = diagnose(seen.text, seen.data);
  const lines = seen.text.trimEnd().split('\n').slice(-LOG_LINES);
  const quote = lines.map((line) => `  ${line}`).join('\n');
  return new StartError(
    fault,
    `PostgreSQL did not start in ${seen.data}: ${seen.ending}. The end of ${seen.log}:\n${quote}\n${action}`,
  );
}

function diagnose(text: string, data: string): { fault: StartError['fault']; action: string } {
  const holder = /Is another post(?:master|gres) \(PID (\d+)\)/.exec(text)?.[1];
  if (holder || /pre-existing shared memory block .* is still in use/.test(text)) {
    const process = holder ? `Process ${holder}` : 'Another process';
    return { fault: 'in use', action: `${process} uses this cluster: end it, or give another directory.` };
  }
  if (/could not create any TCP\/IP sockets/.test(text)) {
    return { fault: 'port taken', action: 'The port is taken: give another one, or 0 for any free one.' };
  }
  if (/unrecognized configuration parameter|invalid value for parameter/.test(text)) {
    return { fault: 'other', action: 'Correct that setting.' };
  }
  return {
    fault: 'other',
    action: `If the cluster holds nothing that you need, delete ${data.replace(/\/data$/, '')}: the next start makes a new one.`,
  };
}
