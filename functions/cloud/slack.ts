import { IncomingWebhook } from '@slack/webhook';
import { required } from '../environment.ts';
import { SafeError } from '../mirror/errors.ts';

/** Slack: "a section's text is at most 3,000 characters". */
const SECTION_CHARACTERS = 3000;

/** Posts one message: `title` is what a notification shows, `sections` are Markdown in Slack's own dialect. */
export async function postToSlack(title: string, sections: string[]): Promise<void> {
  try {
    await new IncomingWebhook(required('SLACK_WEBHOOK_URL')).send({
      text: title,
      blocks: sections.map((text) => ({
        type: 'section',
        text: { type: 'mrkdwn', text: text.slice(0, SECTION_CHARACTERS) },
      })),
    });
  } catch (error) {
    // The client's errors hold the webhook's URL, which is a secret.
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no code';
    throw new SafeError(`Slack refused or did not answer (${code})`);
  }
}
