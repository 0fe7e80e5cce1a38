import { cp, rm } from 'node:fs/promises';
import { build } from 'esbuild';

/**
 * Bundles the functions and the export into `dist/`, so that a cold start reads a few files instead of a thousand; the
 * numbers are in docs/deploy.md. Each function stays a chunk of its own. Source maps lead a stack back to the TypeScript.
 * What stays in node_modules: native code, and packages that read files beside themselves.
 */
await rm('dist', { recursive: true, force: true });
await build({
  entryPoints: ['functions/index.ts', 'functions/export/main.ts'],
  outbase: 'functions',
  outdir: 'dist',
  bundle: true,
  splitting: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  sourcemap: 'linked',
  sourcesContent: false,
  external: ['@google-cloud/functions-framework', '@google-cloud/pubsub', '@node-rs/crc32', 'pg', 'ssh2'],
  // Google's clients are CommonJS and `require` Node's own modules.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  logLevel: 'warning',
});
// The transform carries these files' text into BigQuery; bundled code looks for them beside itself.
await cp('functions/transform/draft', 'dist/draft', { recursive: true });
