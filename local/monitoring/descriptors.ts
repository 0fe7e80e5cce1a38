import { ApiError, notImplemented } from '../http.ts';
import { InvalidArgument, parse } from './invalid.ts';
import { type Descriptor, descriptorSchema } from './series.ts';
import type { Store } from './store.ts';

/** Makes a metric's descriptor, or replaces it; kind and value type cannot change. */
export function createDescriptor(store: Store, project: string, body: unknown): Descriptor {
  const sent = parse(descriptorSchema, body);
  const known = store.project(project).descriptors.get(sent.type);
  for (const field of ['metricKind', 'valueType'] as const)
    if (known && known[field] !== sent[field])
      throw new InvalidArgument(
        `Field metricDescriptor.${field} had an invalid value of "${sent[field]}": metric ${sent.type} exists with ${known[field]}, which cannot be changed.`,
      );
  store.record([{ project, descriptor: sent }]);
  return shown(project, sent);
}

export function getDescriptor(store: Store, project: string, type: string): Descriptor {
  const found = store.project(project).descriptors.get(type);
  if (!found) throw new ApiError(404, 'notFound', `Could not find descriptor for metric '${type}'.`);
  return shown(project, found);
}

/** All descriptors, or those whose type is equal to or starts with what the filter says. */
export function listDescriptors(store: Store, project: string, query: URLSearchParams): object {
  const filter = query.get('filter') ?? '';
  const [, prefix, exact] = /^\s*metric\.type\s*=\s*(?:starts_with\("([^"]*)"\)|"([^"]*)")\s*$/.exec(filter) ?? [];
  if (filter !== '' && prefix === undefined && exact === undefined)
    throw notImplemented('Monitoring', `metricDescriptors.list with the filter ${filter}`);
  const found = [...store.project(project).descriptors.values()].filter(({ type }) =>
    exact === undefined ? type.startsWith(prefix ?? '') : type === exact,
  );
  return { ...(found.length > 0 && { metricDescriptors: found.map((descriptor) => shown(project, descriptor)) }) };
}

function shown(project: string, descriptor: Descriptor): Descriptor {
  return { ...descriptor, name: `${project}/metricDescriptors/${descriptor.type}` };
}
