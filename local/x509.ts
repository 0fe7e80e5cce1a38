import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { isIPv4 } from 'node:net';

/** A certificate authority, made anew at each start; its key never leaves the process. */
export type Authority = {
  /** PEM; what a client is to trust. */
  certificate: string;
  /** A server's key and certificate for a DNS name or an IPv4 address, in PEM. */
  issue: (host: string) => { key: string; cert: string };
};

export function makeAuthority(name: string): Authority {
  const keys = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const issuer = distinguished(name);
  const isAuthority = [
    extension(BASIC_CONSTRAINTS, tlv(SEQUENCE, tlv(BOOLEAN, byte(0xff))), CRITICAL),
    extension(KEY_USAGE, tlv(BIT_STRING, Buffer.from([2, 0x04])), CRITICAL),
  ];
  return {
    certificate: certificate({
      subject: issuer,
      issuer,
      key: keys.publicKey,
      by: keys.privateKey,
      extensions: isAuthority,
    }),
    issue: (host) => {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
      const names = extension(ALTERNATIVE_NAME, tlv(SEQUENCE, generalName(host)));
      return {
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
        cert: certificate({
          subject: distinguished(host),
          issuer,
          key: publicKey,
          by: keys.privateKey,
          extensions: [names],
        }),
      };
    },
  };
}

type Certificate = { subject: Buffer; issuer: Buffer; key: KeyObject; by: KeyObject; extensions: Buffer[] };

/** RFC 5280, `Certificate`, in DER. */
function certificate({ subject, issuer, key, by, extensions }: Certificate): string {
  const body = tlv(
    SEQUENCE,
    tlv(0xa0, tlv(INTEGER, byte(2))),
    tlv(INTEGER, Buffer.concat([byte(1), randomBytes(8)])),
    ECDSA_SHA256,
    issuer,
    tlv(SEQUENCE, tlv(UTC_TIME, Buffer.from('200101000000Z')), tlv(UTC_TIME, Buffer.from('491231235959Z'))),
    subject,
    key.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, tlv(SEQUENCE, ...extensions)),
  );
  const signature = tlv(BIT_STRING, byte(0), sign('sha256', body, by));
  const base64 = tlv(SEQUENCE, body, ECDSA_SHA256, signature).toString('base64');
  return `-----BEGIN CERTIFICATE-----\n${base64.match(/.{1,64}/gu)?.join('\n')}\n-----END CERTIFICATE-----\n`;
}

const SEQUENCE = 0x30;
const SET = 0x31;
const BOOLEAN = 0x01;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT = 0x06;
const UTF8 = 0x0c;
const UTC_TIME = 0x17;
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;

const byte = (value: number): Buffer => Buffer.from([value]);

function tlv(tag: number, ...parts: Buffer[]): Buffer {
  const value = Buffer.concat(parts);
  const { length } = value;
  const header = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...header]), value]);
}

const object = (hex: string): Buffer => tlv(OBJECT, Buffer.from(hex, 'hex'));
const CRITICAL = tlv(BOOLEAN, byte(0xff));
const extension = (id: Buffer, value: Buffer, ...critical: Buffer[]): Buffer =>
  tlv(SEQUENCE, id, ...critical, tlv(OCTET_STRING, value));
const distinguished = (name: string): Buffer =>
  tlv(SEQUENCE, tlv(SET, tlv(SEQUENCE, object('550403'), tlv(UTF8, Buffer.from(name)))));

/** Clients look for an address among the addresses only, never among the DNS names (RFC 6125). */
const generalName = (host: string): Buffer =>
  isIPv4(host) ? tlv(IP_ADDRESS, Buffer.from(host.split('.').map(Number))) : tlv(DNS_NAME, Buffer.from(host));

const ECDSA_SHA256 = tlv(SEQUENCE, object('2a8648ce3d040302'));
const BASIC_CONSTRAINTS = object('551d13');
const KEY_USAGE = object('551d0f');
const ALTERNATIVE_NAME = object('551d11');
