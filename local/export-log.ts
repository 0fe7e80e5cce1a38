import { open } from 'node:fs/promises';
import { z } from 'zod';
import { PROGRESS_MESSAGE, ReportSchema, type Report } from '../functions/export/progress.ts';

const LineSchema = ReportSchema.extend({ message: z.literal(PROGRESS_MESSAGE), runId: z.string() });

/** Reads a growing log; each call gives what the last new line says of how far the run's export is, or undefined. */
export function followExport(file: string): (runId: string) => Promise<Report | undefined> {
  let offset = 0;
  let rest = '';
  return async (runId) => {
    const text = await readFrom(file, offset);
    offset += text.length;
    const lines = `${rest}${text.toString('utf8')}`.split('\n');
    rest = lines.pop() ?? '';
    return lines
      .filter((line) => line.includes(`"${PROGRESS_MESSAGE}"`))
      .map(parse)
      .findLast((report) => report?.runId === runId);
  };
}

async function readFrom(file: string, offset: number): Promise<Buffer> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(Math.max(size - offset, 0)), 0, null, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

function parse(line: string): z.infer<typeof LineSchema> | undefined {
  try {
    return LineSchema.safeParse(JSON.parse(line)).data;
  } catch {
    // Another process's line that was cut by one of ours.
    return undefined;
  }
}
