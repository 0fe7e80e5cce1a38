import type { AddressInfo } from 'node:net';
import { getTestServer } from '@google-cloud/functions-framework/testing';
import { environment } from '../functions/environment.ts';
import { TOPICS } from '../functions/mirror/messages.ts';

/**
 * One function in a process of its own, behind functions-framework's server, as in production; on loopback, where the
 * framework's own start would listen on every interface. Tells its parent the port, and ends when the parent does. Arguments:
 * the function's name, and the port, 0 for any free one.
 */
const [, , target = '', wantedPort = '0'] = process.argv;

await import('../functions/index.ts');

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));

const server = getTestServer(target);
server.listen(Number(wantedPort), '127.0.0.1', () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
  // Most runs end without an alert, and before anybody looks at the page. What fails here fails at the first event, and is told there.
  if (target !== 'alert' && target !== 'status') loadEarly().catch(() => {});
});

/**
 * What production loads at the first event: a step's module, and the clients that it tells its end with, which are half a second of a
 * processor. Here nobody pays for instances that wait.
 */
async function loadEarly(): Promise<void> {
  await import(`../functions/${target}/index.ts`);
  if (target === 'sli') await import('../functions/cloud/monitoring.ts');
  const { PubSub } = await import('@google-cloud/pubsub');
  const client = new PubSub({ projectId: environment().GOOGLE_CLOUD_PROJECT });
  // The client makes its stubs at its first request.
  await client.topic(TOPICS.completions).exists();
  await client.close();
}
