import { createPublicKey, generateKeyPairSync, randomBytes, sign, verify, type KeyObject } from 'node:crypto';

/** User certificates of OpenSSH (PROTOCOL.certkeys), for RSA keys: what a portal hands out and what it asks for. */

export type UserAuthority = { key: KeyObject; blob: Buffer };

export function makeUserAuthority(): UserAuthority {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { key: privateKey, blob: rsaBlob(publicKey) };
}

const TYPE = 'ssh-rsa-cert-v01@openssh.com';
const USER = 1;

export type Grant = { publicKey: string; principal: string; from: Date; until: Date; serial: number };

/** A line `ssh-rsa-cert-v01@openssh.com AAAA…`. `publicKey` is a line `ssh-rsa AAAA…`. */
export function issueCertificate(authority: UserAuthority, grant: Grant): string {
  const key = new Reader(Buffer.from(grant.publicKey.split(' ')[1] ?? '', 'base64'));
  if (key.string().toString() !== 'ssh-rsa') throw new Error('not an RSA key');
  const body = Buffer.concat([
    string(TYPE),
    string(randomBytes(32)),
    string(key.string()),
    string(key.string()),
    uint64(grant.serial),
    uint32(USER),
    string(`commons ${grant.serial}`),
    string(string(grant.principal)),
    uint64(Math.floor(grant.from.getTime() / 1000)),
    uint64(Math.floor(grant.until.getTime() / 1000)),
    string(''),
    string(Buffer.concat([string('permit-port-forwarding'), string('')])),
    string(''),
    string(authority.blob),
  ]);
  const signature = Buffer.concat([string('rsa-sha2-512'), string(sign('sha512', body, authority.key))]);
  return `${TYPE} ${Buffer.concat([body, string(signature)]).toString('base64')}`;
}

export type LogIn = { user: string; algorithm: string; certificate: Buffer; signature: Buffer; signed: Buffer };

const HASHES: Record<string, string> = { 'rsa-sha2-512': 'sha512', 'rsa-sha2-256': 'sha256' };

/** Why a portal refuses a log-in by certificate; undefined where it does not. As strict as OpenSSH. */
export function whyRefused(authority: UserAuthority, logIn: LogIn, now = new Date()): string | undefined {
  const reader = new Reader(logIn.certificate);
  if (reader.string().toString() !== TYPE) return 'no certificate of an RSA key';
  reader.string();
  const [e, n] = [reader.string(), reader.string()];
  reader.skip(8);
  if (reader.uint32() !== USER) return 'no user certificate';
  reader.string();
  const principals = new Reader(reader.string()).strings();
  const [from, until] = [reader.uint64(), reader.uint64()];
  for (let i = 0; i < 3; i++) reader.string();
  if (!reader.string().equals(authority.blob)) return 'signed by another authority';
  const body = logIn.certificate.subarray(0, reader.at);
  const given = new Reader(reader.string());
  if (given.string().toString() !== 'rsa-sha2-512') return "the authority's signature is of another kind";
  if (!verify('sha512', body, publicKeyOf(authority.key), given.string())) return "the authority's signature is wrong";
  const seconds = now.getTime() / 1000;
  if (seconds < from || seconds >= until) return 'not valid now';
  if (!principals.includes(logIn.user)) return 'for another user';

  // What ssh2 gets wrong by itself: the signature bears the plain key's algorithm.
  const plain = logIn.algorithm.replace(/-cert-v01@openssh\.com$/u, '');
  const proof = new Reader(logIn.signature);
  const hash = HASHES[plain];
  if (!hash || proof.string().toString() !== plain) return "the signature's algorithm is not the plain key's";
  return verify(hash, logIn.signed, rsaKey(e, n), proof.string()) ? undefined : 'the signature is wrong';
}

const publicKeyOf = (key: KeyObject): KeyObject => createPublicKey(key);

function rsaKey(e: Buffer, n: Buffer): KeyObject {
  return createPublicKey({
    key: { kty: 'RSA', e: e.toString('base64url'), n: trimmed(n).toString('base64url') },
    format: 'jwk',
  });
}

const trimmed = (number: Buffer): Buffer => (number[0] === 0 ? number.subarray(1) : number);

/** `ssh-rsa`, e, n: a public key as SSH writes it. */
export function rsaBlob(key: KeyObject): Buffer {
  const { e = '', n = '' } = key.export({ format: 'jwk' });
  return Buffer.concat([string('ssh-rsa'), mpint(Buffer.from(e, 'base64url')), mpint(Buffer.from(n, 'base64url'))]);
}

const mpint = (number: Buffer): Buffer =>
  string((number[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.from([0]), number]) : number);

function string(value: Buffer | string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

class Reader {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  string(): Buffer {
    const length = this.uint32();
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  strings(): string[] {
    const found: string[] = [];
    while (this.at < this.#bytes.length) found.push(this.string().toString());
    return found;
  }

  uint32(): number {
    this.at += 4;
    return this.#bytes.readUInt32BE(this.at - 4);
  }

  uint64(): number {
    this.at += 8;
    return Number(this.#bytes.readBigUInt64BE(this.at - 8));
  }

  skip(bytes: number): void {
    this.at += bytes;
  }
}
