import { cloudEvent, http } from '@google-cloud/functions-framework';
import type { PubSubEvent } from './mirror/messages.ts';

/**
 * The chain's contents page: every function in chain order, event in → effect → event out. Each is deployed as a service of
 * its own and loads only its own step, so that a cold start pays for nothing else. (The framework goes by a handler's
 * number of parameters: exactly one, or the event is never answered.)
 */

// Cloud Scheduler → export/main.ts, a Cloud Run job: every table is streamed into objects → gs://<data>/chunks/<run>/…json

// mirror-objects: a manifest was created → its chunk's tables are loaded → mirror-completions {step: load, chunk}
cloudEvent('load', async (event: PubSubEvent) => (await import('./load/index.ts')).load(event));

// mirror-completions: a chunk is loaded → its tables' transformed twins → mirror-completions {step: transform, chunk}
cloudEvent('transform', async (event: PubSubEvent) => (await import('./transform/index.ts')).transform(event));

// mirror-completions: all chunks are loaded → error rows gathered, coverage told → mirror-completions {step: sli}
cloudEvent('sli', async (event: PubSubEvent) => (await import('./sli/index.ts')).sli(event));

// mirror-completions: all is loaded and transformed → tables copied to their shard, views moved → {step: views}
cloudEvent('views', async (event: PubSubEvent) => (await import('./views/index.ts')).views(event));

// mirror-failures: a step has failed → one Slack message
cloudEvent('alert', async (event: PubSubEvent) => (await import('./alert/index.ts')).alert(event));

// GET / → the status page over the ledger
http('status', async (request, response) => (await import('./status/index.ts')).status(request, response));
