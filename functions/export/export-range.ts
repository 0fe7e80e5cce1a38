import type { Client } from 'pg';
import { SafeError } from '../mirror/errors.ts';
import type { Part, RangePlan, TablePlan } from '../mirror/plan.ts';
import { copyOut, OversizeRow } from './copy-out.ts';
import { PartWriter } from './part-writer.ts';
import { copyStatement, fingerprintStatement } from './copy-statement.ts';
import type { Fingerprint } from '../mirror/fingerprint.ts';

/** Bytes per object: below 2 GB, and so below BigQuery's 4 GB for CSV with quoted newlines, which it cannot split. */
export const PART_BYTES = 1_800_000_000;

/** Is told of rows and bytes as they arrive. */
export type Count = (rows: number, bytes: number) => void;

export type RangeResult = { rows: number; oversize: boolean; parts: Part[]; fingerprint?: Fingerprint };

/**
 * Streams one range of a table into objects `<prefix><n>.csv`, each with a header line, cut between rows. The count of
 * COPY's tag must be the count of rows that arrived. A row beyond BigQuery's limit makes the range start again with the
 * statement that replaces such a row's large values.
 */
export async function exportRange(
  connect: () => Promise<Client>,
  table: TablePlan,
  range: RangePlan,
  nullToken: string,
  prefix: string,
  count: Count = () => {},
  partBytes = PART_BYTES,
): Promise<RangeResult> {
  const first = await connect();
  try {
    const { rows, parts } = await stream(first, copyStatement(table, range, nullToken), prefix, count, partBytes);
    return { rows, parts, oversize: false, ...(await fingerprintOf(first, table, range)) };
  } catch (error) {
    if (!isOversize(error)) throw error;
  }
  // The interrupted COPY has cost its connection.
  const second = await connect();
  const oversize = { oversize: true };
  const { rows, parts } = await stream(
    second,
    copyStatement(table, range, nullToken, oversize),
    `${prefix}r`,
    count,
    partBytes,
  );
  return { rows, parts, oversize: true };
}

/** A row that is too large leaves its length and digest in the errors table, of which no fingerprint can be made. */
async function fingerprintOf(
  client: Client,
  table: TablePlan,
  range: RangePlan,
): Promise<{ fingerprint?: Fingerprint }> {
  const statement = fingerprintStatement(table, range);
  if (statement === undefined) return {};
  const { rows } = await client.query<string[]>({ text: statement, rowMode: 'array' });
  const [count = '', ...sums] = rows[0] ?? [];
  return { fingerprint: { rows: Number(count), sums } };
}

/** PostgreSQL itself gives up at 1 GB a row: program_limit_exceeded. */
function isOversize(error: unknown): boolean {
  return error instanceof OversizeRow || (error instanceof Error && 'code' in error && error.code === '54000');
}

async function stream(
  client: Client,
  sql: string,
  prefix: string,
  count: Count,
  partBytes: number,
): Promise<{ rows: number; parts: Part[] }> {
  const parts: Part[] = [];
  let header: Buffer | undefined;
  let part: PartWriter | undefined;
  let counted = 0;
  const blocks = copyOut(client, sql);
  try {
    for (;;) {
      const next = await blocks.next();
      if (next.done) {
        if (part) parts.push(await part.finish());
        if (counted !== next.value) {
          throw new SafeError(`COPY's tag says ${next.value} rows, ${counted} arrived (objects ${prefix}*)`);
        }
        return { rows: counted, parts };
      }
      let { bytes, rows } = next.value;
      if (!header) {
        // The COPY's first message is the header line; column names hold no newline.
        header = Buffer.from(bytes.subarray(0, bytes.indexOf(0x0a) + 1));
        bytes = bytes.subarray(header.length);
        rows -= 1;
      }
      if (part && part.bytes + bytes.length > partBytes) {
        parts.push(await part.finish());
        part = undefined;
      }
      if (!part) {
        part = new PartWriter(`${prefix}${parts.length}.csv`);
        await part.write(header, 0);
      }
      if (rows > 0) await part.write(bytes, rows);
      counted += rows;
      count(rows, bytes.length);
    }
  } catch (error) {
    part?.abandon();
    throw error;
  } finally {
    await blocks.return(0);
  }
}
