import { TOPICS, type Step } from './messages.ts';
import { DATA_LIFETIME_MS, startOf } from './names.ts';
import { manifestObject, type Plan } from './plan.ts';

/**
 * A retry is the step's own message, published again, with the step that it is meant for. What `commons-mirror retry`
 * publishes and what the printed `gcloud` command publishes is the same, made here.
 */
export type Republish = { topic: string; body: Record<string, string>; attributes: Record<string, string> };

/** The message that starts `step` of a run again; `chunk` is needed for load and transform. */
export function retryMessage(
  plan: Plan,
  step: Exclude<Step, 'export'>,
  chunk: string | undefined,
  dataBucket: string,
): Republish {
  const { runId, shard } = plan;
  if (step === 'load') {
    const name = manifestObject(runId, plan.attempt, chunk ?? '');
    return {
      topic: TOPICS.objects,
      body: { bucket: dataBucket, name, retry: step },
      attributes: { eventType: 'OBJECT_FINALIZE', bucketId: dataBucket, objectId: name },
    };
  }
  const body = { step: 'load', runId, shard, ...(chunk !== undefined && { chunk }), retry: step };
  return { topic: TOPICS.completions, body, attributes: {} };
}

/** Starts a new run: the only retry of an export, and of anything whose data is gone. */
export function newRunCommand(config: { project: string; region: string } | undefined): string {
  return `gcloud run jobs execute mirror-export${config ? ` --project=${config.project} --region=${config.region}` : ''}`;
}

/** Two days after its start a run's rows are deleted: nothing of it can be repeated any more. */
export const isExpired = (runId: string, now = Date.now()): boolean =>
  now - startOf(runId).getTime() > DATA_LIFETIME_MS;

/** Commands for a person's terminal, each by itself enough. */
export function retryCommands(
  step: Step,
  runId: string,
  chunk: string | undefined,
  plan: Plan | undefined,
  dataBucket: string,
): string[] {
  if (step === 'export' || !plan || isExpired(runId)) return [newRunCommand(plan?.config)];
  const { topic, body, attributes } = retryMessage(plan, step, chunk, dataBucket);
  const listed = Object.entries(attributes).map(([key, value]) => `${key}=${value}`);
  const attribute = listed.length > 0 ? ` --attribute='${listed.join(',')}'` : '';
  return [
    `commons-mirror retry ${[runId, step, ...(chunk === undefined ? [] : [chunk])].join(' ')}`,
    `gcloud pubsub topics publish ${topic} --project=${plan.config.project} --message='${JSON.stringify(body)}'${attribute}`,
  ];
}
