import type { RunStatus, StepStatus } from '../ledger/status.ts';
import type { Plan } from '../mirror/plan.ts';
import { retryCommands } from '../mirror/retry.ts';

type Run = { status: RunStatus; plan: Plan | undefined };

/** The status page: plain HTML, no script. */
export function page(runs: readonly Run[], dataBucket: string): string {
  const shown = runs.map((run) => section(run, dataBucket)).join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Commons Mirror</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Commons Mirror</h1>
${shown || '<p>No run yet. Start one: <code>gcloud run jobs execute mirror-export</code></p>'}
</body>
</html>
`;
}

const STYLE = `
  :root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
  body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 0; }
  section { border: 1px solid #8884; border-radius: 8px; padding: 1rem; margin: 1rem 0; }
  header { display: flex; gap: .8rem; align-items: baseline; flex-wrap: wrap; }
  .state { padding: 0 .6rem; border-radius: 1rem; color: #fff; background: #666; }
  .published, .done { background: #1a7f37; } .running { background: #0969da; }
  .failed { background: #cf222e; } .blocked { background: #9a6700; }
  table { border-collapse: collapse; width: 100%; margin-top: .8rem; }
  th, td { text-align: left; padding: .2rem .6rem .2rem 0; vertical-align: top; border-top: 1px solid #8882; }
  td.number { text-align: right; font-variant-numeric: tabular-nums; }
  code { font-size: .85rem; overflow-wrap: anywhere; }
`;

function section({ status, plan }: Run, dataBucket: string): string {
  const { runId, shard, trigger, state, reason, coverage, restore } = status;
  const rows = status.steps.map((step) => stepRow(step, runId, plan, dataBucket)).join('\n');
  const accept =
    state === 'blocked'
      ? `<p>To publish it all the same: <code>commons-mirror publish ${runId} --accept-coverage</code></p>`
      : '';
  return `<section>
<header><h2>${escape(runId)}</h2><span class="state ${state}">${state}</span>
<span>shard ${escape(shard ?? 'not planned yet')}</span><span>${escape(trigger)}</span>
<span>coverage ${coverage === undefined ? 'not known yet' : percent(coverage)}</span></header>
${reason && state !== 'published' ? `<p>${escape(reason).replaceAll('\n', '<br>')}</p>` : ''}${accept}
${restore === undefined ? '' : `<p>${escape(restore)}</p>`}
<table>
<tr><th>Step</th><th>Chunk</th><th>State</th><th>Seconds</th><th></th></tr>
${rows}
</table>
</section>`;
}

function stepRow(step: StepStatus, runId: string, plan: Plan | undefined, dataBucket: string): string {
  const [command] = retryCommands(step.step, runId, step.chunk, plan, dataBucket);
  const told =
    step.state === 'failed'
      ? `${escape(step.what ?? '')}<br>Retry: <code>${escape(command ?? '')}</code>`
      : escape(step.what ?? '');
  return `<tr><td>${step.step}</td><td>${escape(step.chunk ?? '')}</td><td><span class="state ${step.state}">${step.state}</span></td>
<td class="number">${step.seconds?.toFixed(1) ?? ''}</td><td>${told}</td></tr>`;
}

/** Rounded down: 100 % is said of complete coverage only. */
const percent = (fraction: number): string => `${(Math.floor(fraction * 100_000) / 1000).toFixed(3)} %`;

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text: string): string => text.replace(/[&<>"']/gu, (character) => ENTITIES[character] ?? '');
