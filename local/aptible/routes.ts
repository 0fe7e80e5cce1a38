import type { IncomingMessage, ServerResponse } from 'node:http';
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { readBody, type Handler } from '../http.ts';
import type { Faults } from './faults.ts';
import type { Account, Backup, Database, Operation, World } from './world.ts';

/** Aptible's HTTP API as far as the mirror uses it: HAL JSON, its own errors, its `Prefer` header, its pages. */

export type Tokens = { accepts: (token: string) => boolean; given: () => string[]; handler: Handler };

class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const notFound = (): Refusal => new Refusal(404, 'not_found', 'Not Found');

export type Access = { username: string; password: string; oneTimePassword: string };

/** auth.aptible.com: tokens for a user. */
export function authRoutes(access: Access, faults: Faults): Tokens {
  const expiries = new Map<string, number>();
  const Request = z.object({
    grant_type: z.literal('password'),
    username: z.string(),
    password: z.string(),
    scope: z.literal('manage'),
    expires_in: z.number(),
    otp_token: z.string().optional(),
  });
  return {
    given: () => [...expiries.keys()],
    accepts: (token) => (expiries.get(token) ?? 0) > Date.now(),
    handler: async (request, response) => {
      await answer(response, async () => {
        failAsAsked(faults, false);
        if (request.method !== 'POST' || request.url !== '/tokens') throw notFound();
        const asked = Request.safeParse(JSON.parse((await readBody(request)).toString() || '{}'));
        if (!asked.success) throw new Refusal(422, 'unprocessable_entity', 'Missing parameters');
        const { username, password, otp_token: otp } = asked.data;
        if (username !== access.username || password !== access.password) {
          throw new Refusal(401, 'invalid_credentials', `Invalid password: ${password}`);
        }
        if (faults.wantsOneTimePassword && otp !== access.oneTimePassword) {
          throw new Refusal(401, 'otp_token_required', 'OTP token required');
        }
        const token = randomBytes(24).toString('base64url');
        const expires = Date.now() + faults.tokenSeconds * 1000;
        expiries.set(token, expires);
        return { status: 201, body: { access_token: token, expires_at: new Date(expires).toISOString() } };
      });
    },
  };
}

export type ApiOptions = {
  world: World;
  faults: Faults;
  tokens: Pick<Tokens, 'accepts'>;
  stack: object;
  ca: () => string;
  /** Makes the way in of one session. */
  connect: (database: Database, publicKey: string) => object;
};

type Call = { path: string; query: URLSearchParams; method: string; body: unknown; isSensitive: boolean };
type Answer = { status: number; body: unknown };

/** api.aptible.com. */
export function apiRoutes(options: ApiOptions): Handler {
  const { faults, tokens } = options;
  return async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const text = (await readBody(request)).toString();
    await answer(response, async () => {
      const token = /^Bearer (.+)$/u.exec(request.headers.authorization ?? '')?.[1];
      if (token === undefined || !tokens.accepts(token)) throw new Refusal(401, 'unauthorized', 'Expired token');
      failAsAsked(faults, true);
      const call: Call = {
        path: url.pathname,
        query: url.searchParams,
        method: request.method ?? 'GET',
        body: text === '' ? {} : JSON.parse(text),
        isSensitive: request.headers.prefer === 'no_sensitive_extras=false',
      };
      const type = typeOf(call);
      if (type !== undefined && faults.loseRequest === type) {
        faults.loseRequest = undefined;
        return lost(request);
      }
      const made = call.method === 'POST' ? act(options, call) : read(options, call);
      if (type !== undefined && faults.loseReply === type) {
        faults.loseReply = undefined;
        return lost(request);
      }
      return made;
    });
  };
}

const typeOf = ({ method, body }: Call): string | undefined =>
  method === 'POST' ? z.object({ type: z.string() }).safeParse(body).data?.type : undefined;

/** The connection breaks where the answer should come. */
function lost(request: IncomingMessage): undefined {
  request.socket.destroy();
  return undefined;
}

function failAsAsked(faults: Faults, isApi: boolean): void {
  if (faults.serverErrors > 0) {
    faults.serverErrors -= 1;
    throw new Refusal(503, 'service_unavailable', 'Try again');
  }
  if (isApi && faults.unauthorized > 0) {
    faults.unauthorized -= 1;
    throw new Refusal(401, 'unauthorized', 'Expired token');
  }
}

function read({ world, faults, stack, ca }: ApiOptions, { path, query, isSensitive }: Call): Answer {
  const ok = (body: unknown): Answer => ({ status: 200, body });
  const list = <T>(name: string, items: T[], render: (item: T) => object): Answer =>
    ok(page(name, items.map(render), path, query, faults.pageSize));
  const account = (each: Account): object => ({
    id: each.id,
    handle: each.handle,
    ca_body: ca(),
    _links: { self: link(`/accounts/${each.id}`), stack: link('/stacks/1') },
  });
  const found = <T>(item: T | undefined): T => {
    if (item === undefined) throw notFound();
    return item;
  };
  const [, kind = '', id = '', nested = ''] = path.split('/');
  const database = (): Database =>
    found(
      world.databases.get(Number(id)) ??
        (query.get('with_deleted') === 'true' ? world.deleted.get(Number(id)) : undefined),
    );
  switch (`${kind}/${nested ? `:id/${nested}` : kind === 'find' ? id : ':id'}`) {
    case 'find/account':
      refuseAmbiguous(faults, query);
      return ok(account(found(world.accounts.find(({ handle }) => handle === query.get('handle')))));
    case 'find/database': {
      refuseAmbiguous(faults, query);
      const all = [...world.databases.values()].filter(
        ({ handle, account }) => handle === query.get('handle') && account.handle === query.get('environment'),
      );
      return ok(renderDatabase(found(all[0])));
    }
    case 'stacks/:id':
      return ok(stack);
    case 'accounts/:id/databases':
      return list(
        'databases',
        [...world.databases.values()].filter(({ account }) => account.id === Number(id)),
        renderDatabase,
      );
    case 'accounts/:id/backups': {
      const of = [...world.backups.values()].filter(({ database }) => database.account.id === Number(id));
      const orphaned = query.get('orphaned') === 'true';
      return list(
        'backups',
        of.filter(({ database }) => !orphaned || world.deleted.has(database.id)),
        (backup) => renderBackup(backup, isSensitive),
      );
    }
    case 'databases/:id':
      return ok(renderDatabase(database()));
    case 'databases/:id/backups':
      return list(
        'backups',
        [...world.backups.values()].filter((backup) => backup.database === database()),
        (backup) => renderBackup(backup, isSensitive),
      );
    case 'databases/:id/operations':
    case 'backups/:id/operations':
      if (kind === 'databases') database();
      return list(
        'operations',
        [...world.operations.values()].filter(({ on }) => on.kind === kind && on.id === Number(id)),
        renderOperation,
      );
    case 'databases/:id/database_credentials':
      return list('database_credentials', [database()], (each) => renderCredential(each, isSensitive, faults));
    case 'operations/:id': {
      const operation = found(world.operations.get(Number(id)));
      if (operation.gone) throw notFound();
      return ok(renderOperation(operation));
    }
    default:
      throw notFound();
  }
}

const Body = z.object({
  type: z.string().optional(),
  handle: z.string().optional(),
  destination_account_id: z.number().optional(),
  ssh_public_key: z.string().optional(),
});

function act({ world, connect }: ApiOptions, { path, body }: Call): Answer {
  const [, kind = '', id = '', nested = ''] = path.split('/');
  const asked = Body.parse(body);
  const made = (operation: Operation): Answer => ({ status: 201, body: renderOperation(operation) });
  switch (`${kind}/${nested}/${asked.type ?? ''}`) {
    case 'databases/operations/backup':
    case 'databases/operations/deprovision':
      if (!world.databases.has(Number(id))) throw notFound();
      return made(world.operate(asked.type ?? '', { kind: 'databases', id: Number(id) }, {}));
    case 'backups/operations/purge':
      if (!world.backups.has(Number(id))) throw notFound();
      return made(world.operate('purge', { kind: 'backups', id: Number(id) }, {}));
    case 'backups/operations/restore': {
      const backup = world.backups.get(Number(id));
      if (!backup) throw notFound();
      const { handle } = asked;
      if (handle === undefined || !/^[a-z0-9._-]{1,64}$/u.test(handle)) {
        throw new Refusal(422, 'unprocessable_entity', 'Handle is invalid');
      }
      if ([...world.databases.values()].some((each) => each.handle === handle)) {
        throw new Refusal(422, 'unprocessable_entity', 'Handle has already been taken');
      }
      const account = world.accounts.find((each) => each.id === asked.destination_account_id);
      const into = { handle, account: account ?? backup.database.account };
      return made(world.operate('restore', { kind: 'backups', id: backup.id }, into));
    }
    case 'database_credentials/operations/tunnel':
      return made(world.operate('tunnel', { kind: 'database_credentials', id: Number(id) }, {}));
    case 'operations/ssh_portal_connections/': {
      const operation = world.operations.get(Number(id));
      const database = [...world.databases.values()].find(({ credential }) => credential === operation?.on.id);
      if (!database || asked.ssh_public_key === undefined) throw notFound();
      return { status: 201, body: connect(database, asked.ssh_public_key) };
    }
    default:
      throw notFound();
  }
}

function refuseAmbiguous(faults: Faults, query: URLSearchParams): void {
  if (faults.ambiguous.includes(query.get('handle') ?? '')) {
    throw new Refusal(400, 'multiple_resources_found', 'Multiple resources found');
  }
}

const link = (href: string): { href: string } => ({ href });

function renderDatabase({ id, handle, status, account }: Database): object {
  return {
    id,
    handle,
    type: 'postgresql',
    status,
    _links: {
      self: link(`/databases/${id}`),
      account: link(`/accounts/${account.id}`),
      database_credentials: link(`/databases/${id}/database_credentials`),
    },
  };
}

/** "Omits sensitive fields and embedded resources from the response", unless they are asked for. */
function renderBackup({ id, database, createdAt, manual, copiedFrom, madeBy }: Backup, isSensitive: boolean): object {
  return {
    id,
    created_at: createdAt.toISOString(),
    manual,
    _links: {
      self: link(`/backups/${id}`),
      database: link(`/databases/${database.id}`),
      ...(madeBy !== undefined && { created_from_operation: link(`/operations/${madeBy}`) }),
    },
    ...(isSensitive && { _embedded: { copied_from: copiedFrom === undefined ? null : { id: copiedFrom } } }),
  };
}

function renderOperation({ id, type, status, handle, createdAt }: Operation): object {
  return {
    id,
    type,
    status,
    handle: handle ?? null,
    created_at: createdAt.toISOString(),
    _links: { self: link(`/operations/${id}`) },
  };
}

function renderCredential(
  { credential, running, handle }: Database,
  isSensitive: boolean,
  { databasePassword }: Faults,
): object {
  const url =
    running &&
    `postgresql://${running.user}:${databasePassword ?? running.password}@${handle}.internal:5432/${running.database}`;
  return {
    id: credential,
    default: true,
    ...(isSensitive && url !== undefined && { connection_url: url }),
    _links: { self: link(`/database_credentials/${credential}`) },
  };
}

function page(name: string, items: object[], path: string, query: URLSearchParams, size: number): object {
  const number = Number(query.get('page') ?? '1');
  const more = new URLSearchParams(query);
  more.set('page', String(number + 1));
  return {
    total_count: items.length,
    per_page: size,
    current_page: number,
    _embedded: { [name]: items.slice((number - 1) * size, number * size) },
    _links: { ...(items.length > number * size && { next: link(`${path}?${more.toString()}`) }) },
  };
}

/** Answers with what `work` gives; nothing where the connection is broken on purpose. */
async function answer(response: ServerResponse, work: () => Promise<Answer | undefined>): Promise<void> {
  const made = await work().catch((error: unknown): Answer => {
    if (!(error instanceof Refusal)) throw error;
    const { status, code, message } = error;
    return { status, body: { code: status, error: code, message } };
  });
  if (!made) return;
  response.writeHead(made.status, { 'content-type': 'application/hal+json' });
  response.end(JSON.stringify(made.body));
}
