import { compileFilter } from './filter.ts';
import { deadLetter } from './dead-letter.ts';
import { type Change, openJournal } from './journal.ts';
import type { Message, NewMessage } from './message.ts';
import { alreadyExists, DELETED_TOPIC, notFound } from './names.ts';
import { createPush } from './push.ts';
import { createQueue, type Queue } from './queue.ts';
import { queueSettings } from './retry.ts';
import type { Subscription, Topic } from './resources.ts';

/** Why an open pull ends although its caller still waits. */
export type EndReason = 'deleted' | 'pushes' | 'closed';

export type SubscriptionState = {
  resource: Subscription;
  readonly queue: Queue;
  readonly matches: (attributes: Record<string, string>) => boolean;
  /** The open pulls and streams, each by what ends it. */
  readonly pullers: Set<(reason: EndReason) => void>;
  readonly push: ReturnType<typeof createPush>;
};

export type Broker = ReturnType<typeof openBroker>;

/** Topics, subscriptions and their messages, on disk in `directory`. Requests are checked before they get here. */
export function openBroker(directory: string) {
  const topics = new Map<string, Topic>();
  const subscriptions = new Map<string, SubscriptionState>();
  // Ids look like the service's and grow across restarts without being stored: a microsecond clock that no publisher outruns.
  let lastId = Date.now() * 1000;
  const journal = openJournal(directory, replay, snapshot);
  for (const state of subscriptions.values()) {
    state.queue.resume();
    state.push.settings(state.resource);
  }

  function replay(change: Change): void {
    switch (change.change) {
      case 'topic':
        topics.set(change.topic.name, change.topic);
        return;
      case 'topicDeleted':
        dropTopic(change.name);
        return;
      case 'subscription':
        putSubscription(change.subscription);
        return;
      case 'subscriptionDeleted':
        subscriptions.delete(change.name);
        return;
      case 'message':
        lastId = Math.max(lastId, Number(change.message.id));
        for (const [name, attempts] of Object.entries(change.holders))
          subscriptions.get(name)?.queue.add(change.message, attempts);
        return;
      case 'delivered':
      case 'removed':
        subscriptions.get(change.subscription)?.queue.replay(change.change, change.ids);
        return;
    }
  }

  function* snapshot(): Generator<Change> {
    for (const topic of topics.values()) yield { change: 'topic', topic };
    const messages = new Map<string, { change: 'message'; message: Message; holders: Record<string, number> }>();
    for (const { resource, queue } of subscriptions.values()) {
      yield { change: 'subscription', subscription: resource };
      for (const { message, attempts } of queue.entries()) {
        const kept = messages.get(message.id) ?? { change: 'message', message, holders: {} };
        kept.holders[resource.name] = attempts;
        messages.set(message.id, kept);
      }
    }
    yield* messages.values();
  }

  function dropTopic(name: string): void {
    topics.delete(name);
    for (const state of subscriptions.values())
      if (state.resource.topic === name) state.resource = { ...state.resource, topic: DELETED_TOPIC };
  }

  function putSubscription(resource: Subscription): SubscriptionState {
    const existing = subscriptions.get(resource.name);
    if (existing) {
      existing.resource = resource;
      return existing;
    }
    const { name } = resource;
    const settings = () => queueSettings(state.resource);
    const queue = createQueue(name, settings, {
      delivered: (ids) => journal.append([{ change: 'delivered', subscription: name, ids }]),
      removed: (ids) => journal.append([{ change: 'removed', subscription: name, ids }]),
      forwarded: (message, attempts) => forwardDeadLetter(state.resource, message, attempts),
    });
    const state: SubscriptionState = {
      resource,
      queue,
      matches: compileFilter(resource.filter ?? ''),
      pullers: new Set(),
      push: createPush(queue),
    };
    subscriptions.set(name, state);
    return state;
  }

  /** Records messages for every subscription of the topic that wants them, together with `also`, then offers them. */
  function distribute(topic: string, messages: NewMessage[], also: Change[] = []): string[] {
    const publishTime = Date.now();
    const receivers = [...subscriptions.values()].filter(({ resource }) => resource.topic === topic);
    const changes: Change[] = [];
    const additions: { queue: Queue; message: Message }[] = [];
    const ids = messages.map((content) => {
      lastId += 1;
      const message = { id: String(lastId), publishTime, ...content };
      const wanting = receivers.filter(({ matches }) => matches(message.attributes));
      if (wanting.length > 0)
        changes.push({
          change: 'message',
          message,
          holders: Object.fromEntries(wanting.map(({ resource }) => [resource.name, 0])),
        });
      additions.push(...wanting.map(({ queue }) => ({ queue, message })));
      return message.id;
    });
    if (changes.length + also.length > 0) journal.append([...changes, ...also]);
    for (const { queue, message } of additions) queue.add(message);
    for (const { queue } of receivers) queue.offer();
    return ids;
  }

  /** True if the message had its last attempt and went to the dead-letter topic; false keeps it here. */
  function forwardDeadLetter(from: Subscription, message: Message, attempts: number): boolean {
    const policy = from.deadLetterPolicy;
    if (!policy || attempts < policy.maxDeliveryAttempts) return false;
    // The service, too, keeps on delivering what it cannot forward: a missing topic loses nothing.
    if (!topics.has(policy.deadLetterTopic)) return false;
    // One write: the message is here or there, whenever the process is killed.
    distribute(
      policy.deadLetterTopic,
      [deadLetter(from, message, attempts)],
      [{ change: 'removed', subscription: from.name, ids: [message.id] }],
    );
    return true;
  }

  function subscription(name: string): SubscriptionState {
    const state = subscriptions.get(name);
    if (!state) throw notFound(name);
    return state;
  }

  function topic(name: string): Topic {
    const found = topics.get(name);
    if (!found) throw notFound(name);
    return found;
  }

  function putTopic(resource: Topic): Topic {
    journal.append([{ change: 'topic', topic: resource }]);
    topics.set(resource.name, resource);
    return resource;
  }

  return {
    topics,
    subscriptions,
    topic,
    subscription,
    putTopic,

    createTopic(resource: Topic): Topic {
      if (topics.has(resource.name)) throw alreadyExists(resource.name);
      return putTopic(resource);
    },

    deleteTopic(name: string): void {
      topic(name);
      journal.append([{ change: 'topicDeleted', name }]);
      dropTopic(name);
    },

    createSubscription(resource: Subscription): Subscription {
      if (subscriptions.has(resource.name)) throw alreadyExists(resource.name);
      topic(resource.topic);
      if (resource.deadLetterPolicy) topic(resource.deadLetterPolicy.deadLetterTopic);
      journal.append([{ change: 'subscription', subscription: resource }]);
      putSubscription(resource).push.settings(resource);
      return resource;
    },

    updateSubscription(resource: Subscription): Subscription {
      subscription(resource.name);
      if (resource.deadLetterPolicy) topic(resource.deadLetterPolicy.deadLetterTopic);
      journal.append([{ change: 'subscription', subscription: resource }]);
      const state = putSubscription(resource);
      state.push.settings(resource);
      if (resource.pushConfig.pushEndpoint) for (const end of state.pullers) end('pushes');
      return resource;
    },

    async deleteSubscription(name: string): Promise<void> {
      const state = subscription(name);
      journal.append([{ change: 'subscriptionDeleted', name }]);
      subscriptions.delete(name);
      for (const end of state.pullers) end('deleted');
      state.queue.close();
      await state.push.close();
    },

    publish(name: string, messages: NewMessage[]): string[] {
      topic(name);
      return distribute(name, messages);
    },

    /** True when no push subscription holds a message, waiting or under way. */
    idle: () =>
      [...subscriptions.values()].every(
        ({ resource, queue }) => !resource.pushConfig.pushEndpoint || queue.size() === 0,
      ),

    /** Ends all open pulls and streams, with the status that has clients try again. */
    endPulls(): void {
      for (const { pullers } of subscriptions.values()) for (const end of pullers) end('closed');
    },

    /** Ends the deliveries under way; their messages are delivered again after the next open. */
    async close(): Promise<void> {
      const states = [...subscriptions.values()];
      for (const { queue } of states) queue.close();
      await Promise.all(states.map(({ push }) => push.close()));
      journal.close();
    },
  };
}
