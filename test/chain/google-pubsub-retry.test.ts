import { overGooglePubSub } from './google-pubsub.ts';

await overGooglePubSub(() => import('./retry.test.ts'));
