import { PassThroughClient, type AuthClient } from 'google-auth-library';

/**
 * A service behind plain http is on this machine or not to be trusted: no token is ever sent to it. Over https, the
 * clients find the function's own credentials.
 */
export function credentialsFor(endpoint: string | undefined): { authClient?: AuthClient } {
  return endpoint?.startsWith('http://') ? { authClient: new PassThroughClient() } : {};
}
