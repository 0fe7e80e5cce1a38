import { openPubSub } from '../../local/pubsub/index.ts';

// A stand-in in a process of its own, for tests that kill it: `node pubsub-server.ts DIRECTORY` prints its endpoint.
const [directory = ''] = process.argv.slice(2);
const { endpoint } = await openPubSub({ directory });
process.stdout.write(`${endpoint}\n`);
