import { runIds } from '../functions/ledger/status.ts';
import { UsageError } from './arguments.ts';

/** A run id from the command line; throws where it is none, or where the ledger does not have it. */
export async function checkRun(text: string): Promise<string> {
  const ids = await runIds();
  if (ids.includes(text)) return text;
  const known = ids.length === 0 ? 'there is none yet' : `the latest is ${ids[0]}`;
  throw new UsageError(`There is no run ${text}; ${known}. Next: commons-mirror status`);
}
