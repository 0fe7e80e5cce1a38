/**
 * The handle of a run's temporary database, `mirror-<project>-<run>-<attempt>`: whose it is can be read off it, and two
 * mirrors that share an environment cannot take each other's. Aptible: 64 of a-z, 0-9, `-`, `_` and `.`; the longest here has
 * 60.
 */
export const handleOf = (project: string, runId: string, attempt: number): string =>
  `mirror-${project}-${runId.toLowerCase()}-${attempt}`;

/** Run and attempt of a handle that is this project's; undefined for any other. */
export function parseHandle(project: string, handle: string): { runId: string; attempt: number } | undefined {
  const prefix = `mirror-${project}-`;
  if (!handle.startsWith(prefix)) return undefined;
  const [, runId, attempt] = /^(\d{8}t\d{6}z)-([1-9]\d{0,3})$/u.exec(handle.slice(prefix.length)) ?? [];
  return runId && attempt ? { runId: runId.toUpperCase(), attempt: Number(attempt) } : undefined;
}
