import { z } from 'zod';

const labels = z.record(z.string(), z.string());
const timestamp = z.iso.datetime({ offset: true });

/** Kinds and types that user-defined metrics may have: "DELTA … is not supported for custom metrics". */
export const metricKinds = ['GAUGE', 'CUMULATIVE'] as const;
export const valueTypes = ['BOOL', 'INT64', 'DOUBLE', 'STRING', 'DISTRIBUTION'] as const;

export const pointSchema = z.strictObject({
  interval: z.strictObject({ startTime: timestamp.optional(), endTime: timestamp }),
  value: z.strictObject({
    boolValue: z.boolean().optional(),
    // JSON carries 64-bit integers as text; numbers are read too, as protobuf's JSON form has it.
    int64Value: z.union([z.string().regex(/^-?\d+$/), z.number().int().transform(String)]).optional(),
    doubleValue: z.number().optional(),
    stringValue: z.string().optional(),
    distributionValue: z.record(z.string(), z.unknown()).optional(),
  }),
});

export const seriesSchema = z.strictObject({
  metric: z.strictObject({ type: z.string(), labels: labels.default({}) }),
  resource: z.strictObject({ type: z.string(), labels: labels.default({}) }).default({ type: 'global', labels: {} }),
  metricKind: z.string().optional(),
  valueType: z.string().optional(),
  unit: z.string().optional(),
  metadata: z.unknown().optional(),
  points: z.array(pointSchema).default([]),
});

export const descriptorSchema = z.strictObject({
  name: z.string().optional(),
  type: z.string(),
  metricKind: z.enum(metricKinds),
  valueType: z.enum(valueTypes),
  labels: z
    .array(z.strictObject({ key: z.string(), valueType: z.string().optional(), description: z.string().optional() }))
    .optional(),
  unit: z.string().optional(),
  description: z.string().optional(),
  displayName: z.string().optional(),
  launchStage: z.string().optional(),
  metadata: z.unknown().optional(),
  monitoredResourceTypes: z.array(z.string()).optional(),
});

export type Point = z.infer<typeof pointSchema>;
export type Series = z.infer<typeof seriesSchema>;
export type Descriptor = z.infer<typeof descriptorSchema>;

/** The type of a point's value; undefined unless exactly one is set. */
export function valueTypeOf({ value }: Point): (typeof valueTypes)[number] | undefined {
  const set = (
    [
      ['BOOL', value.boolValue],
      ['INT64', value.int64Value],
      ['DOUBLE', value.doubleValue],
      ['STRING', value.stringValue],
      ['DISTRIBUTION', value.distributionValue],
    ] as const
  ).filter(([, sent]) => sent !== undefined);
  return set.length === 1 ? set[0]?.[0] : undefined;
}

/** What tells one time series of a project from another: metric, resource, and all their labels. */
export function seriesKey({ metric, resource }: Pick<Series, 'metric' | 'resource'>): string {
  return JSON.stringify([metric.type, sorted(metric.labels), resource.type, sorted(resource.labels)]);
}

function sorted(labels: Record<string, string>): [string, string][] {
  return Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Only these are open to writers; the others belong to Google's services. */
const writable = /^(custom|external|workload|prometheus)\.googleapis\.com\/[A-Za-z0-9_/.-]+$/;

const HOUR = 3_600_000;

/**
 * Why this series of a create request cannot be written, in the service's words; undefined when it can. `descriptor` is the
 * metric's, `last` the newest point of the series, where there are such; `now` is in milliseconds.
 */
export function refusal(
  series: Series,
  index: number,
  { descriptor, last, now }: { descriptor: Descriptor | undefined; last: Point | undefined; now: number },
): string | undefined {
  const field = (path: string, value: string, problem: string) =>
    `Field timeSeries[${index}].${path} had an invalid value${value === '' ? '' : ` of "${value}"`}: ${problem}`;
  const { type } = series.metric;
  const [point] = series.points;
  if (!writable.test(type))
    return field(
      'metric.type',
      type,
      'The metric type must begin with custom., external., workload. or prometheus.googleapis.com/.',
    );
  if (!point || series.points.length > 1)
    return field(
      'points',
      '',
      `Exactly one point can be written per TimeSeries per request; received ${series.points.length}.`,
    );

  const kind = series.metricKind ?? descriptor?.metricKind ?? 'GAUGE';
  if (!metricKinds.some((allowed) => allowed === kind))
    return field('metricKind', kind, `Only ${metricKinds.join(' and ')} can be written for this metric type.`);
  if (descriptor && kind !== descriptor.metricKind)
    return `Metric kind for metric ${type} must be ${descriptor.metricKind}, but is ${kind}.`;
  const valueType = valueTypeOf(point);
  if (valueType === undefined) return field('points[0].value', '', 'Exactly one value must be set.');
  const expected = descriptor?.valueType ?? series.valueType ?? valueType;
  if (valueType !== expected || (series.valueType ?? valueType) !== valueType)
    return `Value type for metric ${type} must be ${expected}, but is ${valueType === expected ? series.valueType : valueType}.`;
  if (kind === 'CUMULATIVE' && valueType !== 'INT64' && valueType !== 'DOUBLE' && valueType !== 'DISTRIBUTION')
    return field('valueType', valueType, 'A CUMULATIVE metric counts: INT64, DOUBLE or DISTRIBUTION.');

  const { startTime, endTime } = point.interval;
  const end = Date.parse(endTime);
  const start = startTime === undefined ? undefined : Date.parse(startTime);
  if (end < now - 25 * HOUR)
    return field('points[0].interval.end_time', endTime, 'Data points cannot be written more than 25h in the past.');
  if (end > now + HOUR / 12)
    return field('points[0].interval.end_time', endTime, 'Data points cannot be written more than 5m in the future.');
  if (kind === 'GAUGE') {
    // "For GAUGE metrics, the start time is optional; if it is supplied, it must equal the end time."
    if (start !== undefined && start !== end)
      return field(
        'points[0].interval.start_time',
        startTime ?? '',
        'The start time must equal the end time for GAUGE metrics.',
      );
  } else if (start === undefined || start >= end) {
    // "For CUMULATIVE metrics, the start and end time should specify a non-zero interval."
    return field(
      'points[0].interval.start_time',
      startTime ?? '',
      'The start time must be before the end time for CUMULATIVE metrics.',
    );
  }
  return last && outOfOrder(last, start, end);
}

function outOfOrder(last: Point, start: number | undefined, end: number): string | undefined {
  const lastEnd = Date.parse(last.interval.endTime);
  if (end <= lastEnd) return misordered('end');
  // "Subsequent points [specify] the same start time and increasing end times, until an event resets the cumulative value to
  // zero and sets a new start time": a new start within what is already counted would count it twice.
  const lastStart = last.interval.startTime === undefined ? lastEnd : Date.parse(last.interval.startTime);
  if (start !== undefined && start !== end && start !== lastStart && start < lastEnd) return misordered('start');
  return undefined;
}

function misordered(which: 'start' | 'end'): string {
  return `Points must be written in order. One or more of the points specified had an older ${which} time than the most recent point.`;
}
