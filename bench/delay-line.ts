import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/**
 * A long line on loopback, in a process of its own: every byte arrives half a round trip later, in order, and nothing else is
 * changed; as many bytes as the ends allow may be under way. `delay-line.ts TARGET-PORT ROUND-TRIP-MS`; tells its port.
 */
const [target = 0, roundTripMs = 0] = process.argv.slice(2).map(Number);

function delay(from: Socket, to: Socket): void {
  const line: { due: number; chunk: Buffer | undefined }[] = [];
  let timer: NodeJS.Timeout | undefined;
  const deliver = (): void => {
    timer = undefined;
    const now = performance.now();
    for (let next = line[0]; next && next.due <= now; next = line[0]) {
      line.shift();
      if (next.chunk) to.write(next.chunk);
      else to.end();
    }
    if (line[0]) timer = setTimeout(deliver, Math.max(1, line[0].due - performance.now()));
  };
  const put = (chunk: Buffer | undefined): void => {
    line.push({ due: performance.now() + roundTripMs / 2, chunk });
    timer ??= setTimeout(deliver, roundTripMs / 2);
  };
  from.on('data', put);
  from.on('end', () => put(undefined));
  from.on('error', () => to.destroy());
  from.on('close', () => clearTimeout(timer));
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  const far = connect({ host: '127.0.0.1', port: target, noDelay: true, allowHalfOpen: true });
  delay(near, far);
  delay(far, near);
});
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on('disconnect', () => process.exit());
