import { z } from 'zod';
import { PermanentError } from '../../mirror/errors.ts';
import { Ambiguous, NotFound, type Api } from './answers.ts';

/**
 * Everything that is assumed of the real Aptible, in one place: its resources, their states, and how the SSH portal is to
 * be spoken to. Taken from Aptible's own command line and client libraries; the list for a reader is in docs/gotchas.md.
 */

// --- Logging in ---

export const ENDPOINTS = { auth: 'https://auth.aptible.com', api: 'https://api.aptible.com' } as const;

const TOKEN_SECONDS = 43_200;

export const tokenRequest = (by: { username: string; password: string; otp: string | undefined }): object => ({
  grant_type: 'password',
  username: by.username,
  password: by.password,
  scope: 'manage',
  expires_in: TOKEN_SECONDS,
  ...(by.otp !== undefined && { otp_token: by.otp }),
});

export const TokenSchema = z.object({ access_token: z.string().min(1), expires_at: z.string() });

export const ERROR_CODES = { otpRequired: 'otp_token_required', ambiguous: 'multiple_resources_found' } as const;

/** "When set to no_sensitive_extras=true, omits sensitive fields and embedded resources from the response." */
export const PREFER_SENSITIVE = (sensitive: boolean): { prefer: string } => ({
  prefer: `no_sensitive_extras=${sensitive ? 'false' : 'true'}`,
});

// --- Resources ---

const Link = z.object({ href: z.string() });
const Id = z.number().int();
const Time = z.string().refine((text) => !Number.isNaN(Date.parse(text)));

export const AccountSchema = z.object({
  id: Id,
  handle: z.string(),
  ca_body: z.string().nullish(),
  _links: z.object({ stack: Link }),
});
export type Account = z.infer<typeof AccountSchema>;

export const StackSchema = z.object({
  ssh_portal_host: z.string().min(1),
  ssh_portal_port: z.coerce.number().int(),
  ssh_host_rsa_public_key: z.string().min(1),
  internal_domain: z.string().min(1),
});
export type Stack = z.infer<typeof StackSchema>;

export const DatabaseSchema = z.object({
  id: Id,
  handle: z.string(),
  type: z.string().nullish(),
  /** `pending`, `provisioning`, `provisioned`, `deprovisioning`, `deprovisioned`, `provision_failed`, `deprovision_failed`. */
  status: z.string(),
  _links: z.object({ database_credentials: Link.optional(), account: Link.optional() }),
});
export type Database = z.infer<typeof DatabaseSchema>;

export const CredentialSchema = z.object({ id: Id, default: z.boolean(), connection_url: z.string() });
export type Credential = z.infer<typeof CredentialSchema>;

export const BackupSchema = z.object({
  id: Id,
  created_at: Time,
  manual: z.boolean().nullish(),
  _links: z
    .object({ database: Link.nullish(), created_from_operation: Link.nullish() })
    .default({ database: undefined, created_from_operation: undefined }),
  _embedded: z.object({ copied_from: z.unknown().optional() }).nullish(),
});
export type Backup = z.infer<typeof BackupSchema>;

export const OperationSchema = z.object({
  id: Id,
  type: z.string(),
  /** `queued`, `running`, then `succeeded` or `failed`. */
  status: z.string(),
  handle: z.string().nullish(),
  created_at: Time,
});
export type Operation = z.infer<typeof OperationSchema>;

/** Answers to a tunnel's operation: the user and certificate of one session, and the socket that it may forward. */
export const PortalConnectionSchema = z.object({
  ssh_user: z.string().min(1),
  ssh_certificate_body: z.string().min(1),
  ssh_port_forward_socket: z.string().min(1),
});
export type PortalConnection = z.infer<typeof PortalConnectionSchema>;

const idOf = (link: { href: string } | null | undefined): number => Number(link?.href.split('/').at(-1));

export const databaseOf = (backup: Backup): number => idOf(backup._links.database);
export const makerOf = (backup: Backup): number => idOf(backup._links.created_from_operation);
/** A copy in another region; the original is in the list too. */
export const isCopy = (backup: Backup): boolean => (backup._embedded?.copied_from ?? undefined) !== undefined;

// --- Reading ---

const PAGE_LIMIT = 200;

async function pages<T>(api: Api, path: string, name: string, item: z.ZodType<T>, sensitive = false): Promise<T[]> {
  const schema = z.object({
    _embedded: z.object({ [name]: z.array(item) }),
    _links: z.object({ next: Link.nullish() }).optional(),
  });
  const items: T[] = [];
  for (let page = 1; page <= PAGE_LIMIT; page++) {
    const answer = await api.get(`${path}${path.includes('?') ? '&' : '?'}page=${page}`, schema, { sensitive });
    items.push(...(answer._embedded[name] ?? []));
    if (!answer._links?.next) return items;
  }
  throw new PermanentError(`Aptible: ${path} has more than ${PAGE_LIMIT} pages`);
}

export async function findAccount(api: Api, handle: string): Promise<Account> {
  const found = await find(api, `/find/account?handle=${encodeURIComponent(handle)}`, AccountSchema, handle);
  if (!found) {
    throw new PermanentError(
      `Aptible has no environment ${handle} that this user can see. Next: correct source.environment in mirror.yaml, or the user's roles`,
    );
  }
  return found;
}

/** Undefined where there is none. */
export const findDatabase = (api: Api, handle: string, account: Account): Promise<Database | undefined> =>
  find(
    api,
    `/find/database?handle=${encodeURIComponent(handle)}&environment=${encodeURIComponent(account.handle)}`,
    DatabaseSchema,
    handle,
  );

async function find<T>(api: Api, path: string, schema: z.ZodType<T>, handle: string): Promise<T | undefined> {
  try {
    return await api.get(path, schema);
  } catch (error) {
    if (error instanceof NotFound) return undefined;
    if (error instanceof Ambiguous) {
      throw new PermanentError(`Aptible has several resources with the handle ${handle}. Next: rename one of them`);
    }
    throw error;
  }
}

export const stackOf = (api: Api, account: Account): Promise<Stack> => api.get(account._links.stack.href, StackSchema);
export const readDatabase = (api: Api, id: number): Promise<Database> => api.get(`/databases/${id}`, DatabaseSchema);
export const readDeleted = (api: Api, id: number): Promise<Database> =>
  api.get(`/databases/${id}?with_deleted=true`, DatabaseSchema);
export const readOperation = (api: Api, id: number): Promise<Operation> =>
  api.get(`/operations/${id}`, OperationSchema);
export const databasesIn = (api: Api, account: Account): Promise<Database[]> =>
  pages(api, `/accounts/${account.id}/databases`, 'databases', DatabaseSchema);
/** With what is embedded: only there does a copy tell what it was copied from. */
export const backupsOf = (api: Api, database: Database): Promise<Backup[]> =>
  pages(api, `/databases/${database.id}/backups`, 'backups', BackupSchema, true);
/** Backups whose database is gone. */
export const orphanedBackups = (api: Api, account: Account): Promise<Backup[]> =>
  pages(api, `/accounts/${account.id}/backups?orphaned=true`, 'backups', BackupSchema);
export const operationsOfBackup = (api: Api, id: number): Promise<Operation[]> =>
  pages(api, `/backups/${id}/operations`, 'operations', OperationSchema);
export const operationsOfDatabase = (api: Api, id: number): Promise<Operation[]> =>
  pages(api, `/databases/${id}/operations`, 'operations', OperationSchema);

/** The credential that the restored database shares with the one that was backed up. */
export async function defaultCredential(api: Api, database: Database): Promise<Credential> {
  const href = database._links.database_credentials?.href ?? `/databases/${database.id}/database_credentials`;
  const schema = z.object({ _embedded: z.object({ database_credentials: z.array(CredentialSchema) }) });
  const answer = await api.get(href, schema, { sensitive: true });
  const found = answer._embedded.database_credentials.find((credential) => credential.default);
  if (found) return found;
  throw new PermanentError(
    `Aptible shows no default credential of ${database.handle}. Next: give the user Sensitive Access`,
  );
}

// --- Acting ---

export const requestBackup = (api: Api, database: Database): Promise<Operation> =>
  api.post(`/databases/${database.id}/operations`, { type: 'backup' }, OperationSchema);

export type Size = { containerMb?: number | undefined; diskGb?: number | undefined };

export const requestRestore = (
  api: Api,
  backupId: number,
  into: { handle: string; account: Account; size: Size },
): Promise<Operation> =>
  api.post(
    `/backups/${backupId}/operations`,
    {
      type: 'restore',
      handle: into.handle,
      destination_account_id: into.account.id,
      ...(into.size.containerMb !== undefined && { container_size: into.size.containerMb }),
      ...(into.size.diskGb !== undefined && { disk_size: into.size.diskGb }),
    },
    OperationSchema,
  );

export const requestDeprovision = (api: Api, database: Database): Promise<Operation> =>
  api.post(`/databases/${database.id}/operations`, { type: 'deprovision' }, OperationSchema);

export const requestPurge = (api: Api, backupId: number): Promise<Operation> =>
  api.post(`/backups/${backupId}/operations`, { type: 'purge' }, OperationSchema);

/** One session's way in. A tunnel's operation has nothing to run: it is created as succeeded. */
export async function requestPortalConnection(
  api: Api,
  credential: Credential,
  publicKey: string,
): Promise<PortalConnection> {
  const operation = await api.post(
    `/database_credentials/${credential.id}/operations`,
    { type: 'tunnel', status: 'succeeded' },
    OperationSchema,
  );
  return api.post(
    `/operations/${operation.id}/ssh_portal_connections`,
    { ssh_public_key: publicKey },
    PortalConnectionSchema,
  );
}

// --- The portal ---

export const PORTAL = {
  /** The stack's RSA key is pinned; ssh2 would negotiate another one where the portal has several. */
  hostKeyAlgorithms: ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'],
  /** Both fast in hardware, and authenticated. */
  ciphers: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'aes256-ctr'],
  /** A shell with this variable is what lets the session forward; its first line says that it may. */
  tokenVariable: 'ACCESS_TOKEN',
  /** The shell's exit code when the session has reached its longest life, 24 hours or less. */
  lifetimeExit: 124,
  /** Who the database's certificate is for. */
  tlsName: (stack: Stack): string => `localhost.${stack.internal_domain}`,
} as const;
