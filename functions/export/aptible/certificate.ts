import { sign } from 'node:crypto';
import ssh2, { type Client, type ParsedKey } from 'ssh2';
import { PermanentError } from '../../mirror/errors.ts';
import { internalsOf } from './internals.ts';

/**
 * Logging in with an SSH user certificate, which ssh2 1.17.0 cannot: it writes the certificate's algorithm into the
 * *signature*, where PROTOCOL.certkeys and every OpenSSH want the plain key's, `rsa-sha2-512` (mscdex/ssh2#910, #1486).
 *
 * So an agent shows the certificate as its public key, and the one method of ssh2 that writes the signed request is
 * replaced on the client's own protocol object. ssh2 is pinned exactly, and a test fails when its code changes.
 */

/** What signs the log-in; the certificate is for this key. */
export type UserKey = { privateKey: string; certificate: Buffer };

const HASHES = { 'rsa-sha2-512': 'sha512', 'rsa-sha2-256': 'sha256' } as const;
type Algorithm = keyof typeof HASHES;
const ALGORITHMS = ['rsa-sha2-512', 'rsa-sha2-256'] as const satisfies Algorithm[];

const USERAUTH_REQUEST = 50;

/** The agent to connect with. `useCertificate` must be called after `connect`, which makes the protocol object. */
export function certificateAgent(key: UserKey): ssh2.BaseAgent<ParsedKey> {
  const identities = ALGORITHMS.map((algorithm) => identity(key, algorithm));
  return new CertificateAgent(identities, key.privateKey);
}

class CertificateAgent extends ssh2.BaseAgent<ParsedKey> {
  readonly #identities: ParsedKey[];
  readonly #privateKey: string;

  constructor(identities: ParsedKey[], privateKey: string) {
    super();
    this.#identities = identities;
    this.#privateKey = privateKey;
  }

  override getIdentities(callback: (error: Error | null, keys?: ParsedKey[]) => void): void {
    callback(null, this.#identities);
  }

  override sign(
    key: ParsedKey | Buffer | string,
    data: Buffer,
    options: unknown,
    callback?: (error: Error | null, signature?: Buffer) => void,
  ): void {
    const done = callback ?? (options as (error: Error | null, signature?: Buffer) => void);
    const algorithm = typeof key === 'object' && 'type' in key ? algorithmOf(key.type) : undefined;
    // Never thrown: an error inside ssh2's callbacks corrupts its decryption.
    if (algorithm) done(null, sign(HASHES[algorithm], data, this.#privateKey));
    else done(new Error('not one of our identities'));
  }
}

/** ssh2's own key object of the private key, showing the certificate as its public half. */
function identity({ privateKey, certificate }: UserKey, algorithm: Algorithm): ParsedKey {
  const parsed = ssh2.utils.parseKey(privateKey);
  if (parsed instanceof Error) throw new PermanentError('The session key that was just made cannot be read by ssh2');
  return Object.create(parsed, {
    type: { value: `${algorithm}${CERTIFICATE_ENDING}` },
    getPublicSSH: { value: () => certificate },
  }) as ParsedKey;
}

const CERTIFICATE_ENDING = '-cert-v01@openssh.com';
const algorithmOf = (type: string): Algorithm | undefined =>
  ALGORITHMS.find((algorithm) => type === `${algorithm}${CERTIFICATE_ENDING}`);

/** Makes the client sign with the plain algorithm's name. */
export function useCertificate(client: Client): void {
  const protocol = internalsOf(client)._protocol;
  const original = protocol.authPK;
  protocol.authPK = function authPK(user, key, keyAlgorithm, sign) {
    const callback = typeof keyAlgorithm === 'function' ? keyAlgorithm : sign;
    const algorithm = algorithmOf(key.type);
    // The first question, whether the key would do, has no signature.
    if (!algorithm || !callback) return original.call(this, user, key, keyAlgorithm, sign);
    const request = Buffer.concat([
      Buffer.from([USERAUTH_REQUEST]),
      string(user),
      string('ssh-connection'),
      string('publickey'),
      Buffer.from([1]),
      string(key.type),
      string(key.getPublicSSH()),
    ]);
    callback(Buffer.concat([string(this._kex.sessionID), request]), (signature) => {
      const payload = Buffer.concat([request, string(Buffer.concat([string(algorithm), string(signature)]))]);
      const packet = this._packetRW.write.alloc(payload.length);
      packet.set(payload, this._packetRW.write.allocStart);
      this._authsQueue.push('publickey');
      this._cipher.encrypt(this._packetRW.write.finalize(packet));
    });
  };
}

/** SSH's string: a length, then the bytes. */
function string(value: Buffer | string): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

export type CertificateFacts = { principals: string[]; from: Date; until: Date };

/** The blob of a line `ssh-rsa-cert-v01@openssh.com AAAA… comment`. Throws a PermanentError for anything else. */
export function certificateBlob(line: string): Buffer {
  const [type, base64] = line.trim().split(/\s+/u);
  if (type !== `ssh-rsa${CERTIFICATE_ENDING}` || base64 === undefined) {
    throw new PermanentError(`Aptible: the portal's certificate is not a certificate of the RSA key that was sent`);
  }
  return Buffer.from(base64, 'base64');
}

/** Whom a certificate of an RSA key is for, and when; undefined where it cannot be read. To tell why a portal refused it. */
export function certificateFacts(blob: Buffer): CertificateFacts | undefined {
  try {
    let at = 0;
    const bytes = (): Buffer => {
      const length = blob.readUInt32BE(at);
      const value = blob.subarray(at + 4, at + 4 + length);
      at += 4 + length;
      return value;
    };
    // type, nonce, e, n
    for (let i = 0; i < 4; i++) bytes();
    at += 8 + 4; // serial, kind
    bytes(); // key id
    const list = bytes();
    const principals: string[] = [];
    for (let p = 0; p < list.length; p += 4 + list.readUInt32BE(p)) {
      principals.push(list.toString('utf8', p + 4, p + 4 + list.readUInt32BE(p)));
    }
    return { principals, from: secondsAt(blob, at), until: secondsAt(blob, at + 8) };
  } catch {
    return undefined;
  }
}

/** `ssh-keygen` writes 2^64 - 1 for "for ever"; a Date ends earlier. */
function secondsAt(blob: Buffer, at: number): Date {
  return new Date(Math.min(Number(blob.readBigUInt64BE(at)) * 1000, 8.64e15));
}
