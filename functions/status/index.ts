import type { Request, Response } from '@google-cloud/functions-framework';
import { environment } from '../environment.ts';
import { runIds, statusOf } from '../ledger/status.ts';
import { findPlan } from '../ledger/run.ts';
import { bounded } from '../mirror/bounded.ts';
import { page } from './page.ts';

/** Runs that the page shows. */
const RUNS = 30;

/** A page over the ledger: every run, every step's state, coverage, and how to retry. Only keys and counts; no row value. */
export async function status(request: Request, response: Response): Promise<void> {
  if (request.method !== 'GET') {
    response.status(405).set('Allow', 'GET').send('Only GET is allowed here.\n');
    return;
  }
  const ids = (await runIds()).slice(0, RUNS);
  const runs = await bounded(ids, 4, async (runId) => ({ status: await statusOf(runId), plan: await findPlan(runId) }));
  if (request.query['format'] === 'json') {
    response.json(runs.map((run) => run.status));
    return;
  }
  response
    .set('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'")
    .set('Cache-Control', 'no-store')
    .type('html')
    .send(page(runs, environment().DATA_BUCKET));
}
