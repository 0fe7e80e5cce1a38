#!/usr/bin/env node
// Plain JavaScript on purpose: any Node from 20 on can start it. The project itself needs Node 24 (Google's clients ask
// for 22, TypeScript runs unbuilt from 22.18), which comes as a package, so that nobody has to install a runtime.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const NEEDED = 24;

function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= NEEDED) return process.execPath;
  try {
    return createRequire(import.meta.url).resolve(`node-${process.platform}-${process.arch}/bin/node`);
  } catch {
    console.error(
      `commons-mirror: needs Node ${NEEDED} or newer; found ${process.version}, and no packaged Node for ` +
        `${process.platform}-${process.arch} (packaged: linux-x64, linux-arm64, darwin-x64).\n` +
        `Next: install Node ${NEEDED}, or install again without --omit=optional.`,
    );
    process.exit(2);
  }
}

/** The repository has the TypeScript; the package has what was compiled from it, for Node strips no types in node_modules. */
function findIndex() {
  const [source, compiled] = ['./index.ts', '../build/cli/index.js'].map((file) =>
    fileURLToPath(new URL(file, import.meta.url)),
  );
  return existsSync(source) ? source : compiled;
}

const args = process.argv.slice(2);
const script = args[0] === '--node' ? args.slice(1) : [findIndex(), ...args];
// Each statement of DuckDB holds one of Node's threads while it runs, and files are read by the same ones: four are too few.
const env = { UV_THREADPOOL_SIZE: '16', ...process.env };
const child = spawn(findNode(), script, { stdio: 'inherit', env });
// A terminal's Ctrl-C reaches the whole process group, a supervisor's signal this process alone: the child may get one twice.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  if (signal) {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  } else process.exit(code ?? 1);
});
