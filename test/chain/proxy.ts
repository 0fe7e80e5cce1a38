import { once } from 'node:events';
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { readBody, serve } from '../../local/http.ts';

/** A request on its way through the proxy. `forward` sends it on, as often as it is called. */
export type Passing = {
  method: string;
  /** Without the query. */
  path: string;
  body: string;
  forward: () => Promise<Answer>;
};

export type Answer = { status: number; headers?: IncomingHttpHeaders; body?: Buffer };

/** Looks at a request; undefined lets the next rule look, and behind the last the request passes as it is. */
export type Rule = (request: Passing) => Promise<Answer> | undefined;

export type Proxy = {
  url: string;
  /** Where requests go whose path begins with `prefix`, which is taken off. */
  route: (prefix: string, target: string) => void;
  /** The newest rule looks first. Gives what takes the rule out again. */
  rule: (rule: Rule) => () => void;
  /** Told of every request as it comes, and of the answer that it will have been given. */
  observe: (observer: (request: Passing, answer: Promise<Answer>) => void) => void;
  close: () => Promise<void>;
};

/** No answer at all: the connection breaks. */
export const LOST: Answer = { status: 0 };

/** An error in the form that Google's APIs give it. Their clients themselves try again after 503, for seconds. */
export function refusal(status: number, reason: string, message = 'Refused by a test'): Answer {
  const body = { error: { code: status, message, errors: [{ reason, message, domain: 'global' }] } };
  return { status, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(body)) };
}

/**
 * Stands between two real parties, so that a test can hold, refuse, repeat and count what passes. A target that breaks the
 * connection breaks the caller's, too: a killed process must not look like one that answers.
 */
export async function openProxy(): Promise<Proxy> {
  const rules: Rule[] = [];
  const routes = new Map<string, string>();
  const observers: ((request: Passing, answer: Promise<Answer>) => void)[] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = 'GET', url = '/', headers } = request;
    const body = await readBody(request);
    const prefix = [...routes.keys()].find((each) => url.startsWith(each));
    if (prefix === undefined) throw new Error(`The proxy has no route for ${url}`);
    const target = `${routes.get(prefix)}${url.slice(prefix.length)}`;
    const passing: Passing = {
      method,
      path: url.replace(/\?.*$/u, ''),
      body: body.toString(),
      forward: () => send(target, method, headers, body),
    };
    // A target that broke off is a caller's broken connection.
    const answering = (firstOf(rules, passing) ?? passing.forward()).catch(() => LOST);
    for (const observer of observers) observer(passing, answering);
    const answer = await answering;
    if (answer.status === 0) {
      response.destroy();
      return;
    }
    response.writeHead(answer.status, answer.headers);
    response.end(answer.body);
  };
  const server = await serve(handle);
  return {
    url: server.url,
    route: (prefix, target) => void routes.set(prefix, target),
    rule: (rule) => {
      rules.unshift(rule);
      return () => {
        const at = rules.indexOf(rule);
        if (at >= 0) rules.splice(at, 1);
      };
    },
    observe: (observer) => void observers.push(observer),
    close: server.close,
  };
}

function firstOf(rules: readonly Rule[], passing: Passing): Promise<Answer> | undefined {
  for (const rule of rules) {
    const answer = rule(passing);
    if (answer) return answer;
  }
  return undefined;
}

async function send(url: string, method: string, headers: IncomingHttpHeaders, body: Buffer): Promise<Answer> {
  const { host: _host, connection: _connection, 'transfer-encoding': _encoding, ...rest } = headers;
  const forwarded = { ...rest, 'content-length': String(body.length) };
  const request = httpRequest(url, { method, headers: forwarded, agent: false });
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const bytes = await readBody(response);
  const { 'transfer-encoding': _chunked, connection: _kept, ...answered } = response.headers;
  return {
    status: response.statusCode ?? 502,
    headers: { ...answered, 'content-length': String(bytes.length) },
    body: bytes,
  };
}

/** Picks the requests that start one of the mirror's BigQuery jobs, by its purpose: load, staging, good, bad, transform, … */
export const startsJob =
  (purpose: string) =>
  ({ method, path, body }: Passing): boolean =>
    method === 'POST' && path.endsWith('/jobs') && body.includes(`"jobId":"mirror_${purpose}_`);

/** Long, since the machine is shared; what is awaited comes within a second or two. */
export const PATIENCE_MS = 60_000;

/** Something that has begun and waits. */
export type Held = {
  begun: Promise<Passing>;
  /** Sends on what is held, and lets all that follows pass. */
  release: () => void;
  /** Lets all that follows pass; what is held stays so until `release` or `drop`. */
  letPass: () => void;
  /** Breaks the connections of what is held: it never arrives. */
  drop: () => void;
};

/** A rule that holds every request that `wanted` picks. */
export function hold(proxy: Proxy, wanted: (request: Passing) => boolean): Held {
  const begun = Promise.withResolvers<Passing>();
  // Whoever waits for it hears of it; a test that fails earlier does not.
  begun.promise.catch(() => {});
  const inVain = new Error(`Nothing to hold came in ${PATIENCE_MS / 1000} s`);
  const timer = setTimeout(() => begun.reject(inVain), PATIENCE_MS);
  const passed = Promise.withResolvers<boolean>();
  const remove = proxy.rule((request) => {
    if (!wanted(request)) return undefined;
    clearTimeout(timer);
    begun.resolve(request);
    return passed.promise.then((isPassed) => (isPassed ? request.forward() : LOST));
  });
  const letPass = (): void => {
    clearTimeout(timer);
    remove();
  };
  return {
    begun: begun.promise,
    letPass,
    release: () => {
      letPass();
      passed.resolve(true);
    },
    drop: () => {
      letPass();
      passed.resolve(false);
    },
  };
}

/** A rule that refuses what `wanted` picks. `count` is how often it did. */
export function refuse(
  proxy: Proxy,
  wanted: (request: Passing) => boolean,
  answer: Answer = refusal(403, 'accessDenied'),
): { count: () => number; end: () => void } {
  let count = 0;
  const end = proxy.rule((request) => {
    if (!wanted(request)) return undefined;
    count += 1;
    return Promise.resolve(answer);
  });
  return { count: () => count, end };
}
