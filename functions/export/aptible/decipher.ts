import { createSecretKey } from 'node:crypto';
import type { Client } from 'ssh2';
import { internalsOf, type Decipher } from './internals.ts';

/**
 * ssh2 makes a decipher for every packet, and hands it the key as bytes: Node then makes a key object of them each time,
 * which takes longer than to decipher the packet. With a key object from the start, a gigabyte costs about a third of the
 * processor time.
 */
export function keepDecipherKey(client: Client): void {
  const { _protocol: protocol } = internalsOf(client);
  let current = withKeyObject(protocol._decipher);
  // Replaced at every key exchange, of which a long session has several.
  Object.defineProperty(protocol, '_decipher', {
    get: () => current,
    set: (next: Decipher | undefined) => {
      current = withKeyObject(next);
    },
  });
}

/** Only AES-GCM's keeps its key. */
function withKeyObject(decipher: Decipher | undefined): Decipher | undefined {
  if (decipher?._decipherKey instanceof Uint8Array) decipher._decipherKey = createSecretKey(decipher._decipherKey);
  return decipher;
}
