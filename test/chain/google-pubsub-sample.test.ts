import { overGooglePubSub } from './google-pubsub.ts';

await overGooglePubSub(() => import('./sample.test.ts'));
