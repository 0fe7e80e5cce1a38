import { auth, monitoring } from 'googleapis/build/src/apis/monitoring/index.js';
import { environment } from '../environment.ts';
import { SafeError } from '../mirror/errors.ts';

/** One point of a custom metric. */
export type Point = {
  metric: string;
  labels: Record<string, string>;
  value: { doubleValue: number } | { int64Value: string };
  kind: 'GAUGE' | 'CUMULATIVE';
  start?: Date;
  end: Date;
};

const SCOPE = 'https://www.googleapis.com/auth/monitoring.write';

/** Cloud Monitoring: "at most 200 time series per call", one point each. */
const SERIES_PER_CALL = 200;

/**
 * Writes points. A point that Monitoring refuses since its last one of that series is as new or newer counts as done: a
 * repeated step writes the same point again.
 */
export async function writePoints(points: Point[]): Promise<void> {
  const { GOOGLE_CLOUD_PROJECT: project, MONITORING_ENDPOINT: rootUrl } = environment();
  const client = monitoring({
    version: 'v3',
    ...(rootUrl && { rootUrl: `${rootUrl}/` }),
    // As everywhere: no token over plain http.
    ...(!rootUrl?.startsWith('http://') && { auth: new auth.GoogleAuth({ scopes: [SCOPE] }) }),
  });
  for (let i = 0; i < points.length; i += SERIES_PER_CALL) {
    const timeSeries = points.slice(i, i + SERIES_PER_CALL).map(({ metric, labels, value, kind, start, end }) => ({
      metric: { type: `custom.googleapis.com/commons_mirror/${metric}`, labels },
      resource: { type: 'global', labels: { project_id: project } },
      metricKind: kind,
      valueType: 'doubleValue' in value ? 'DOUBLE' : 'INT64',
      points: [
        {
          interval: { endTime: end.toISOString(), ...(start && { startTime: start.toISOString() }) },
          value,
        },
      ],
    }));
    try {
      await client.projects.timeSeries.create({ name: `projects/${project}`, requestBody: { timeSeries } });
    } catch (error) {
      if (!refusedAsOld(error)) throw new SafeError(`Cloud Monitoring refused points (${statusOf(error)})`);
    }
  }
}

const statusOf = (error: unknown): string =>
  error instanceof Error && 'status' in error ? String(error.status) : 'no answer';

/** "Points must be written in order. One or more of the points specified had an older end time than the most recent point." */
function refusedAsOld(error: unknown): boolean {
  return (
    statusOf(error) === '400' && error instanceof Error && /in order|older (?:start|end) time/iu.test(error.message)
  );
}
