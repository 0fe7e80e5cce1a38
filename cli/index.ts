import { readFileSync } from 'node:fs';
import { styleText } from 'node:util';
import { ConfigurationError, PermanentError, SafeError } from '../functions/mirror/errors.ts';
import { describe, UsageError, type Options } from './arguments.ts';

/** `commons-mirror COMMAND`: exit 0 done, 1 failed, 2 wrong usage or configuration. */

type Command = { summary: string; positionals?: string[]; options: Options; run: (args: string[]) => Promise<number> };

const COMMANDS: Record<string, () => Promise<{ command: Command }>> = {
  start: () => import('./start.ts'),
  plan: () => import('./plan.ts'),
  status: () => import('./status.ts'),
  retry: () => import('./retry.ts'),
  publish: () => import('./publish.ts'),
  sweep: () => import('./sweep.ts'),
  query: () => import('./query.ts'),
  invoke: () => import('./invoke.ts'),
};

const [name = 'help', ...args] = process.argv.slice(2);
process.exitCode = await main();

async function main(): Promise<number> {
  try {
    if (name === 'help' || name === '--help' || name === '-h') return await help();
    if (name === 'version' || name === '--version') return version();
    const load = COMMANDS[name];
    if (!load) {
      throw new UsageError(
        `commons-mirror: unknown command ${name}; allowed: ${Object.keys(COMMANDS).join(', ')}, help`,
      );
    }
    if (args.includes('--help') || args.includes('-h')) return await help(name);
    return await (await load()).command.run(args);
  } catch (error) {
    return tell(error);
  }
}

async function help(only?: string): Promise<number> {
  const parts: string[] = [];
  for (const [command, load] of Object.entries(COMMANDS)) {
    if (only !== undefined && only !== command) continue;
    const { summary, positionals = [], options } = (await load()).command;
    parts.push(describe(command, positionals, summary, options));
  }
  console.log(`Mirrors a PostgreSQL database into BigQuery.\n\n${parts.join('\n\n')}`);
  return 0;
}

function version(): number {
  const { version: text }: { version: string } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  );
  console.log(text);
  return 0;
}

/** On a terminal that has colours, and does not ask for none with NO_COLOR. A function: `main` is awaited above. */
function inRed(text: string): string {
  return styleText('red', text, { stream: process.stderr });
}

/** One message; a stack only for what nobody foresaw. */
function tell(error: unknown): number {
  if (error instanceof UsageError || error instanceof ConfigurationError) {
    console.error(inRed(error.message));
    return 2;
  }
  const isForeseen =
    error instanceof PermanentError ||
    error instanceof SafeError ||
    (error instanceof Error && ['DataDirectoryError', 'StartError'].includes(error.name));
  if (isForeseen) console.error(inRed(error.message));
  else console.error(error);
  return 1;
}
