import path from 'node:path';
import { z } from 'zod';
import { ApiError, type Handler, notImplemented, readBody, sendJson } from './http.ts';
import { openJsonLines } from './json-lines.ts';
import { parseFilter } from './monitoring/filter.ts';
import {
  type Descriptor,
  descriptorSchema,
  type Point,
  refusal,
  type Series,
  seriesKey,
  seriesSchema,
  valueTypeOf,
} from './monitoring/series.ts';

const createSchema = z.strictObject({ timeSeries: z.array(seriesSchema) });
const storedSchema = z.union([
  z.strictObject({ project: z.string(), descriptor: descriptorSchema }),
  z.strictObject({ project: z.string(), series: seriesSchema }),
]);

type Stored = Map<string, { series: Omit<Series, 'points'>; points: Point[] }>;
type Project = { descriptors: Map<string, Descriptor>; series: Stored };

/**
 * Opens a sink for Cloud Monitoring over what `directory` holds: `timeSeries.create` and `list`, `metricDescriptors.create`,
 * `get` and `list`, under `/v3/projects/…`. Points are checked as the service does and kept as JSON lines. Aggregation,
 * paging and all other methods answer 501. Rejects when the lines on disk are damaged.
 */
export async function openMonitoring(options: {
  directory: string;
}): Promise<{ handle: Handler; close: () => Promise<void> }> {
  const projects = new Map<string, Project>();
  const lines = openJsonLines(path.join(options.directory, 'points.jsonl'), (value) => {
    const stored = storedSchema.parse(value);
    if ('descriptor' in stored) project(stored.project).descriptors.set(stored.descriptor.type, stored.descriptor);
    else addPoint(stored.project, stored.series);
  });

  function project(name: string): Project {
    const found = projects.get(name) ?? { descriptors: new Map<string, Descriptor>(), series: new Map() };
    projects.set(name, found);
    return found;
  }

  function addPoint(name: string, { points, ...series }: Series): void {
    const stored = project(name).series;
    const key = seriesKey(series);
    const kept = stored.get(key) ?? { series, points: [] };
    kept.points.push(...points);
    stored.set(key, kept);
  }

  /** Writes what can be written; the error names the rest, as the service does. */
  function createTimeSeries(name: string, body: unknown): object {
    const { timeSeries } = parse(createSchema, body);
    if (timeSeries.length === 0 || timeSeries.length > 200)
      throw invalid(
        `Field timeSeries had an invalid value: between 1 and 200 TimeSeries can be written per request; received ${timeSeries.length}.`,
      );
    const refusals: string[] = [];
    const seen = new Set<string>();
    for (const [index, sent] of timeSeries.entries()) {
      const series = {
        ...sent,
        resource: { ...sent.resource, labels: { project_id: projectId(name), ...sent.resource.labels } },
      };
      const key = seriesKey(series);
      const descriptor = project(name).descriptors.get(series.metric.type);
      const last = project(name).series.get(key)?.points.at(-1);
      const reason = seen.has(key)
        ? `Field timeSeries[${index}] had an invalid value: Duplicate TimeSeries encountered. Only one point can be written per TimeSeries per request.`
        : refusal(series, index, { descriptor, last, now: Date.now() });
      seen.add(key);
      if (reason === undefined) write(name, series, descriptor);
      else refusals.push(`timeSeries[${index}]: write for resource=${described(sent.resource)} failed with: ${reason}`);
    }
    if (refusals.length === 0) return {};
    throw invalid(`One or more TimeSeries could not be written: ${refusals.join('; ')}`, {
      '@type': 'type.googleapis.com/google.monitoring.v3.CreateTimeSeriesSummary',
      totalPointCount: timeSeries.length,
      ...(refusals.length < timeSeries.length && { successPointCount: timeSeries.length - refusals.length }),
      errors: [{ status: { code: 3 }, pointCount: refusals.length }],
    });
  }

  function write(name: string, series: Series, known: Descriptor | undefined): void {
    // "If a metric descriptor does not exist, it is created from the first data point."
    const descriptor = known ?? inferred(series);
    const point = { ...series, metricKind: descriptor.metricKind, valueType: descriptor.valueType };
    lines.append([...(known ? [] : [{ project: name, descriptor }]), { project: name, series: point }]);
    project(name).descriptors.set(descriptor.type, descriptor);
    addPoint(name, point);
  }

  function listTimeSeries(name: string, query: URLSearchParams): object {
    for (const parameter of query.keys())
      if (!['filter', 'interval.startTime', 'interval.endTime', 'view', 'pageSize', 'alt'].includes(parameter))
        throw notImplemented('Monitoring', `timeSeries.list with ${parameter}`);
    const { metricType, matches } = parseFilter(query.get('filter') ?? '');
    const end = time(query, 'interval.endTime');
    const start = query.has('interval.startTime') ? time(query, 'interval.startTime') : end;
    if (!project(name).descriptors.has(metricType)) throw unknownMetric(metricType);
    const timeSeries = [...project(name).series.values()]
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

  function createDescriptor(name: string, body: unknown): Descriptor {
    const sent = parse(descriptorSchema, body);
    const known = project(name).descriptors.get(sent.type);
    for (const field of ['metricKind', 'valueType'] as const)
      if (known && known[field] !== sent[field])
        throw invalid(
          `Field metricDescriptor.${field} had an invalid value of "${sent[field]}": metric ${sent.type} exists with ${known[field]}, which cannot be changed.`,
        );
    lines.append([{ project: name, descriptor: sent }]);
    project(name).descriptors.set(sent.type, sent);
    return shown(name, sent);
  }

  function getDescriptor(name: string, type: string): Descriptor {
    const found = project(name).descriptors.get(type);
    if (!found) throw new ApiError(404, 'notFound', `Could not find descriptor for metric '${type}'.`);
    return shown(name, found);
  }

  function listDescriptors(name: string, query: URLSearchParams): object {
    const filter = query.get('filter') ?? '';
    const [, prefix, exact] = /^\s*metric\.type\s*=\s*(?:starts_with\("([^"]*)"\)|"([^"]*)")\s*$/.exec(filter) ?? [];
    if (filter !== '' && prefix === undefined && exact === undefined)
      throw notImplemented('Monitoring', `metricDescriptors.list with the filter ${filter}`);
    const found = [...project(name).descriptors.values()].filter(({ type }) =>
      exact === undefined ? type.startsWith(prefix ?? '') : type === exact,
    );
    return { ...(found.length > 0 && { metricDescriptors: found.map((descriptor) => shown(name, descriptor)) }) };
  }

  async function answer(method: string, url: URL, body: () => Promise<unknown>): Promise<unknown> {
    const [, name = '', collection, type] =
      /^\/v3\/(projects\/[^/]+)\/(timeSeries|metricDescriptors)(?:\/(.+))?$/.exec(decodeURIComponent(url.pathname)) ??
      [];
    const operation = `${method} ${collection ?? ''}${type === undefined ? '' : '/TYPE'}`;
    switch (operation) {
      case 'POST timeSeries':
        return createTimeSeries(name, await body());
      case 'GET timeSeries':
        return listTimeSeries(name, url.searchParams);
      case 'POST metricDescriptors':
        return createDescriptor(name, await body());
      case 'GET metricDescriptors':
        return listDescriptors(name, url.searchParams);
      case 'GET metricDescriptors/TYPE':
        return getDescriptor(name, type ?? '');
      default:
        throw notImplemented('Monitoring', `${method} ${url.pathname}`);
    }
  }

  return {
    async handle(request, response) {
      const url = new URL(request.url ?? '/', 'http://localhost');
      const body = async () => readJson(await readBody(request));
      try {
        sendJson(response, 200, await answer(request.method ?? 'GET', url, body));
      } catch (error) {
        if (!(error instanceof InvalidArgument)) throw error;
        sendJson(response, 400, {
          error: {
            code: 400,
            message: error.message,
            status: 'INVALID_ARGUMENT',
            ...(error.detail && { details: [error.detail] }),
          },
        });
      }
    },
    close: () => Promise.resolve(),
  };
}

/** A refusal with the details that the service adds for clients that count what was written. */
class InvalidArgument extends Error {
  readonly detail: object | undefined;

  constructor(message: string, detail?: object) {
    super(message);
    this.name = 'InvalidArgument';
    this.detail = detail;
  }
}

function invalid(message: string, detail?: object): InvalidArgument {
  return new InvalidArgument(message, detail);
}

function unknownMetric(type: string): ApiError {
  return new ApiError(404, 'notFound', `Cannot find metric(s) that match type = "${type}".`);
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

function shown(project: string, descriptor: Descriptor): Descriptor {
  return { ...descriptor, name: `${project}/metricDescriptors/${descriptor.type}` };
}

function projectId(name: string): string {
  return name.slice('projects/'.length);
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
    throw invalid(`Field ${parameter} had an invalid value of "${text}": give an RFC 3339 time.`);
  return value;
}

function readJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw invalid(`Invalid JSON payload received. ${error instanceof Error ? error.message : ''}`);
  }
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw invalid(`Invalid value at '${issue?.path.join('.') ?? ''}': ${issue?.message ?? 'unknown'}`);
}
