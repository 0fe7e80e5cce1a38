import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { ConfigSchema } from './config.ts';

/**
 * mirror.schema.json, by which editors complete and check mirror.yaml, is generated from the code's own schema:
 * `node functions/mirror/config-schema.ts` writes it, `--check` fails where the file has drifted.
 */

const FILE = new URL('../../mirror.schema.json', import.meta.url);

export function configJsonSchema(): string {
  const schema = z.toJSONSchema(ConfigSchema, { io: 'input', target: 'draft-7' });
  return `${JSON.stringify({ ...schema, title: 'Commons Mirror configuration (mirror.yaml)' }, null, 2)}\n`;
}

if (import.meta.main) {
  const wanted = configJsonSchema();
  if (!process.argv.includes('--check')) {
    writeFileSync(FILE, wanted);
  } else if (readFileSync(FILE, 'utf8') !== wanted) {
    console.error('mirror.schema.json differs from functions/mirror/config.ts. Next: npm run schema');
    process.exitCode = 1;
  }
}
