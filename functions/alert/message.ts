import { retryCommands } from '../mirror/retry.ts';
import type { Failure } from '../mirror/messages.ts';
import type { Plan } from '../mirror/plan.ts';

/** The words of an alert: what, where, how often, where the logs are, and the exact command that retries. */
export function slackMessage(
  failure: Failure,
  plan: Plan | undefined,
  logs: string,
  dataBucket: string,
): { title: string; sections: string[] } {
  const { step, runId, chunk, kind, what, attempts } = failure;
  const where = [step, chunk, runId && `of run ${runId}`].filter(Boolean).join(' ');
  const title =
    kind === 'blocked'
      ? `Commons Mirror: run ${runId ?? ''} is blocked`
      : `Commons Mirror: ${where} ${kind === 'information' ? 'says' : 'failed'}`;
  const facts = [
    `*Step* ${step}`,
    ...(runId ? [`*Run* ${runId}`] : []),
    ...(chunk ? [`*Chunk* ${chunk}`] : []),
    ...(kind === 'failed' ? [`*Attempts* ${attempts}`] : []),
    `*Logs* ${logs}`,
  ];
  const sections = [`*${title}*\n${escapeMrkdwn(what)}`, facts.join('\n')];
  if (!runId || kind === 'information' || step === 'alert') return { title, sections };
  const commands =
    kind === 'blocked'
      ? [`commons-mirror publish ${runId} --accept-coverage`]
      : retryCommands(step, runId, chunk, plan, dataBucket);
  const label =
    kind === 'blocked' ? 'To publish it all the same' : commands.length > 1 ? 'To retry, either of' : 'To start anew';
  return { title, sections: [...sections, `*${label}*\n\`\`\`${commands.join('\n')}\`\`\``] };
}

/** Slack: "Replace the ampersand, less-than sign and greater-than sign with HTML entities." */
function escapeMrkdwn(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
