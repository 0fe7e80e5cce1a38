import { BigQuery } from '@google-cloud/bigquery';
import { environment } from '../environment.ts';
import { credentialsFor } from './credentials.ts';

export type Rows = { columns: string[]; rows: unknown[][] };

/** Runs a person's own query; unlike the chain's, its errors are shown in full to that person, and logged nowhere. */
export async function queryRows(query: string, defaultDataset: string): Promise<Rows> {
  const {
    GOOGLE_CLOUD_PROJECT: projectId,
    BIGQUERY_ENDPOINT: apiEndpoint,
    BIGQUERY_LOCATION: location,
  } = environment();
  const client = new BigQuery({
    projectId,
    location,
    ...(apiEndpoint && { apiEndpoint }),
    ...credentialsFor(apiEndpoint),
  });
  const [job] = await client.createQueryJob({
    query,
    useLegacySql: false,
    defaultDataset: { datasetId: defaultDataset, projectId },
  });
  const [rows, , response] = await job.getQueryResults();
  const columns = response?.schema?.fields?.map(({ name }) => name ?? '') ?? [];
  return { columns, rows: rows.map((row: Record<string, unknown>) => columns.map((name) => plain(row[name]))) };
}

/** The client's own classes for dates, numbers and bytes, as their text. */
function plain(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString('base64');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  if ('value' in value && Object.keys(value).length === 1) return plain(value.value);
  // big.js, which the client gives NUMERIC and BIGNUMERIC as.
  if ('toFixed' in value && typeof value.toFixed === 'function') return String(value.toFixed());
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}
