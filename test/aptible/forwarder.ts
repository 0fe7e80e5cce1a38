import { connect, createServer } from 'node:net';

/** A unix socket that leads to a port of loopback, in a process of its own: `forwarder.ts SOCKET PORT`. */
const [, , socket = '', port = ''] = process.argv;

const server = createServer((from) => {
  const to = connect({ host: '127.0.0.1', port: Number(port), noDelay: true });
  from.pipe(to).pipe(from);
  for (const [one, other] of [
    [from, to],
    [to, from],
  ] as const) {
    one.on('error', () => {});
    one.on('close', () => other.destroy());
  }
});
server.listen(socket, () => process.send?.('ready'));
process.on('disconnect', () => process.exit());
