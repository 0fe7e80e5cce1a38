import type { AddressInfo } from 'node:net';
import { getTestServer } from '@google-cloud/functions-framework/testing';

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
  // A step's module, which production loads at the first event: here nobody pays for instances that wait. Most runs end without
  // an alert, and before anybody looks at the page.
  if (target !== 'alert' && target !== 'status') void import(`../functions/${target}/index.ts`);
});
