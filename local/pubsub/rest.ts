import { type Handler, readBody, sendJson } from '../http.ts';
import type { IncomingMessage } from 'node:http';
import type { Delivery } from './message.ts';
import type { Operations, Page } from './operations.ts';
import { statusOf, StatusError, unimplemented } from './status.ts';
import type { Subscription, Topic } from './resources.ts';

/** What a route has to work with: the resource's name as the path gives it, the body, and the query. */
type Call = { name: string; body: Record<string, unknown>; query: Record<string, string>; signal: AbortSignal };

type Route = { method: string; path: RegExp; answer: (call: Call) => unknown };

/** The API as JSON over HTTP, in the form that `gcloud pubsub` uses, over the same state as gRPC. */
export function createRest(operations: Operations): Handler {
  const routes = routesOf(operations);
  return async (request, response) => {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    try {
      const url = new URL(request.url ?? '/', 'http://localhost');
      const path = decodeURIComponent(url.pathname);
      const matching = routes.filter((route) => route.path.test(path));
      const route = matching.find(({ method }) => method === request.method);
      if (!route) throw unimplemented(`${request.method} ${url.pathname}`);
      const name = route.path.exec(path)?.[1] ?? '';
      const query = Object.fromEntries(url.searchParams);
      const body = await readJson(request);
      sendJson(response, 200, (await route.answer({ name, body, query, signal: gone.signal })) ?? {});
    } catch (error) {
      const { http, name, message } = statusOf(error);
      sendJson(response, http, { error: { code: http, message, status: name } });
    }
  };
}

function routesOf(operations: Operations): Route[] {
  const project = String.raw`^/v1/(projects/[^/]+)`;
  const topic = String.raw`^/v1/(projects/[^/]+/topics/[^/:]+)`;
  const subscription = String.raw`^/v1/(projects/[^/]+/subscriptions/[^/:]+)`;
  const route = (method: string, path: string, answer: Route['answer']) => ({
    method,
    path: new RegExp(`${path}$`),
    answer,
  });
  return [
    route('GET', `${project}/topics`, ({ name, query }) =>
      page('topics', operations.listTopics({ project: name, ...paging(query) }), active),
    ),
    route('PUT', topic, ({ name, body }) => active(operations.createTopic({ ...body, name }))),
    route('GET', topic, ({ name }) => active(operations.getTopic({ topic: name }))),
    route('PATCH', topic, ({ name, body }) => active(operations.updateTopic(named('topic', name, body)))),
    route('DELETE', topic, ({ name }) => operations.deleteTopic({ topic: name })),
    route('GET', `${topic}/subscriptions`, ({ name, query }) =>
      page('subscriptions', operations.listTopicSubscriptions({ topic: name, ...paging(query) }), String),
    ),
    route('POST', `${topic}:publish`, ({ name, body }) => operations.publish({ ...body, topic: name })),
    route('GET', `${project}/subscriptions`, ({ name, query }) =>
      page('subscriptions', operations.listSubscriptions({ project: name, ...paging(query) }), active),
    ),
    route('PUT', subscription, ({ name, body }) => active(operations.createSubscription({ ...body, name }))),
    route('GET', subscription, ({ name }) => active(operations.getSubscription({ subscription: name }))),
    route('PATCH', subscription, ({ name, body }) =>
      active(operations.updateSubscription(named('subscription', name, body))),
    ),
    route('DELETE', subscription, ({ name }) => operations.deleteSubscription({ subscription: name })),
    route('POST', `${subscription}:modifyPushConfig`, ({ name, body }) =>
      operations.modifyPushConfig({ ...body, subscription: name }),
    ),
    route('POST', `${subscription}:pull`, async ({ name, body, signal }) => {
      const { state, deliveries } = await operations.pull({ ...body, subscription: name }, signal);
      if (deliveries.length === 0) return {};
      return { receivedMessages: deliveries.map((delivery) => received(state.resource, delivery)) };
    }),
    route('POST', `${subscription}:acknowledge`, ({ name, body }) =>
      operations.acknowledge({ ...body, subscription: name }),
    ),
    route('POST', `${subscription}:modifyAckDeadline`, ({ name, body }) =>
      operations.modifyAckDeadline({ ...body, subscription: name }),
    ),
  ];
}

/** A PATCH body with the resource's name from the path. */
function named(field: string, name: string, body: Record<string, unknown>): object {
  const resource = body[field];
  return { ...body, [field]: { ...(typeof resource === 'object' ? resource : {}), name } };
}

function paging({ pageSize, pageToken }: Record<string, string>): object {
  return { ...(pageSize !== undefined && { pageSize }), ...(pageToken !== undefined && { pageToken }) };
}

/** A topic or subscription as it is shown; nothing here makes one otherwise than active. */
function active(resource: Topic | Subscription): object {
  return { ...resource, state: 'ACTIVE' };
}

function page<T>(field: string, { items, nextPageToken }: Page<T>, render: (item: T) => unknown): object {
  return { ...(items.length > 0 && { [field]: items.map(render) }), ...(nextPageToken !== '' && { nextPageToken }) };
}

function received(subscription: Subscription, { ackId, message, attempt }: Delivery): object {
  return {
    ackId,
    message: {
      ...(message.data.length > 0 && { data: message.data.toString('base64') }),
      ...(Object.keys(message.attributes).length > 0 && { attributes: message.attributes }),
      messageId: message.id,
      publishTime: new Date(message.publishTime).toISOString(),
      ...(message.orderingKey !== '' && { orderingKey: message.orderingKey }),
    },
    ...(subscription.deadLetterPolicy && { deliveryAttempt: attempt }),
  };
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const text = (await readBody(request)).toString('utf8');
  if (text === '') return {};
  let body: unknown;
  try {
    // "null is an accepted value for all field types and treated as the default value": as if it were not sent.
    body = JSON.parse(text, (_, value: unknown) => value ?? undefined);
  } catch (error) {
    throw new StatusError(
      'INVALID_ARGUMENT',
      `Invalid JSON payload received. ${error instanceof Error ? error.message : ''}`,
    );
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new StatusError('INVALID_ARGUMENT', 'Invalid JSON payload received. A JSON object is needed.');
  return { ...body };
}
