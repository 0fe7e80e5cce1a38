import { overGooglePubSub } from './google-pubsub.ts';

await overGooglePubSub(() => import('./twice.test.ts'));
