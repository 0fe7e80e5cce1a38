import { readFile } from 'node:fs/promises';
import { ConfigurationError } from '../functions/mirror/errors.ts';
import { parseConfig } from '../functions/mirror/config.ts';
import { parseArguments, UsageError, type Options } from './arguments.ts';
import { chooseTarget, targetOptions } from './target.ts';

const options = { ...targetOptions } as const satisfies Options;

export const command = {
  summary:
    'Removes temporary databases that killed runs have left on Aptible; wants APTIBLE_USERNAME and APTIBLE_PASSWORD.',
  options,
  run: async (args: string[]): Promise<number> => {
    await chooseTarget(parseArguments('sweep', args, options).values);
    const { environment } = await import('../functions/environment.ts');
    const file = environment().CONFIG_FILE;
    const text = await readFile(file, 'utf8').catch(() => {
      throw new ConfigurationError(`${file} cannot be read. Next: name an existing mirror.yaml with --config`);
    });
    const { source, project } = parseConfig(text, file).config;
    if (source.type !== 'aptible') {
      throw new UsageError(`commons-mirror sweep: the source of ${file} is ${source.type}; allowed: aptible`);
    }
    const { sweepAptible } = await import('../functions/export/aptible/index.ts');
    const { aptibleApi } = await import('../functions/export/aptible/login.ts');
    const swept = await sweepAptible(aptibleApi(), source, project, undefined, new AbortController().signal);
    for (const { handle, what, why } of swept) console.log(`${handle}: ${what} (${why})`);
    if (swept.length === 0) console.log('Nothing of this mirror is on Aptible.');
    return swept.some(({ what }) => what === 'failed') ? 1 : 0;
  },
};
