import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import ssh2, { type Connection, type ServerChannel } from 'ssh2';
import type { Faults } from './faults.ts';
import { rsaBlob, whyRefused, type UserAuthority } from './ssh-certificate.ts';

/**
 * The SSH portal: a real SSH server. It wants a user certificate of its authority, then a shell with `ACCESS_TOKEN`, says a
 * line when it is ready, and only then forwards the one unix socket that the user's connection was made for.
 */
export type Portal = {
  port: number;
  hostKey: string;
  /** Sessions that are open now, and connections through them. */
  sessions: () => number;
  connections: () => number;
  /** Bytes taken from databases by the connections that are open. */
  taken: () => number;
  /** Everything breaks at once; stands still, as a host that is gone; the databases' bytes are lost, and no more than they; the database's side ends; the lifetime is over. */
  drop: () => void;
  freeze: () => void;
  stall: () => void;
  thaw: () => void;
  halfClose: () => void;
  expire: () => void;
  close: () => Promise<void>;
};

export type PortalOptions = {
  authority: UserAuthority;
  faults: Faults;
  isToken: (token: string) => boolean;
  /** The port of the server that a user's socket leads to. */
  lookUp: (user: string, socket: string) => number | undefined;
};

const READY_LINE = 'SUCCESS: connected, forwarding\n';
const LIFETIME_OVER = 124;

export async function openPortal(options: PortalOptions): Promise<Portal> {
  const [key, other] = [makeHostKey(), makeHostKey()];
  const sessions = new Set<Session>();
  const sockets = new Set<Socket>();
  const serverOf = (privateKey: string): ssh2.Server =>
    new ssh2.Server({ hostKeys: [privateKey], algorithms: { compress: ['none'] } }, (connection) => {
      const session = serve(connection, options);
      sessions.add(session);
      connection.on('close', () => sessions.delete(session));
    });
  // Which key it shows is decided as each connection arrives.
  const [right, wrong] = [serverOf(key.privateKey), serverOf(other.privateKey)];
  const front = (await import('node:net')).createServer((socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => sockets.delete(socket));
    (options.faults.hostKey === 'pinned' ? right : wrong).injectSocket(socket);
  });
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  const all = (act: (session: Session) => void): void => [...sessions].forEach(act);
  return {
    port: (front.address() as AddressInfo).port,
    hostKey: key.line,
    sessions: () => sessions.size,
    connections: () => [...sessions].reduce((sum, { upstreams }) => sum + upstreams.size, 0),
    taken: () => [...sessions].reduce((sum, { upstreams }) => sum + bytesOf(upstreams), 0),
    drop: () => sockets.forEach((socket) => socket.destroy()),
    freeze: () => {
      // Nor does it ask for a sign of life any more.
      sockets.forEach((socket) => socket.pause().cork());
      all(({ upstreams }) => upstreams.forEach((socket) => socket.pause()));
    },
    stall: () => all(({ upstreams }) => upstreams.forEach((socket) => socket.unpipe().pause())),
    thaw: () => {
      sockets.forEach((socket) => socket.resume().uncork());
      all(({ upstreams }) => upstreams.forEach((socket) => socket.resume()));
    },
    halfClose: () => all(({ channels }) => channels.forEach((channel) => channel.eof())),
    expire: () => all((session) => session.expire()),
    close: async () => {
      sockets.forEach((socket) => socket.destroy());
      front.close();
      await once(front, 'close');
    },
  };
}

const bytesOf = (upstreams: Set<Socket>): number => [...upstreams].reduce((sum, { bytesRead }) => sum + bytesRead, 0);

type Session = { upstreams: Set<Socket>; channels: Set<ServerChannel>; expire: () => void };

function serve(connection: Connection, { authority, faults, isToken, lookUp }: PortalOptions): Session {
  const session: Session = { upstreams: new Set(), channels: new Set(), expire: () => {} };
  let user = '';
  let mayForward = false;
  connection.on('error', () => {});
  connection.on('close', () => session.upstreams.forEach((socket) => socket.destroy()));
  connection.on('authentication', (context) => {
    if (context.method !== 'publickey') return context.reject(['publickey']);
    // Only asked whether it would do.
    if (!context.signature || !context.blob) return context.accept();
    const { algo: algorithm, data: certificate } = context.key;
    const { username, signature, blob: signed } = context;
    user = username;
    const why = whyRefused(authority, { user, algorithm, certificate, signature, signed });
    if (why === undefined) context.accept();
    else context.reject();
  });
  connection.on('session', (accept) => {
    let token: string | undefined;
    const opened = accept();
    opened.on('env', (accepted, _rejected, { key, val }) => {
      if (key === 'ACCESS_TOKEN') token = val;
      // No reply is wanted where the client asks for none.
      (accepted as (() => void) | undefined)?.();
    });
    opened.on('shell', (acceptShell) => {
      const shell = acceptShell();
      shell.on('error', () => {});
      const end = (code: number): void => {
        shell.exit(code);
        shell.end();
        connection.end();
      };
      session.expire = () => end(LIFETIME_OVER);
      if (token === undefined || !isToken(token)) return end(1);
      if (faults.shell === 'over') return end(LIFETIME_OVER);
      if (faults.shell === 'silent') return;
      mayForward = true;
      shell.write(READY_LINE);
    });
  });
  connection.on('openssh.streamlocal', (accept, reject, { socketPath }) => {
    const port = mayForward ? lookUp(user, socketPath) : undefined;
    if (port === undefined) return reject();
    const upstream = connect({ host: '127.0.0.1', port, noDelay: true });
    upstream.once('error', () => upstream.destroy());
    upstream.once('connect', () => {
      const channel = accept();
      session.channels.add(channel);
      channel.on('error', () => upstream.destroy());
      channel.on('close', () => {
        session.channels.delete(channel);
        upstream.destroy();
      });
      upstream.on('close', () => channel.end());
      upstream.pipe(channel).pipe(upstream);
    });
    upstream.once('close', () => session.upstreams.delete(upstream));
    session.upstreams.add(upstream);
  });
  return session;
}

function makeHostKey(): { privateKey: string; line: string } {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    privateKey: privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
    line: `ssh-rsa ${rsaBlob(publicKey).toString('base64')}`,
  };
}
