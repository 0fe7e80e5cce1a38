import type { KeyObject } from 'node:crypto';
import type { Channel, Client, ParsedKey } from 'ssh2';

/**
 * The few parts of ssh2 1.17.0 that are not its public interface and that the tunnel rests on. Checked when they are first
 * used: another ssh2 fails with a clear error, not with a broken transfer.
 */

export type Protocol = {
  authPK: (this: Protocol, user: string, key: ParsedKey, keyAlgorithm?: string | Sign, sign?: Sign) => void;
  channelWindowAdjust: (channel: number, bytes: number) => void;
  _kex: { sessionID: Buffer };
  _packetRW: {
    write: { allocStart: number; alloc: (size: number) => Uint8Array; finalize: (packet: Uint8Array) => Uint8Array };
  };
  _authsQueue: string[];
  _decipher: Decipher | undefined;
  _cipher: { encrypt: (packet: Uint8Array) => void };
  _handlers: { CHANNEL_DATA: (protocol: Protocol, recipient: number, data: Buffer) => void };
};
/** AES-GCM's; the others have no such key. */
export type Decipher = { _decipherKey?: Uint8Array | KeyObject };
type Sign = (data: Buffer, done: (signature: Buffer) => void) => void;

type ClientInternals = {
  _protocol: Protocol;
  _chanMgr: { get: (id: number) => unknown };
  _sock: { bytesRead: number };
};

export type ChannelInternals = {
  incoming: { id: number; window: number; state: string };
  outgoing: { id: number; state: string };
  _waitChanDrain: boolean;
  _read: (size: number) => void;
  push: (data: Buffer) => boolean;
};

export function internalsOf(client: Client): ClientInternals {
  const parts: object = client;
  if (isClient(parts)) return parts;
  throw new TypeError('ssh2 is not the version that this code is written for. Next: install 1.17.0 exactly (npm ci)');
}

export function channelInternals(channel: Channel): ChannelInternals {
  const parts: object = channel;
  if (isChannel(parts)) return parts;
  throw new TypeError('ssh2 is not the version that this code is written for. Next: install 1.17.0 exactly (npm ci)');
}

function isClient(value: object): value is ClientInternals {
  return (
    has(value, '_protocol', '_chanMgr', '_sock') &&
    has(
      value._protocol,
      'authPK',
      'channelWindowAdjust',
      '_packetRW',
      '_authsQueue',
      '_cipher',
      '_decipher',
      '_handlers',
    ) &&
    has(value._protocol['_handlers'], 'CHANNEL_DATA') &&
    has(value._chanMgr, 'get')
  );
}

function isChannel(value: object): value is ChannelInternals {
  return (
    has(value, 'incoming', 'outgoing', '_waitChanDrain', '_read', 'push') &&
    has(value.incoming, 'id', 'window', 'state') &&
    has(value.outgoing, 'id', 'state')
  );
}

function has<K extends string>(value: unknown, ...names: K[]): value is Record<K, unknown> {
  return typeof value === 'object' && value !== null && names.every((name) => name in value);
}
