import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { PubSub } from '@google-cloud/pubsub';
import { googleToolLines } from '../../local/google-tools.ts';
import { openTools, PROJECT, without } from './google-tools.ts';

/** Google's own `gcloud pubsub`, `gcloud storage` and `gsutil` on the stack. What can goes side by side. */

test('gcloud pubsub lists, describes, publishes and pulls', { skip: without('gcloud') }, async (t) => {
  const { gcloud, ask, stack, endpoints } = await openTools(t);
  const pubsub = `${gcloud} pubsub`;
  const [, printed = ''] = googleToolLines(endpoints, undefined);
  const client = new PubSub({ projectId: PROJECT });
  t.after(() => client.close());
  const [dead] = await client.createTopic('mirror-dead');
  await dead.createSubscription('mirror-dead');
  await client.createTopic('mirror-objects');
  await client.topic('mirror-objects').createSubscription('load', {
    pushEndpoint: `${stack.url}/nobody`,
    ackDeadlineSeconds: 600,
    retryPolicy: { minimumBackoff: { seconds: 10 }, maximumBackoff: { seconds: 600 } },
    deadLetterPolicy: { deadLetterTopic: dead.name, maxDeliveryAttempts: 100 },
  });

  const [topics, subscriptions, load] = await Promise.all([
    ask(`${pubsub} topics list --format='value(name)'`),
    ask(printed),
    ask(`${pubsub} subscriptions describe load`),
  ]);
  const under = `projects/${PROJECT}`;
  assert.equal(topics, `${under}/topics/mirror-dead\n${under}/topics/mirror-objects\n`);
  assert.equal(
    subscriptions,
    `${under}/subscriptions/load\t${under}/topics/mirror-objects\n${under}/subscriptions/mirror-dead\t${under}/topics/mirror-dead\n`,
  );
  assert.equal(
    load,
    [
      'ackDeadlineSeconds: 600',
      'deadLetterPolicy:',
      `  deadLetterTopic: ${under}/topics/mirror-dead`,
      '  maxDeliveryAttempts: 100',
      'expirationPolicy:',
      '  ttl: 2678400s',
      'messageRetentionDuration: 604800s',
      `name: ${under}/subscriptions/load`,
      'pushConfig:',
      `  pushEndpoint: ${stack.url}/nobody`,
      'retryPolicy:',
      '  maximumBackoff: 600s',
      '  minimumBackoff: 10s',
      'state: ACTIVE',
      `topic: ${under}/topics/mirror-objects\n`,
    ].join('\n'),
  );

  // As a retry that Slack prints: an object in quotes, and attributes.
  const message = '{"bucket":"b","name":"chunks/ä.json","retry":"load"}';
  const published = await ask(
    `${pubsub} topics publish mirror-dead --message='${message}' --attribute='eventType=OBJECT_FINALIZE,bucketId=b'`,
  );
  const id = /^messageIds:\n- '(\d+)'\n$/u.exec(published)?.[1];
  assert.ok(id, published);
  const pull = `${pubsub} subscriptions pull mirror-dead --limit=10 --format=json`;
  const pulled = JSON.parse(await ask(pull)) as { ackId: string; message: object }[];
  assert.equal(pulled.length, 1);
  const { data, attributes, messageId } = { ...pulled[0]?.message } as Record<string, unknown>;
  assert.equal(Buffer.from(String(data), 'base64').toString(), message);
  assert.deepEqual(
    { attributes, messageId },
    { attributes: { eventType: 'OBJECT_FINALIZE', bucketId: 'b' }, messageId: id },
  );
  const ackId = pulled[0]?.ackId ?? '';
  await ask(`${pubsub} subscriptions modify-message-ack-deadline mirror-dead --ack-ids=${ackId} --ack-deadline=0`);
  const again = JSON.parse(await ask(`${pull} --auto-ack`)) as { message: { messageId: string } }[];
  assert.deepEqual(
    again.map((each) => each.message.messageId),
    [id],
  );
});

/** Larger than what either tool sends in one request. */
const BIG = randomBytes(9_000_000);

test('gcloud storage copies, lists, reads, describes and removes', { skip: without('gcloud') }, async (t) => {
  const { gcloud, ask, run, directory, endpoints } = await openTools(t);
  const storage = `${gcloud} storage`;
  const [, , printed = ''] = googleToolLines(endpoints, undefined);
  await writeFile(path.join(directory, 'note.json'), '{"a":"ä"}\n');
  await writeFile(path.join(directory, 'big'), BIG);
  await ask(`${storage} buckets create gs://commons-local-mirror-data`);
  const data = 'gs://commons-local-mirror-data';
  await ask(`${storage} cp note.json big ${data}/chunks/r/1/`);

  const [listed, text, described] = await Promise.all([
    ask(printed),
    ask(`${storage} cat ${data}/chunks/r/1/note.json`),
    ask(
      `${storage} objects describe ${data}/chunks/r/1/note.json --format='csv[no-heading](name,size,content_type,crc32c_hash,md5_hash,metageneration)'`,
    ),
    ask(`${storage} cp ${data}/chunks/r/1/big back`),
    ask(`${storage} cp ${data}/chunks/r/1/note.json ${data}/copy.json`),
  ]);
  assert.equal(
    listed.replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/gu, 'TIME'),
    [
      `   9000000  TIME  ${data}/chunks/r/1/big`,
      `        11  TIME  ${data}/chunks/r/1/note.json`,
      'TOTAL: 2 objects, 9000011 bytes (8.58MiB)\n',
    ].join('\n'),
  );
  assert.equal(text, '{"a":"ä"}\n');
  assert.equal(described, 'chunks/r/1/note.json,11,application/json,xkIS1A==,ltyWCODgcQF7yZR8+QAbDA==,1\n');
  assert.ok((await readFile(path.join(directory, 'back'))).equals(BIG));

  await ask(`${storage} rm '${data}/chunks/**'`);
  const [left, gone] = await Promise.all([ask(`${storage} ls '${data}/**'`), run(printed)]);
  assert.equal(left, `${data}/copy.json\n`);
  assert.deepEqual(gone, {
    code: 1,
    stdout: '',
    stderr: 'ERROR: (gcloud.storage.ls) One or more URLs matched no objects.\n',
  });
});

test('gsutil, by https, copies, lists, reads and removes', { skip: without('gsutil') }, async (t) => {
  const { gsutil, ask, run, directory, endpoints } = await openTools(t);
  const [, , , printed = ''] = googleToolLines(endpoints, undefined);
  await writeFile(path.join(directory, 'note.json'), '{"a":"ä"}\n');
  await writeFile(path.join(directory, 'big'), BIG);
  const data = 'gs://commons-local-mirror-data';
  await ask(`${gsutil} mb ${data}`);
  await ask(`${gsutil} cp note.json big ${data}/chunks/r/1/`);

  const [listed, text, stat] = await Promise.all([
    ask(printed),
    ask(`${gsutil} cat ${data}/chunks/r/1/note.json`),
    ask(`${gsutil} stat ${data}/chunks/r/1/note.json`),
    ask(`${gsutil} cp ${data}/chunks/r/1/big back`),
    ask(`${gsutil} cp ${data}/chunks/r/1/note.json ${data}/copy.json`),
  ]);
  assert.equal(
    listed.replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/gu, 'TIME'),
    [
      `   9000000  TIME  ${data}/chunks/r/1/big`,
      `        11  TIME  ${data}/chunks/r/1/note.json`,
      'TOTAL: 2 objects, 9000011 bytes (8.58 MiB)\n',
    ].join('\n'),
  );
  assert.equal(text, '{"a":"ä"}\n');
  const facts = Object.fromEntries(stat.split('\n').map((line) => line.trim().split(/:\s+/u)));
  assert.deepEqual(
    ['Content-Length', 'Content-Type', 'Hash (crc32c)', 'Hash (md5)', 'Metageneration'].map((name) => facts[name]),
    ['11', 'application/json', 'xkIS1A==', 'ltyWCODgcQF7yZR8+QAbDA==', '1'],
  );
  assert.ok((await readFile(path.join(directory, 'back'))).equals(BIG));

  await ask(`${gsutil} rm '${data}/chunks/**'`);
  const [left, gone] = await Promise.all([ask(`${gsutil} ls '${data}/**'`), run(printed)]);
  assert.equal(left, `${data}/copy.json\n`);
  assert.deepEqual(gone, {
    code: 1,
    stdout: '',
    stderr: 'CommandException: One or more URLs matched no objects.\n',
  });
});
