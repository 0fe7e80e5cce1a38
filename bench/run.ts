/** `npm run bench -- NAME [ARGUMENTS]`: a measurement against a named peer, whose last line is its result as JSON. */
const BENCHES: Record<string, () => Promise<{ bench: (args: string[]) => Promise<object> }>> = {
  export: () => import('./export.ts'),
  'cold-start': () => import('./cold-start.ts'),
  tunnel: () => import('./tunnel.ts'),
  'warehouse-ready': () => import('./warehouse-ready.ts'),
};

const [name = '', ...args] = process.argv.slice(2);
const load = BENCHES[name];
if (!load) {
  console.error(`bench: ${name || 'no name'}; allowed: ${Object.keys(BENCHES).join(', ')}`);
  process.exit(2);
}
const { bench } = await load();
console.log(JSON.stringify(await bench(args)));
