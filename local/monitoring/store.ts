import path from 'node:path';
import { z } from 'zod';
import { openJsonLines } from '../json-lines.ts';
import { type Descriptor, descriptorSchema, type Point, type Series, seriesKey, seriesSchema } from './series.ts';

const lineSchema = z.union([
  z.strictObject({ project: z.string(), descriptor: descriptorSchema }),
  z.strictObject({ project: z.string(), series: seriesSchema }),
]);

type Line = z.infer<typeof lineSchema>;

export type Project = {
  descriptors: Map<string, Descriptor>;
  /** By `seriesKey`; points in the order of their end times. */
  series: Map<string, { series: Omit<Series, 'points'>; points: Point[] }>;
};

export type Store = ReturnType<typeof openStore>;

/** The descriptors and points that `directory` holds, by project name (`projects/p`). */
export function openStore(directory: string) {
  const projects = new Map<string, Project>();
  const lines = openJsonLines(path.join(directory, 'points.jsonl'), (value) => apply(lineSchema.parse(value)));

  function project(name: string): Project {
    const found = projects.get(name) ?? { descriptors: new Map(), series: new Map() };
    projects.set(name, found);
    return found;
  }

  function apply(line: Line): void {
    const { descriptors, series } = project(line.project);
    if ('descriptor' in line) {
      descriptors.set(line.descriptor.type, line.descriptor);
      return;
    }
    const { points, ...identity } = line.series;
    const key = seriesKey(identity);
    const kept = series.get(key) ?? { series: identity, points: [] };
    kept.points.push(...points);
    series.set(key, kept);
  }

  return {
    project,
    /** Puts descriptors and points on disk, then in force. */
    record(added: Line[]): void {
      lines.append(added);
      for (const line of added) apply(line);
    },
  };
}
