import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';
import ssh2 from 'ssh2';
import { certificateBlob, certificateFacts } from '../../functions/export/aptible/certificate.ts';
import { channelInternals, internalsOf } from '../../functions/export/aptible/internals.ts';
import { issueCertificate, makeUserAuthority, rsaBlob } from '../../local/aptible/ssh-certificate.ts';

/**
 * The certificate, the decipher's key and the wide window rest on ssh2's inside. When one of these fails, ssh2 has changed:
 * read what changed in the file, hold certificate.ts, decipher.ts and window.ts against it, run the tunnel's tests, and only
 * then write the new digest here.
 */
const DIGESTS: Record<string, string> = {
  'lib/Channel.js': '53e92988a025009b',
  'lib/client.js': 'edd3484daa9d942b',
  'lib/utils.js': 'bbae8286bc64b049',
  'lib/protocol/Protocol.js': 'c1104b49087de7a9',
  'lib/protocol/crypto.js': 'a729d2064e787e2a',
  'lib/protocol/kex.js': '054ba4b818015963',
  'lib/protocol/utils.js': '402b39e75ede9e3d',
};

const root = path.dirname(createRequire(import.meta.url).resolve('ssh2/package.json'));

test('ssh2 is the version that the tunnel is written for', () => {
  const { version }: { version: string } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  assert.equal(version, '1.17.0');
});

for (const [file, digest] of Object.entries(DIGESTS)) {
  test(`ssh2's ${file} is what the tunnel rests on`, () => {
    const text = readFileSync(path.join(root, file));
    assert.equal(createHash('sha256').update(text).digest('hex').slice(0, 16), digest);
  });
}

test('another ssh2 is refused before anything is sent', () => {
  const message = 'ssh2 is not the version that this code is written for. Next: install 1.17.0 exactly (npm ci)';
  // Not connected: the parts are not there.
  assert.throws(() => internalsOf(new ssh2.Client()), { name: 'TypeError', message });
  const channel = Object.create(null);
  assert.throws(() => channelInternals(channel), { name: 'TypeError', message });
});

test('a certificate tells whom it is for and when', () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const line = issueCertificate(makeUserAuthority(), {
    publicKey: `ssh-rsa ${rsaBlob(publicKey).toString('base64')}`,
    principal: 'tunnel-1',
    from: new Date('2026-11-22T03:00:00Z'),
    until: new Date('2026-11-22T04:00:00Z'),
    serial: 7,
  });
  assert.deepEqual(certificateFacts(certificateBlob(`${line} a comment\n`)), {
    principals: ['tunnel-1'],
    from: new Date('2026-11-22T03:00:00Z'),
    until: new Date('2026-11-22T04:00:00Z'),
  });
  assert.equal(certificateFacts(Buffer.from('nothing of the kind')), undefined);
});

test('what is no certificate of the RSA key is refused', () => {
  for (const line of ['', 'ssh-rsa AAAA', 'ssh-ed25519-cert-v01@openssh.com AAAA']) {
    assert.throws(() => certificateBlob(line), {
      name: 'PermanentError',
      message: "Aptible: the portal's certificate is not a certificate of the RSA key that was sent",
    });
  }
});
