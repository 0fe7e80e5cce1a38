import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Storage } from '@google-cloud/storage';
import { PassThroughClient } from 'google-auth-library';
import { serve } from '../local/http.ts';
import { startPostgres } from '../local/postgres/index.ts';
import { openPubSub } from '../local/pubsub/index.ts';
import { openStorage } from '../local/storage/index.ts';
import { fillEvents } from './events-table.ts';
import { median, rounded, spread } from './figures.ts';
import { psqlCopy } from './psql.ts';

/**
 * The whole export, from PostgreSQL into the local Cloud Storage, against psql's `\copy` of the same table to /dev/null with
 * as many streams: interleaved pairs, since the machine's speed drifts. `--gigabytes 1 --streams 2 --pairs 5`.
 */
export async function bench(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: {
      gigabytes: { type: 'string', default: '1' },
      streams: { type: 'string', default: '2' },
      pairs: { type: 'string', default: '5' },
    },
  });
  const [gigabytes, streams, pairs] = [Number(values.gigabytes), Number(values.streams), Number(values.pairs)];
  const directory = await mkdtemp(path.join(tmpdir(), 'commons-bench-'));
  const postgres = await startPostgres({ directory, settings: { max_wal_size: '8GB', shared_buffers: '1GB' } });
  try {
    const pages = await fillEvents(postgres.url, gigabytes);
    await psqlCopy(postgres.url, 'events', streams, pages);
    const ratios: number[] = [];
    const runs: Measured[] = [];
    const references: number[] = [];
    for (let i = 0; i < pairs; i++) {
      const reference = await psqlCopy(postgres.url, 'events', streams, pages);
      const ours = await exportOnce(postgres.url, streams);
      const rate = ours.bytes / 1e6 / ours.seconds;
      const referenceRate = ours.bytes / 1e6 / reference;
      console.log(
        `pair ${i + 1}: ours ${rate.toFixed(0)} MB/s, psql ${referenceRate.toFixed(0)} MB/s, ratio ${(rate / referenceRate).toFixed(3)}, ` +
          `peak ${ours.peakRssMb.toFixed(0)} MB, client CPU ${(ours.cpuSeconds / (ours.bytes / 1e9)).toFixed(2)} s/GB, ` +
          `service CPU ${(ours.serviceCpuSeconds / (ours.bytes / 1e9)).toFixed(2)} s/GB`,
      );
      ratios.push(rate / referenceRate);
      runs.push(ours);
      references.push(referenceRate);
    }
    return {
      name: 'export',
      ours: rounded(median(runs.map(({ bytes, seconds }) => bytes / 1e6 / seconds)), 1),
      reference: rounded(median(references), 1),
      ratio: rounded(median(ratios)),
      spread: spread(ratios).map((value) => rounded(value)),
      peakRssMb: rounded(Math.max(...runs.map(({ peakRssMb }) => peakRssMb)), 0),
      cpuSecondsPerGb: rounded(median(runs.map(({ bytes, cpuSeconds }) => cpuSeconds / (bytes / 1e9))), 2),
      serviceCpuSecondsPerGb: rounded(median(runs.map((run) => run.serviceCpuSeconds / (run.bytes / 1e9))), 2),
      unit: 'MB/s of CSV',
      gigabytes,
      streams,
      pairs,
    };
  } finally {
    await postgres.stop('immediate');
    await rm(directory, { recursive: true, force: true });
  }
}

type Usage = { peakRssMb: number; cpuSeconds: number };
/** `cpuSeconds` are the export's, `serviceCpuSeconds` those of the local Cloud Storage, from the first row on. */
type Measured = Usage & { seconds: number; bytes: number; serviceCpuSeconds: number };

/** The export job's own process, with storage and Pub/Sub in this one. Time is from its first log line to its last. */
async function exportOnce(sourceUrl: string, connections: number): Promise<Measured> {
  const directory = await mkdtemp(path.join(tmpdir(), 'commons-bench-'));
  const pubsub = await openPubSub({ directory: path.join(directory, 'pubsub') });
  const storage = await openStorage({ directory: path.join(directory, 'buckets'), publish: async () => {} });
  const server = await serve(storage.handle);
  try {
    const client = new Storage({ projectId: 'bench', apiEndpoint: server.url, authClient: new PassThroughClient() });
    for (const name of ['bench-data', 'bench-ledger']) await client.createBucket(name);
    const config = path.join(directory, 'mirror.yaml');
    await writeFile(config, configFor(connections));
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', new URL('../functions/export/main.ts', import.meta.url).pathname],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: {
          PATH: process.env['PATH'],
          GOOGLE_CLOUD_PROJECT: 'bench-project',
          BIGQUERY_LOCATION: 'US',
          DATA_BUCKET: 'bench-data',
          LEDGER_BUCKET: 'bench-ledger',
          KMS_KEY: 'google-managed',
          CONFIG_FILE: config,
          SOURCE_URL: sourceUrl,
          STORAGE_ENDPOINT: server.url,
          PUBSUB_EMULATOR_HOST: pubsub.endpoint,
          METADATA_SERVER_DETECTION: 'none',
        },
      },
    );
    const exited = once(child, 'exit');
    let usage: Usage | undefined;
    let begun: { usage: Usage | undefined; service: NodeJS.CpuUsage } | undefined;
    const sampling = setInterval(() => (usage = usageOf(child.pid) ?? usage), 50);
    let log = '';
    child.stdout.on('data', (chunk: Buffer) => {
      log += chunk.toString();
      // What Node spends on starting is another measurement's.
      if (log.includes('"Snapshot')) begun ??= { usage: usageOf(child.pid), service: process.cpuUsage() };
    });
    const [code] = await exited;
    clearInterval(sampling);
    if (code !== 0) throw new Error(`The export ended with ${String(code)}:\n${log}`);
    const lines = log
      .trim()
      .split('\n')
      .map((line): { time: string; message: string; bytes?: number } => JSON.parse(line));
    const first = lines.find(({ message }) => message.startsWith('Snapshot'));
    const last = lines.find(({ message }) => message === 'Export done');
    if (!first || !last) throw new Error(`The export's log has another form:\n${log}`);
    const service = process.cpuUsage(begun?.service);
    return {
      seconds: (Date.parse(last.time) - Date.parse(first.time)) / 1000,
      bytes: last.bytes ?? 0,
      peakRssMb: usage?.peakRssMb ?? Number.NaN,
      cpuSeconds: (usage?.cpuSeconds ?? Number.NaN) - (begun?.usage?.cpuSeconds ?? Number.NaN),
      serviceCpuSeconds: (service.user + service.system) / 1e6,
    };
  } finally {
    await server.close();
    await storage.close();
    await pubsub.close();
    await rm(directory, { recursive: true, force: true });
  }
}

function configFor(connections: number): string {
  return `project: bench-project
region: us-central1
location: US
dataset: bench
source: { type: url, connections: ${connections} }
chunks: [{ name: all, tables: [public.events] }]
`;
}

/** Linux only: the most memory that the process has had, and the CPU time that it has used. */
function usageOf(pid: number | undefined): Usage | undefined {
  try {
    const peak = /VmHWM:\s+(\d+)/u.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    // A process that has ended, and is not yet forgotten, has no memory.
    if (peak === undefined) return undefined;
    // The kernel counts in hundredths of a second.
    return { peakRssMb: Number(peak) / 1000, cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100 };
  } catch {
    return undefined;
  }
}
