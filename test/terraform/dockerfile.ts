import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, symlink } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

/**
 * Makes the file set of the Dockerfile's last stage without Docker: its COPY and RUN lines, done in `directory`, on this
 * machine's Node. Only the installation of everything, development included, is taken from this checkout, which is one.
 */
export type Image = { app: string; environment: Record<string, string>; command: string[]; user: string | undefined };

type Stage = { name: string; root: string; workdir: string } & Omit<Image, 'app'>;

export async function makeImage(project: string, directory: string): Promise<Image> {
  const text = await readFile(path.join(project, 'Dockerfile'), 'utf8');
  const stages: Stage[] = [];
  for (const line of text.split('\n')) {
    const [, verb, rest] = /^([A-Z]+) (.*)$/u.exec(line) ?? [];
    if (verb === undefined || rest === undefined) continue;
    if (verb === 'FROM') {
      const [, base, name = 'last'] = /^(\S+)(?: AS (\w+))?$/u.exec(rest) ?? [];
      const root = path.join(directory, name);
      const from = stages.find((stage) => stage.name === base);
      if (from) await cp(from.root, root, { recursive: true, verbatimSymlinks: true });
      stages.push({ workdir: '/', environment: {}, command: [], user: undefined, ...from, name, root });
      continue;
    }
    const stage = stages.at(-1);
    if (!stage) throw new Error(`Dockerfile: ${line} stands before the first FROM`);
    await step(project, stages, stage, verb, rest);
  }
  const last = stages.at(-1);
  if (!last) throw new Error('Dockerfile: no stage');
  return { ...last, app: path.join(last.root, last.workdir) };
}

async function step(project: string, stages: Stage[], stage: Stage, verb: string, rest: string): Promise<void> {
  const here = path.join(stage.root, stage.workdir);
  switch (verb) {
    case 'WORKDIR':
      stage.workdir = rest;
      await mkdir(path.join(stage.root, rest), { recursive: true });
      return;
    case 'ENV': {
      const [name = '', value = ''] = rest.split('=', 2);
      stage.environment[name] = value;
      return;
    }
    case 'USER':
      stage.user = rest;
      return;
    case 'CMD':
      stage.command = JSON.parse(rest) as string[];
      return;
    case 'COPY':
      return copy(project, stages, here, rest);
    case 'RUN':
      if (rest.startsWith('npm ci') && !rest.includes('--omit=dev')) {
        await symlink(path.join(project, 'node_modules'), path.join(here, 'node_modules'));
        return;
      }
      await promisify(execFile)('sh', ['-c', rest], { cwd: here, env: buildEnvironment(), maxBuffer: 2 ** 26 });
      return;
    default:
      throw new Error(`Dockerfile: ${verb} is not known to this test`);
  }
}

async function copy(project: string, stages: Stage[], here: string, rest: string): Promise<void> {
  const [, from, paths = ''] = /^(?:--from=(\w+) )?(.*)$/u.exec(rest) ?? [];
  const names = paths.split(' ');
  const target = names.pop() ?? '';
  const root = from === undefined ? project : stages.find(({ name }) => name === from)?.root;
  if (root === undefined) throw new Error(`Dockerfile: COPY --from=${from}: no such stage`);
  const allowed = from === undefined ? await contextOf(project) : undefined;
  for (const name of names) {
    if (allowed && !allowed.has(name)) throw new Error(`Dockerfile: COPY ${name}: .dockerignore leaves it out`);
    const to = target.endsWith('/') ? path.join(here, target, path.basename(name)) : path.join(here, target);
    await cp(path.join(root, name), to, { recursive: true, verbatimSymlinks: true });
  }
}

/** What .dockerignore, which first leaves out everything, takes in again. */
async function contextOf(project: string): Promise<Set<string>> {
  const lines = (await readFile(path.join(project, '.dockerignore'), 'utf8')).split('\n');
  return new Set(lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1)));
}

/** Node 24 first, as in the image, and the packages that this checkout has been installed from. */
function buildEnvironment(): NodeJS.ProcessEnv {
  const { PATH = '', HOME } = process.env;
  return { HOME, PATH: `${path.dirname(process.execPath)}:${PATH}`, npm_config_prefer_offline: 'true' };
}
