import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { GoogleAuth, PassThroughClient } from 'google-auth-library';
import { monitoring, type monitoring_v3 } from 'googleapis/build/src/apis/monitoring/index.js';
import { z } from 'zod';
import { serve } from '../../local/http.ts';
import { openMonitoring } from '../../local/monitoring.ts';

const NAME = 'projects/p';
const COVERAGE = 'custom.googleapis.com/mirror/coverage';
const ROWS = 'custom.googleapis.com/mirror/rows';

async function client(t: TestContext, directory?: string) {
  const folder = directory ?? (await mkdtemp(path.join(tmpdir(), 'monitoring-')));
  const sink = await openMonitoring({ directory: folder });
  const server = await serve(sink.handle);
  t.after(async () => {
    await server.close();
    await sink.close();
    await rm(folder, { recursive: true, force: true });
  });
  const { projects } = monitoring({
    version: 'v3',
    rootUrl: server.url,
    auth: new GoogleAuth({ authClient: new PassThroughClient() }),
    retry: false,
  });
  return {
    directory: folder,
    url: server.url,
    projects,
    write: (...timeSeries: monitoring_v3.Schema$TimeSeries[]) =>
      projects.timeSeries.create({ name: NAME, requestBody: { timeSeries } }),
    read: async (filter: string, startTime = ago(86_400), endTime = ago(-60)) =>
      (
        await projects.timeSeries.list({
          name: NAME,
          filter,
          'interval.startTime': startTime,
          'interval.endTime': endTime,
        })
      ).data.timeSeries ?? [],
  };
}

/** The time so many seconds ago. */
function ago(seconds: number): string {
  return new Date(Date.now() - seconds * 1000).toISOString();
}

function gauge(
  endTime: string,
  doubleValue: number,
  labels: Record<string, string> = {},
): monitoring_v3.Schema$TimeSeries {
  return {
    metric: { type: COVERAGE, labels },
    resource: { type: 'global', labels: { project_id: 'p' } },
    points: [{ interval: { endTime }, value: { doubleValue } }],
  };
}

function count(startTime: string, endTime: string, int64Value: string): monitoring_v3.Schema$TimeSeries {
  return {
    metric: { type: ROWS },
    metricKind: 'CUMULATIVE',
    points: [{ interval: { startTime, endTime }, value: { int64Value } }],
  };
}

/** The service's message for one refused series of a request with the index given. */
function notWritten(reason: string, resource = 'global{project_id:p}', index = 0) {
  return {
    status: 400,
    message: `One or more TimeSeries could not be written: timeSeries[${index}]: write for resource=${resource} failed with: ${reason}`,
  };
}

test('keeps points, newest first, over a restart', async (t) => {
  const first = await client(t);
  const [old, recent] = [ago(120), ago(60)];
  assert.deepEqual((await first.write(gauge(old, 0.5))).data, {});
  await first.write(gauge(recent, 1), gauge(recent, 0.25, { table: 'orders' }));

  for (const { read } of [first, await client(t, first.directory)]) {
    assert.deepEqual(await read(`metric.type="${COVERAGE}"`), [
      {
        metric: { type: COVERAGE, labels: {} },
        resource: { type: 'global', labels: { project_id: 'p' } },
        metricKind: 'GAUGE',
        valueType: 'DOUBLE',
        points: [
          { interval: { startTime: recent, endTime: recent }, value: { doubleValue: 1 } },
          { interval: { startTime: old, endTime: old }, value: { doubleValue: 0.5 } },
        ],
      },
      {
        metric: { type: COVERAGE, labels: { table: 'orders' } },
        resource: { type: 'global', labels: { project_id: 'p' } },
        metricKind: 'GAUGE',
        valueType: 'DOUBLE',
        points: [{ interval: { startTime: recent, endTime: recent }, value: { doubleValue: 0.25 } }],
      },
    ]);
    const orders = await read(`metric.type = "${COVERAGE}" AND metric.labels.table = "orders"`);
    assert.equal(orders.length, 1);
    // The interval includes its end and excludes its start.
    assert.equal((await read(`metric.type="${COVERAGE}"`, old, recent))[0]?.points?.length, 1);
    assert.equal((await read(`metric.type="${COVERAGE}"`, ago(180), old))[0]?.points?.length, 1);
  }
});

test('refuses a point that is not newer than the last of its series, also after a restart', async (t) => {
  const first = await client(t);
  const at = ago(60);
  await first.write(gauge(at, 1));
  const second = await client(t, first.directory);
  const older =
    'Points must be written in order. One or more of the points specified had an older end time than the most recent point.';
  await assert.rejects(second.write(gauge(at, 1)), notWritten(older));
  await assert.rejects(second.write(gauge(ago(61), 1)), notWritten(older));
  // Another label is another series.
  await second.write(gauge(at, 1, { table: 'orders' }));
});

test('writes the good series of a request and counts them in the error', async (t) => {
  const { url, read } = await client(t);
  const at = ago(60);
  const timeSeries = [gauge(at, 1, { table: 'a' }), gauge(ago(25 * 3600 + 60), 1, { table: 'b' })];
  const response = await fetch(`${url}/v3/${NAME}/timeSeries`, {
    method: 'POST',
    body: JSON.stringify({ timeSeries }),
  });
  const { error } = z
    .object({ error: z.object({ code: z.number(), status: z.string(), details: z.unknown() }) })
    .parse(await response.json());
  assert.deepEqual([response.status, error.code, error.status], [400, 400, 'INVALID_ARGUMENT']);
  assert.deepEqual(error.details, [
    {
      '@type': 'type.googleapis.com/google.monitoring.v3.CreateTimeSeriesSummary',
      totalPointCount: 2,
      successPointCount: 1,
      errors: [{ status: { code: 3 }, pointCount: 1 }],
    },
  ]);
  assert.deepEqual(
    (await read(`metric.type="${COVERAGE}"`)).map(({ metric }) => metric?.labels),
    [{ table: 'a' }],
  );
});

test('refuses points too old, too new, too many, and series twice', async (t) => {
  const { write } = await client(t);
  const [tooOld, tooNew, at] = [ago(25 * 3600 + 60), ago(-360), ago(60)];
  const field = 'Field timeSeries[0].points[0].interval.end_time had an invalid value of';
  await assert.rejects(
    write(gauge(tooOld, 1)),
    notWritten(`${field} "${tooOld}": Data points cannot be written more than 25h in the past.`),
  );
  await assert.rejects(
    write(gauge(tooNew, 1)),
    notWritten(`${field} "${tooNew}": Data points cannot be written more than 5m in the future.`),
  );
  const two = gauge(at, 1);
  two.points?.push({ interval: { endTime: ago(59) }, value: { doubleValue: 1 } });
  await assert.rejects(
    write(two),
    notWritten(
      'Field timeSeries[0].points had an invalid value: Exactly one point can be written per TimeSeries per request; received 2.',
    ),
  );
  await assert.rejects(
    write(gauge(at, 1), gauge(ago(59), 1)),
    notWritten(
      'Field timeSeries[1] had an invalid value: Duplicate TimeSeries encountered. Only one point can be written per TimeSeries per request.',
      undefined,
      1,
    ),
  );
  await assert.rejects(write(...Array.from({ length: 201 }, (_, table) => gauge(at, 1, { table: `${table}` }))), {
    status: 400,
    message:
      'Field timeSeries had an invalid value: between 1 and 200 TimeSeries can be written per request; received 201.',
  });
  assert.equal(
    (await write(...Array.from({ length: 200 }, (_, table) => gauge(at, 1, { table: `${table}` })))).status,
    200,
  );
});

test('keeps a cumulative count in order: same start, or a new one after the last point', async (t) => {
  const { write, read } = await client(t);
  const [start, first, second, third] = [ago(90), ago(80), ago(70), ago(60)];
  await write(count(start, first, '10'));
  await write(count(start, second, '20'));
  const resource = 'global{}';
  await assert.rejects(
    write(count(first, third, '30')),
    notWritten(
      'Points must be written in order. One or more of the points specified had an older start time than the most recent point.',
      resource,
    ),
  );
  await assert.rejects(
    write(count(third, third, '30')),
    notWritten(
      `Field timeSeries[0].points[0].interval.start_time had an invalid value of "${third}": The start time must be before the end time for CUMULATIVE metrics.`,
      resource,
    ),
  );
  await write(count(second, third, '5'));
  const [series] = await read(`metric.type="${ROWS}"`);
  assert.deepEqual(
    series?.points?.map(({ value }) => value),
    [{ int64Value: '5' }, { int64Value: '20' }, { int64Value: '10' }],
  );
  assert.deepEqual(series.resource, { type: 'global', labels: { project_id: 'p' } });
});

test('holds writers to the metric descriptor, and lists descriptors', async (t) => {
  const { projects, write } = await client(t);
  const requestBody = {
    type: ROWS,
    metricKind: 'CUMULATIVE',
    valueType: 'INT64',
    unit: '1',
    labels: [{ key: 'result' }],
  };
  const shown = { ...requestBody, name: `projects/p/metricDescriptors/${ROWS}` };
  assert.deepEqual((await projects.metricDescriptors.create({ name: NAME, requestBody })).data, shown);
  assert.deepEqual((await projects.metricDescriptors.get({ name: shown.name })).data, shown);
  await write(gauge(ago(60), 1));
  const list = async (filter?: string) =>
    (
      (await projects.metricDescriptors.list({ name: NAME, ...(filter && { filter }) })).data.metricDescriptors ?? []
    ).map(({ type }) => type);
  assert.deepEqual(await list(), [ROWS, COVERAGE]);
  assert.deepEqual(await list('metric.type = starts_with("custom.googleapis.com/mirror/r")'), [ROWS]);

  const rows = (series: monitoring_v3.Schema$TimeSeries) => ({ ...series, metric: { type: ROWS } });
  await assert.rejects(write(rows(gauge(ago(60), 1))), {
    ...notWritten(`Value type for metric ${ROWS} must be INT64, but is DOUBLE.`),
  });
  await assert.rejects(
    write({ ...gauge(ago(30), 1), metricKind: 'CUMULATIVE' }),
    notWritten(`Metric kind for metric ${COVERAGE} must be GAUGE, but is CUMULATIVE.`),
  );
  await assert.rejects(
    write({ ...gauge(ago(30), 1), metric: { type: 'compute.googleapis.com/x' } }),
    /The metric type must begin with custom\./,
  );
  await assert.rejects(
    projects.metricDescriptors.create({ name: NAME, requestBody: { ...requestBody, valueType: 'DOUBLE' } }),
    {
      status: 400,
      message: `Field metricDescriptor.valueType had an invalid value of "DOUBLE": metric ${ROWS} exists with INT64, which cannot be changed.`,
    },
  );
  await assert.rejects(
    projects.metricDescriptors.get({ name: `${NAME}/metricDescriptors/custom.googleapis.com/none` }),
    {
      status: 404,
      message: "Could not find descriptor for metric 'custom.googleapis.com/none'.",
    },
  );
});

test('names what it does not implement', async (t) => {
  const { projects, read } = await client(t);
  await assert.rejects(read('metric.type="custom.googleapis.com/none"'), {
    status: 404,
    message: 'Cannot find metric(s) that match type = "custom.googleapis.com/none".',
  });
  await assert.rejects(read('metric.labels.table="a"'), { status: 400 });
  await assert.rejects(read(`metric.type="${COVERAGE}" OR metric.type="x"`), {
    status: 501,
    message: `The local Monitoring does not implement: the filter metric.type="${COVERAGE}" OR metric.type="x"`,
  });
  await assert.rejects(
    projects.timeSeries.list({ name: NAME, filter: `metric.type="${COVERAGE}"`, 'aggregation.alignmentPeriod': '60s' }),
    {
      status: 501,
      message: 'The local Monitoring does not implement: timeSeries.list with aggregation.alignmentPeriod',
    },
  );
  await assert.rejects(projects.alertPolicies.list({ name: NAME }), {
    status: 501,
    message: 'The local Monitoring does not implement: GET /v3/projects/p/alertPolicies',
  });
});
