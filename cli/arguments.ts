import { parseArgs } from 'node:util';

/** Wrong usage: exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

export type Option = {
  type: 'string' | 'boolean';
  value?: string;
  meaning: string;
  /** Which values it takes: in words, and whether a text is one of them. */
  takes?: { what: string; has: (text: string) => boolean };
  /** Another option, which may not stand beside it. */
  excludes?: string;
};
export type Options = Record<string, Option>;

type Parsed<O extends Options> = {
  values: { [K in keyof O]?: O[K]['type'] extends 'string' ? string : boolean };
  positionals: string[];
};

/** Parses a command's arguments. Throws one UsageError that names everything wrong with them. */
export function parseArguments<O extends Options>(
  command: string,
  args: string[],
  options: O,
  positionals: string[] = [],
): Parsed<O> {
  const { values, tokens } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true });
  const faults: string[] = [];
  const found: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') found.push(token.value);
    if (token.kind !== 'option') continue;
    const option = options[token.name];
    if (!option)
      faults.push(
        `${token.rawName}: unknown option; allowed: ${Object.keys(options)
          .map((name) => `--${name}`)
          .join(', ')}`,
      );
    else if (option.type === 'string' && (token.value === undefined || token.value === '')) {
      faults.push(`--${token.name}: wants a value, ${option.value ?? 'VALUE'}`);
    } else if (option.type === 'string' && !token.inlineValue && token.value?.startsWith('--')) {
      faults.push(`--${token.name}: wants a value, ${option.value ?? 'VALUE'}; found ${token.value}`);
    } else if (option.type === 'boolean' && token.value !== undefined) {
      faults.push(`--${token.name}: takes no value; found ${token.value}`);
    } else if (option.takes && token.value !== undefined && !option.takes.has(token.value)) {
      faults.push(`--${token.name}: wants ${option.takes.what}; found ${token.value}`);
    }
  }
  for (const [name, { excludes }] of Object.entries<Option>(options)) {
    if (excludes !== undefined && name in values && excludes in values)
      faults.push(`--${name} and --${excludes} exclude each other`);
  }
  const wanted = positionals.filter((name) => !name.startsWith('['));
  if (found.length < wanted.length) faults.push(`missing: ${wanted.slice(found.length).join(' ')}`);
  if (found.length > positionals.length) faults.push(`not understood: ${found.slice(positionals.length).join(' ')}`);
  if (faults.length > 0) {
    throw new UsageError(
      `commons-mirror ${command}:\n${faults.map((fault) => `  ${fault}`).join('\n')}\nNext: commons-mirror help`,
    );
  }
  return { values, positionals: found };
}

/** The lines of `help` for a command. */
export function describe(command: string, positionals: string[], summary: string, options: Options): string {
  const lines = Object.entries(options).map(([name, { value, meaning }]) => {
    return `      ${`--${name}${value ? ` ${value}` : ''}`.padEnd(30)} ${meaning}`;
  });
  return [`  ${['commons-mirror', command, ...positionals].join(' ')}`, `      ${summary}`, ...lines].join('\n');
}
