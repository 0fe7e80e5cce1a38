import assert from 'node:assert/strict';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { IncomingWebhook } from '@slack/webhook';
import { serve } from '../../local/http.ts';
import { openSlack } from '../../local/slack.ts';

type Options = { path?: string; rateLimit?: boolean };

async function slack(t: TestContext, options: Options = {}, directory?: string) {
  const folder = directory ?? (await mkdtemp(path.join(tmpdir(), 'slack-')));
  const sink = await openSlack({ directory: folder, ...options });
  const server = await serve(sink.handle);
  t.after(async () => {
    await server.close();
    await sink.close();
    await rm(folder, { recursive: true, force: true });
  });
  return { ...sink, directory: folder, url: `${server.url}${options.path ?? '/slack'}` };
}

async function post(url: string, body: string): Promise<[number, string, string | null]> {
  const response = await fetch(url, { method: 'POST', body });
  return [response.status, await response.text(), response.headers.get('retry-after')];
}

const section = (length: number) => ({ type: 'section', text: { type: 'mrkdwn', text: 'x'.repeat(length) } });

test('keeps what IncomingWebhook sends, also for the next open', async (t) => {
  const first = await slack(t, { path: '/services/T/B/X' });
  const webhook = new IncomingWebhook(first.url);
  assert.deepEqual(await webhook.send({ text: 'load failed', blocks: [section(3000)] }), { text: 'ok' });
  assert.deepEqual(await webhook.send('plain'), { text: 'ok' });
  const kept = (await first.messages()).map(({ text, blocks }) => ({ text, blocks }));
  assert.deepEqual(kept, [
    { text: 'load failed', blocks: [section(3000)] },
    { text: 'plain', blocks: undefined },
  ]);
  // A process killed in the middle of a line leaves half of it behind.
  await appendFile(path.join(first.directory, 'messages.jsonl'), '{"receivedAt":"2026');
  const second = await slack(t, {}, first.directory);
  assert.deepEqual(await second.messages(), await first.messages());
  await new IncomingWebhook(second.url).send('after');
  const third = await slack(t, {}, first.directory);
  assert.deepEqual(
    (await third.messages()).map(({ text }) => text),
    ['load failed', 'plain', 'after'],
  );
});

test('refuses what Slack refuses, with its words', async (t) => {
  const { url, messages } = await slack(t);
  assert.deepEqual(await post(url, '{"blocks":[]}'), [400, 'no_text', null]);
  assert.deepEqual(await post(url, '{"text":""}'), [400, 'no_text', null]);
  assert.deepEqual(await post(url, 'text=hello'), [400, 'invalid_payload', null]);
  assert.deepEqual(await post(url, '{"text":7}'), [400, 'invalid_payload', null]);
  assert.deepEqual(await post(url, JSON.stringify({ text: 'a', blocks: [section(3001)] })), [
    400,
    'invalid_blocks',
    null,
  ]);
  assert.deepEqual(await post(url, JSON.stringify({ text: 'a', blocks: Array(51).fill(section(1)) })), [
    400,
    'invalid_blocks',
    null,
  ]);
  assert.deepEqual(await post(url, JSON.stringify({ text: 'a', blocks: Array(50).fill(section(1)) })), [
    200,
    'ok',
    null,
  ]);
  assert.equal((await messages()).length, 1);
  assert.equal((await fetch(url)).status, 501);
  assert.equal((await post(`${url}/other`, '{"text":"a"}'))[0], 501);
});

test('limits the rate when asked to: a burst of four, then one a second', async (t) => {
  const { url, messages } = await slack(t, { rateLimit: true });
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  for (let sent = 0; sent < 4; sent += 1) assert.deepEqual(await post(url, '{"text":"a"}'), [200, 'ok', null]);
  assert.deepEqual(await post(url, '{"text":"a"}'), [429, 'rate_limited', '1']);
  t.mock.timers.tick(1000);
  assert.deepEqual(await post(url, '{"text":"a"}'), [200, 'ok', null]);
  assert.deepEqual(await post(url, '{"text":"a"}'), [429, 'rate_limited', '1']);
  assert.equal((await messages()).length, 5);
});
