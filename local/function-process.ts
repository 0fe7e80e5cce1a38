import type { AddressInfo } from 'node:net';
import { getTestServer } from '@google-cloud/functions-framework/testing';

/**
 * One function in a process of its own, behind functions-framework's server, as in production; on loopback, where the
 * framework's own start would listen on every interface. Tells its parent the port, and ends when the parent does.
 */
const target = process.argv[2] ?? '';

await import('../functions/index.ts');

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));

const server = getTestServer(target);
server.listen(0, '127.0.0.1', () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
