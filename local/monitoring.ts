import { type Handler, notImplemented, readBody, sendJson } from './http.ts';
import { createDescriptor, getDescriptor, listDescriptors } from './monitoring/descriptors.ts';
import { InvalidArgument } from './monitoring/invalid.ts';
import { openStore } from './monitoring/store.ts';
import { createTimeSeries, listTimeSeries } from './monitoring/time-series.ts';

/**
 * Opens a sink for Cloud Monitoring over what `directory` holds: `timeSeries.create` and `list`, `metricDescriptors.create`,
 * `get` and `list`, under `/v3/projects/…`. Points are checked as the service does and kept as JSON lines. Aggregation,
 * paging and all other methods answer 501. Rejects when the lines on disk are damaged.
 */
export async function openMonitoring(options: {
  directory: string;
}): Promise<{ handle: Handler; close: () => Promise<void> }> {
  const store = openStore(options.directory);

  async function answer(method: string, url: URL, body: () => Promise<unknown>): Promise<unknown> {
    const [, project = '', collection = '', type] =
      /^\/v3\/(projects\/[^/]+)\/(timeSeries|metricDescriptors)(?:\/(.+))?$/.exec(decodeURIComponent(url.pathname)) ??
      [];
    switch (`${method} ${collection}${type === undefined ? '' : '/TYPE'}`) {
      case 'POST timeSeries':
        return createTimeSeries(store, project, await body());
      case 'GET timeSeries':
        return listTimeSeries(store, project, url.searchParams);
      case 'POST metricDescriptors':
        return createDescriptor(store, project, await body());
      case 'GET metricDescriptors':
        return listDescriptors(store, project, url.searchParams);
      case 'GET metricDescriptors/TYPE':
        return getDescriptor(store, project, type ?? '');
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
        const { message, detail } = error;
        const details = detail && { details: [detail] };
        sendJson(response, 400, { error: { code: 400, message, status: 'INVALID_ARGUMENT', ...details } });
      }
    },
    close: () => Promise.resolve(),
  };
}

function readJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new InvalidArgument(`Invalid JSON payload received. ${error instanceof Error ? error.message : ''}`);
  }
}
