import { ApiError, notImplemented } from '../http.ts';
import type { Series } from './series.ts';

type Term = { path: string; value: string };

/**
 * Reads a filter of equalities joined by AND over `metric.type`, `metric.labels.KEY`, `resource.type` and
 * `resource.labels.KEY`. Throws 501 for any other form, 400 where `metric.type` is missing: "the filter must specify a
 * single metric type".
 */
export function parseFilter(text: string): {
  metricType: string;
  matches: (series: Pick<Series, 'metric' | 'resource'>) => boolean;
} {
  const terms: Term[] = [];
  const term =
    /\s*(metric\.type|resource\.type|(?:metric|resource)\.labels?\.[A-Za-z0-9_]+)\s*=\s*"([^"\\]*)"\s*(AND\s|$)/y;
  while (term.lastIndex < text.length) {
    const start = term.lastIndex;
    const [, path, value] = term.exec(text) ?? [];
    if (path === undefined || value === undefined)
      throw notImplemented('Monitoring', `the filter ${text.slice(start)}`);
    terms.push({ path: path.replace('.label.', '.labels.'), value });
  }
  const types = terms.filter(({ path }) => path === 'metric.type');
  const [type] = types;
  if (!type || types.length > 1)
    throw new ApiError(
      400,
      'badRequest',
      `Field filter had an invalid value of "${text}": must specify exactly one metric type, as in metric.type="custom.googleapis.com/x".`,
    );
  return {
    metricType: type.value,
    matches: (series) => terms.every(({ path, value }) => valueAt(series, path) === value),
  };
}

function valueAt({ metric, resource }: Pick<Series, 'metric' | 'resource'>, path: string): string | undefined {
  const [owner, field, key = ''] = path.split('.');
  const object = owner === 'metric' ? metric : resource;
  return field === 'type' ? object.type : object.labels[key];
}
