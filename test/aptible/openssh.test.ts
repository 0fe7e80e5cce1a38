import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import type { Api } from '../../functions/export/aptible/answers.ts';
import { openTunnel, type Tunnel } from '../../functions/export/aptible/tunnel.ts';
import { copyOut } from '../../functions/export/copy-out.ts';
import { issueCertificate, makeUserAuthority, type Grant } from '../../local/aptible/ssh-certificate.ts';
import type { Running } from '../../local/aptible/volumes.ts';
import { makeAuthority } from '../../local/x509.ts';
import { makeVolumes } from './fixture.ts';
import { SSHD, startSshd, type Sshd } from './sshd.ts';

/** The same client against OpenSSH's own server, which decides what a certificate and its signature are. */

const TLS_NAME = 'localhost.stack.internal';
const ENDLESS = `COPY (SELECT repeat('x', 1000) FROM public.t CROSS JOIN public.t AS again) TO STDOUT (FORMAT csv)`;

const reason =
  'OpenSSH server (sshd) is not installed: the tunnel was NOT tested against it. Next: apt-get install openssh-server';
if (SSHD === undefined) console.error(`\n!!! SKIPPED: ${reason}\n`);

describe('against OpenSSH', { skip: SSHD === undefined && reason }, () => {
  const authority = makeAuthority('Commons CA');
  const ends: (() => Promise<void>)[] = [];
  let sshd: Sshd;
  let database: Running;
  before(async () => {
    const { volumes, remove } = await makeVolumes(`CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 20000) g`);
    ends.push(remove);
    database = await volumes.restore('restored', authority.issue(TLS_NAME));
    ends.push(database.stop);
    sshd = await startSshd(database.port);
    ends.push(sshd.close);
  });
  after(async () => {
    for (const end of ends.toReversed()) await end();
  });

  type More = Partial<Grant> & { otherAuthority?: boolean; hostKey?: string };
  /** Answers for the tunnel's two requests, as Aptible would, with this server's way in. */
  function apiOf(more: More): Api {
    let serial = 0;
    const Asked = z.object({ ssh_public_key: z.string() });
    return {
      token: async () => 'token',
      get: () => assert.fail('nothing is read'),
      post: async (_path, body, schema) => {
        const asked = Asked.safeParse(body);
        if (!asked.success) {
          return schema.parse({
            id: ++serial,
            type: 'tunnel',
            status: 'succeeded',
            created_at: new Date().toISOString(),
          });
        }
        const certificate = issueCertificate(more.otherAuthority ? makeUserAuthority() : sshd.authority, {
          publicKey: asked.data.ssh_public_key,
          principal: more.principal ?? sshd.user,
          from: more.from ?? new Date(Date.now() - 60_000),
          until: more.until ?? new Date(Date.now() + 600_000),
          serial,
        });
        return schema.parse({
          ssh_user: sshd.user,
          ssh_certificate_body: certificate,
          ssh_port_forward_socket: sshd.socket,
        });
      },
    };
  }

  async function withTunnel(more: More, work: (tunnel: Tunnel) => Promise<void>): Promise<void> {
    const tunnel = openTunnel(
      apiOf(more),
      {
        account: { id: 1, handle: 'commons', ca_body: authority.certificate, _links: { stack: { href: '' } } },
        stack: {
          ssh_portal_host: '127.0.0.1',
          ssh_portal_port: sshd.port,
          ssh_host_rsa_public_key: more.hostKey ?? sshd.hostKey,
          internal_domain: 'stack.internal',
        },
        credential: {
          id: 1,
          default: true,
          connection_url: `postgresql://${database.user}:${database.password}@x:5432/${database.database}`,
        },
        sessions: 2,
        tlsName: undefined,
        applicationName: 'test',
      },
      { silenceMs: 1500, pausesMs: [50, 100] },
    );
    try {
      await work(tunnel);
    } finally {
      await tunnel.close();
    }
  }

  async function rowsOf(tunnel: Tunnel): Promise<number> {
    const client = await tunnel.connect();
    try {
      const { rows } = await client.query<{ count: string }>('SELECT count(*) FROM public.t');
      return Number(rows[0]?.count);
    } finally {
      await client.end();
    }
  }

  test('it lets the certificate in, forwards, and a COPY arrives whole over four connections', async () => {
    await withTunnel({}, async (tunnel) => {
      const counts = await Promise.all(
        Array.from({ length: 4 }, async () => {
          const client = await tunnel.connect();
          let rows = 0;
          const sql = `COPY (SELECT repeat('x', 1000) FROM public.t) TO STDOUT (FORMAT csv)`;
          for await (const block of copyOut(client, sql)) rows += block.rows;
          await client.end();
          return rows;
        }),
      );
      assert.deepEqual(counts, [20000, 20000, 20000, 20000]);
    });
  });

  for (const [what, signal, limitMs] of [
    ['killed', 'SIGKILL', 1000],
    ['frozen', 'SIGSTOP', 4000],
  ] as const) {
    test(`a session that is ${what} in the middle of a COPY is given up, and another one opened`, async () => {
      await withTunnel({}, async (tunnel) => {
        const client = await tunnel.connect();
        let begun = 0;
        await assert.rejects(async () => {
          for await (const block of copyOut(client, ENDLESS)) {
            if (begun > 0 || block.rows === 0) continue;
            begun = Date.now();
            for (const pid of await sshd.sessions()) process.kill(pid, signal);
          }
        }, /Connection terminated unexpectedly/u);
        const took = Date.now() - begun;
        assert(took < limitMs, `${took} ms`);
        assert.equal(await rowsOf(tunnel), 20000);
        if (signal === 'SIGSTOP') for (const pid of await sshd.sessions()) process.kill(pid, 'SIGCONT');
      });
    });
  }

  const refusals: [what: string, more: () => More, message: RegExp][] = [
    [
      'another host key',
      () => ({ hostKey: otherKey() }),
      /shows another host key than the one that Aptible's API gives/u,
    ],
    ['another authority', () => ({ otherAuthority: true }), /it does not trust the authority that signed it$/u],
    ['an expired certificate', () => ({ until: new Date(Date.now() - 1000) }), /it expired at \S+Z$/u],
    ['another principal', () => ({ principal: 'somebody' }), /it is for somebody, not for the user/u],
  ];
  const otherKey = (): string => `ssh-rsa ${makeUserAuthority().blob.toString('base64')}`;
  for (const [what, more, message] of refusals) {
    test(`it refuses, or is refused: ${what}`, async () => {
      await withTunnel(more(), async (tunnel) => {
        await assert.rejects(tunnel.connect(), message);
      });
    });
  }
});
