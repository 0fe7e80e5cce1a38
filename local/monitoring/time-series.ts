import { z } from 'zod';
import { ApiError, notImplemented } from '../http.ts';
import { parseFilter } from './filter.ts';
import { InvalidArgument, parse } from './invalid.ts';
import { type Descriptor, refusal, type Series, seriesKey, seriesSchema, valueTypeOf } from './series.ts';
import type { Store } from './store.ts';

const createSchema = z.strictObject({ timeSeries: z.array(seriesSchema) });

/** Writes what can be written; the error names the rest, as the service does. */
export function createTimeSeries(store: Store, name: string, body: unknown): object {
  const { timeSeries } = parse(createSchema, body);
  if (timeSeries.length === 0 || timeSeries.length > 200)
    throw new InvalidArgument(
      `Field timeSeries had an invalid value: between 1 and 200 TimeSeries can be written per request; received ${timeSeries.length}.`,
    );
  const project = store.project(name);
  const refusals: string[] = [];
  const seen = new Set<string>();
  for (const [index, sent] of timeSeries.entries()) {
    const series = {
      ...sent,
      resource: { ...sent.resource, labels: { project_id: name.slice('projects/'.length), ...sent.resource.labels } },
    };
    const key = seriesKey(series);
    const descriptor = project.descriptors.get(series.metric.type);
    const last = project.series.get(key)?.points.at(-1);
    const reason = seen.has(key)
      ? `Field timeSeries[${index}] had an invalid value: Duplicate TimeSeries encountered. Only one point can be written per TimeSeries per request.`
      : refusal(series, index, { descriptor, last, now: Date.now() });
    seen.add(key);
    if (reason === undefined) write(store, name, series, descriptor);
    else refusals.push(`timeSeries[${index}]: write for resource=${described(sent.resource)} failed with: ${reason}`);
  }
  if (refusals.length === 0) return {};
  throw new InvalidArgument(`One or more TimeSeries could not be written: ${refusals.join('; ')}`, {
    '@type': 'type.googleapis.com/google.monitoring.v3.CreateTimeSeriesSummary',
    totalPointCount: timeSeries.length,
    ...(refusals.length < timeSeries.length && { successPointCount: timeSeries.length - refusals.length }),
    errors: [{ status: { code: 3 }, pointCount: refusals.length }],
  });
}

/** The points of a metric's series within an interval, newest first. */
export function listTimeSeries(store: Store, name: string, query: URLSearchParams): object {
  for (const parameter of query.keys())
    if (!['filter', 'interval.startTime', 'interval.endTime', 'view', 'pageSize', 'alt'].includes(parameter))
      throw notImplemented('Monitoring', `timeSeries.list with ${parameter}`);
  const { metricType, matches } = parseFilter(query.get('filter') ?? '');
  const end = time(query, 'interval.endTime');
  const start = query.has('interval.startTime') ? time(query, 'interval.startTime') : end;
  const project = store.project(name);
  if (!project.descriptors.has(metricType))
    throw new ApiError(404, 'notFound', `Cannot find metric(s) that match type = "${metricType}".`);
  const timeSeries = [...project.series.values()]
    .filter(({ series }) => matches(series))
    .map(({ series, points }) => ({
      ...series,
      // Newest first. "A half-open time interval. It includes the end time but excludes the start time"; equal times are
      // a single moment.
      points: points
        .filter(({ interval }) => {
          const at = Date.parse(interval.endTime);
          return at <= end && (at > start || (at === start && start === end));
        })
        .map(({ interval, value }) => ({ interval: { startTime: interval.endTime, ...interval }, value }))
        .toReversed(),
    }))
    .filter(({ points }) => points.length > 0);
  if (query.get('view') === 'HEADERS')
    return { timeSeries: timeSeries.map((series) => ({ ...series, points: undefined })) };
  return { ...(timeSeries.length > 0 && { timeSeries }) };
}

function write(store: Store, project: string, series: Series, known: Descriptor | undefined): void {
  // "If a metric descriptor does not exist, it is created from the first data point."
  const descriptor = known ?? inferred(series);
  const { metricKind, valueType } = descriptor;
  store.record([
    ...(known ? [] : [{ project, descriptor }]),
    { project, series: { ...series, metricKind, valueType } },
  ]);
}

function inferred(series: Series): Descriptor {
  const [point] = series.points;
  return {
    type: series.metric.type,
    metricKind: series.metricKind === 'CUMULATIVE' ? 'CUMULATIVE' : 'GAUGE',
    valueType: (point && valueTypeOf(point)) ?? 'DOUBLE',
    labels: Object.keys(series.metric.labels).map((key) => ({ key })),
    unit: series.unit,
  };
}

function described({ type, labels }: Series['resource']): string {
  return `${type}{${Object.entries(labels)
    .map(([key, value]) => `${key}:${value}`)
    .join(',')}}`;
}

function time(query: URLSearchParams, parameter: string): number {
  const text = query.get(parameter) ?? '';
  const value = Date.parse(text);
  if (Number.isNaN(value))
    throw new InvalidArgument(`Field ${parameter} had an invalid value of "${text}": give an RFC 3339 time.`);
  return value;
}
