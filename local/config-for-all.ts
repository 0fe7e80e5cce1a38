import { stringify } from 'yaml';
import { relations, type Relation } from '../functions/export/catalogue.ts';
import { queryError, urlSource } from '../functions/export/source.ts';
import { PermanentError } from '../functions/mirror/errors.ts';
import { tableText } from '../functions/mirror/table-pattern.ts';

/** A mirror.yaml for a database that has none: every table of every user schema that the role can read, a chunk a schema. */
export async function configForAll(sourceUrl: string): Promise<string> {
  const source = urlSource(sourceUrl, 'commons-mirror');
  const client = await source.connect();
  let found: Relation[];
  try {
    found = await relations(client);
  } catch (error) {
    throw queryError(error, 'listing the tables');
  } finally {
    await client.end();
    await source.close();
  }
  const tables = found.filter(({ kind, readable }) => readable && (kind === 'table' || kind === 'partitioned table'));
  if (tables.length === 0) {
    throw new PermanentError(
      `${source.name} has no table that the role can read. Next: GRANT SELECT, or name another database.`,
    );
  }
  const bySchema = Map.groupBy(tables, ({ schema }) => schema);
  const names = chunkNames([...bySchema.keys()]);
  const config = {
    project: 'commons-local',
    region: 'us-central1',
    location: 'US',
    dataset: 'commons',
    chunks: [...bySchema.values()].map((list, i) => ({
      name: names[i],
      tables: list.map((table) => tableText(table)),
    })),
    // Somebody looking at their own database wants to see it, with the refused rows counted in the report.
    coverage: { total: 0, perTable: 0 },
  };
  return `# Written for this database by commons-mirror; copy it and shorten it: patterns such as public.* are allowed.\n${stringify(config)}`;
}

/** A chunk's name after its schema; numbered only where two would be alike, or like the Builder list's. */
function chunkNames(schemas: string[]): string[] {
  const taken = new Set(['builder']);
  return schemas.map((schema) => {
    const plain = schema
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/gu, '-')
      .replaceAll(/^[-\d]+|-+$/gu, '')
      .slice(0, 30);
    let name = plain || 'schema';
    for (let n = 2; taken.has(name); n++) name = `${plain || 'schema'}-${n}`;
    taken.add(name);
    return name;
  });
}
