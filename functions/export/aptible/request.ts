import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { PermanentError, SafeError } from '../../mirror/errors.ts';
import { Ambiguous, NotFound, UnclearAnswer, type Api } from './answers.ts';
import { ERROR_CODES, PREFER_SENSITIVE, tokenRequest, TokenSchema } from './api.ts';

/** HTTP against Aptible: who we are, what may be asked twice, and errors that tell no secret. */

export type Credentials =
  { type: 'token'; token: string } | { type: 'password'; username: string; password: string; otp: string | undefined };

export type Endpoints = { auth: string; api: string };

const REQUEST_LIMIT_MS = 30_000;
const PAUSES_MS = [500, 1000, 2000, 4000, 8000];

export function openApi(endpoints: Endpoints, credentials: Credentials, pausesMs: readonly number[] = PAUSES_MS): Api {
  let held: { token: string; expires: number } | undefined;

  const token = async (fresh = false): Promise<string> => {
    if (credentials.type === 'token') return credentials.token;
    if (!held || fresh || held.expires < Date.now() + 60_000) held = await logIn(credentials);
    return held.token;
  };

  const logIn = async (by: Credentials & { type: 'password' }): Promise<{ token: string; expires: number }> => {
    // A token that nobody uses harms nobody: asking twice is safe here.
    const answer = await repeated(pausesMs, () =>
      send('POST', `${endpoints.auth}/tokens`, {}, tokenRequest(by), 'the log-in'),
    );
    if (answer.status >= 400) throw logInError(answer);
    const { access_token, expires_at } = parsed(answer, TokenSchema, 'the log-in');
    // A one-time password is of no use a second time.
    if (by.otp !== undefined) credentials = { type: 'token', token: access_token };
    return { token: access_token, expires: Date.parse(expires_at) };
  };

  const ask = async (method: 'GET' | 'POST', path: string, body?: object, sensitive = false): Promise<Answer> => {
    const what = `${method} ${path}`;
    const url = path.startsWith('http') ? path : `${endpoints.api}${path}`;
    if (!url.startsWith(`${endpoints.api}/`)) {
      // A link that leads elsewhere would carry the token there.
      throw new PermanentError(`Aptible: a link leads to ${new URL(url).origin}; allowed: ${endpoints.api}`);
    }
    const once = async (fresh: boolean): Promise<Answer> =>
      send(method, url, { authorization: `Bearer ${await token(fresh)}`, ...PREFER_SENSITIVE(sensitive) }, body, what);
    const answer = await once(false);
    // Not carried out, so that a POST may come again too.
    return answer.status === 401 ? once(true) : answer;
  };

  return {
    token: () => token(),
    get: async (path, schema, { sensitive = false } = {}) => {
      const answer = await repeated(pausesMs, () => ask('GET', path, undefined, sensitive));
      if (answer.status >= 400) throw answerError(answer, `GET ${pathOf(path)}`, credentials);
      return parsed(answer, schema, `GET ${pathOf(path)}`);
    },
    post: async (path, body, schema) => {
      const what = `POST ${pathOf(path)}`;
      const answer = await ask('POST', path, body);
      if (answer.status >= 500) throw new UnclearAnswer(what, `HTTP ${answer.status}`);
      if (answer.status >= 400) throw answerError(answer, what, credentials);
      return parsed(answer, schema, what);
    },
  };
}

type Answer = { status: number; body: unknown };

/** One request. Throws UnclearAnswer where no whole answer came. */
async function send(
  method: string,
  url: string,
  headers: Record<string, string>,
  body: object | undefined,
  what: string,
): Promise<Answer> {
  try {
    const response = await fetch(url, {
      method,
      headers: {
        accept: 'application/hal+json',
        ...(body && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(REQUEST_LIMIT_MS),
      // Nothing redirects in this API, and the token would go along.
      redirect: 'error',
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : readJson(text) };
  } catch (error) {
    throw new UnclearAnswer(what, networkReason(error));
  }
}

/** What only reads, or may be asked twice: again after a network error, a 5xx or a 429. */
async function repeated(pausesMs: readonly number[], work: () => Promise<Answer>): Promise<Answer> {
  for (const pause of pausesMs) {
    try {
      const answer = await work();
      if (answer.status < 500 && answer.status !== 429) return answer;
    } catch (error) {
      if (!(error instanceof UnclearAnswer)) throw error;
    }
    await sleep(pause);
  }
  return work();
}

const ErrorBody = z.object({ error: z.string().regex(/^[\w.-]{1,60}$/u) });

/** Aptible's own word for a fault; its sentences may quote what was sent, and stay out. */
function codeOf({ body }: Answer): string | undefined {
  return ErrorBody.safeParse(body).data?.error;
}

function logInError(answer: Answer): Error {
  const code = codeOf(answer);
  if (code === ERROR_CODES.otpRequired) {
    return new PermanentError(
      'Aptible wants a one-time password for this user. Next: use a robot user without one, or set APTIBLE_OTP_TOKEN for a single run',
    );
  }
  const told = `HTTP ${answer.status}${code === undefined ? '' : `, ${code}`}`;
  if (answer.status >= 500 || answer.status === 429) return new SafeError(`Aptible's log-in does not work (${told})`);
  return new PermanentError(
    `Aptible refused the log-in (${told}). Next: correct APTIBLE_USERNAME and APTIBLE_PASSWORD in their secrets`,
  );
}

function answerError(answer: Answer, what: string, credentials: Credentials): Error {
  const code = codeOf(answer);
  const told = `HTTP ${answer.status}${code === undefined ? '' : `, ${code}`}`;
  switch (true) {
    case answer.status === 401:
      return new PermanentError(
        credentials.type === 'token'
          ? 'Aptible refused the access token (401): it has expired or was revoked. Next: set a new APTIBLE_ACCESS_TOKEN, or use a robot user with a password'
          : 'Aptible refused an access token that it had just given out (401). Next: check the user in the dashboard',
      );
    case answer.status === 403:
      return new PermanentError(
        `Aptible refused ${what} (${told}): the user lacks a right. Next: give its role Full Visibility, Operate, ` +
          'Sensitive Access, Deployment, Destruction and Tunnel on the environments',
      );
    case answer.status === 404:
      return new NotFound(what);
    case code === ERROR_CODES.ambiguous:
      return new Ambiguous(what);
    case answer.status === 429 || answer.status >= 500:
      return new SafeError(`Aptible does not answer ${what} (${told})`);
    default:
      return new PermanentError(`Aptible refused ${what} (${told})`);
  }
}

function parsed<T>({ body }: Answer, schema: z.ZodType<T>, what: string): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const fields = result.error.issues.map(({ path }) => path.join('.') || 'the answer');
  throw new PermanentError(`Aptible's answer to ${what} is not as expected, at ${fields.join(', ')}`);
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A path as it may be told: its query names handles only. */
const pathOf = (path: string): string => (path.startsWith('http') ? new URL(path).pathname : path);

function networkReason(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return `none within ${REQUEST_LIMIT_MS / 1000} s`;
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause ? String(cause.code) : 'the connection broke';
}
