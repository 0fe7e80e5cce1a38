import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { Client, escapeIdentifier } from 'pg';
import { createSample } from '../../local/sample/index.ts';
import type { Report } from '../../local/report.ts';
import { startTestCluster } from '../test-cluster.ts';
import { bigqueryRows, columnsOf, differences, postgresRows, written, type Column } from './compare.ts';
import { DATA, openHarness, type Harness } from './harness.ts';

/** The sample Commons database, from end to end: every value of every table, and every place that tells of the run. */

let harness: Harness;
let source: Client;
let report: Report;
/** By table of the report: columns that are mirrored. */
const columns = new Map<string, Column[]>();
const closing: (() => Promise<unknown>)[] = [];

before(async () => {
  const given = process.env['TEST_POSTGRES_URL'];
  const cluster = given === undefined ? await startTestCluster() : undefined;
  if (cluster) closing.push(cluster.stop);
  const { url } = await createSample(given ?? cluster?.url ?? '');
  source = new Client(url);
  await source.connect();
  closing.push(() => source.end());
  await source.query(
    `SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601'; SET search_path = pg_catalog`,
  );
  harness = await openHarness();
  closing.push(() => harness.close());
  report = await harness.run(url, await readFile(new URL('../../mirror.yaml', import.meta.url), 'utf8'));
  await harness.idle();
});
after(async () => {
  for (const close of closing.toReversed()) await close();
});

const relation = ({ schema, table }: { schema: string; table: string }): string =>
  `${escapeIdentifier(schema)}.${escapeIdentifier(table)}`;
const nameOf = ({ schema, table }: { schema: string; table: string }): string => `${schema}.${table}`;
const commons = (id: string): string => `commons-local.commons.${id}`;
const count = async (table: string): Promise<unknown> =>
  (await harness.query(`SELECT COUNT(*) AS n FROM \`${commons(table)}\``))[0]?.['n'];

/** Which value of which row BigQuery cannot hold: the row's key, the column, the reason. */
const REFUSED: Record<string, [key: string, column: string, reason: string][]> = {
  'public.consents': [
    ['17', 'valid_until', 'infinite'],
    ['1700', 'valid_until', 'infinite'],
    ['7100', 'valid_until', 'infinite'],
  ],
  'care.appointments': [
    ['1492', 'imported_start', 'before-year-1'],
    ['2718', 'local_end', 'end-of-day'],
    ['4242', 'imported_start', 'after-year-9999'],
  ],
  'care.measurements': [
    ['77', 'value', 'not-a-number'],
    ['7777', 'value', 'not-a-number'],
    ['17777', 'value', 'not-a-number'],
    ['3141', 'value', 'too-precise'],
  ],
  'builder.submissions': [
    // 1e400: beyond what rounding could bring back.
    ['100', 'payload', 'number-not-exact'],
    ['200', 'payload', 'number-not-exact'],
  ],
  'Legacy.arrays': [['4', 'numbers', 'array-bounds']],
  'Legacy.json_texts': [['7', 'document', 'duplicate-key']],
};

test('the run is published: every table, its balance, and a view for each', async () => {
  assert.equal(report.state, 'published', report.reason);
  assert.equal(report.tables.length, 36);
  assert.equal(report.views.length, 38);
  for (const table of report.tables) {
    const { rows } = await source.query<{ n: string }>(
      // A parent's rows are its own; a partitioned table has none but its partitions'.
      `SELECT count(*) AS n FROM ${table.table === 'measurements' ? '' : 'ONLY '}${relation(table)}`,
    );
    const errors = REFUSED[nameOf(table)]?.length ?? 0;
    assert.equal(table.exported, Number(rows[0]?.n), nameOf(table));
    assert.deepEqual([table.loaded, table.errors], [table.exported - errors, errors], nameOf(table));
    assert.equal(await count(`${table.warehouseTable}_${report.shard}`), table.loaded, nameOf(table));
    assert.equal(await count(table.warehouseTable), table.loaded, nameOf(table));
  }
  const names = [...report.tables.map((each) => each.warehouseTable), ...report.transforms.map(({ output }) => output)];
  assert.deepEqual(
    Object.fromEntries(report.views.map(({ view, table }) => [view, table])),
    Object.fromEntries(names.map((name) => [name, `${name}_${report.shard}`])),
  );
  assert.deepEqual(await harness.slack(), []);
});

/** Lines of a CSV whose every field is quoted. */
function parseCsv(text: string): string[][] {
  const lines: string[][] = [[]];
  for (const [, field = '', end] of text.matchAll(/"((?:[^"]|"")*)"(,|\n)/gu)) {
    lines.at(-1)?.push(field.replaceAll('""', '"'));
    if (end === '\n') lines.push([]);
  }
  return lines.slice(0, -1);
}

test('schema.csv lists every column but those that mirror.yaml leaves out', async () => {
  const prefix = `data/${report.runId}/1/`;
  const text = (await harness.objects(DATA, `${prefix}schema.csv`)).get(`${prefix}schema.csv`) ?? '';
  const [header, ...lines] = parseCsv(text);
  const names =
    'schema,table,position,column,type,nullable,description,warehouse_table,warehouse_column,warehouse_type';
  assert.equal(header?.join(','), names);
  const { rows } = await source.query<{ name: string; column: string; type: string; nullable: string }>(
    `SELECT n.nspname || '.' || c.relname AS name, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type,
            (NOT a.attnotnull)::text AS nullable
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
       AND n.nspname IN ('public', 'care', 'builder', 'Legacy')`,
  );
  const leftOut = ['public.members ssn', 'public.devices push_token', 'public.staff password_hash'];
  const mirrored = new Set(report.tables.map(nameOf));
  const expected = rows
    .filter(({ name, column }) => mirrored.has(name) && !leftOut.includes(`${name} ${column}`))
    .map(({ name, column, type, nullable }) => [name, column, type, nullable].join(' | '));
  const listed = lines.map(([schema, table, , column, type, nullable]) =>
    [`${schema}.${table}`, column, type, nullable].join(' | '),
  );
  assert.deepEqual(listed.toSorted(), expected.toSorted());
  for (const table of report.tables) {
    const ofTable = lines.filter(([schema, name]) => schema === table.schema && name === table.table);
    const mapped = new Map(ofTable.map((line) => [line[3] ?? '', line[8] ?? '']));
    columns.set(nameOf(table), await columnsOf(source, table.schema, table.table, mapped));
    assert.deepEqual(
      columns.get(nameOf(table))?.map(({ source: column }) => column),
      ofTable.map((line) => line[3]),
    );
  }
});

test('every value of every table is the one that PostgreSQL has', async () => {
  for (const table of report.tables) {
    const own = columns.get(nameOf(table)) ?? [];
    const refused = REFUSED[nameOf(table)]?.map(([key]) => key) ?? [];
    const from = `${table.table === 'measurements' ? '' : 'ONLY '}${relation(table)}`;
    const where = refused.length > 0 ? ` WHERE id NOT IN (${refused.join(', ')})` : '';
    const wanted = await postgresRows(source, `${from}${where}`, own);
    const found = await bigqueryRows(harness.query, commons(table.warehouseTable), own);
    assert.deepEqual(differences(wanted, found), { onlyLeft: [], onlyRight: [] }, nameOf(table));
    assert.equal(found.length, table.loaded);
  }
});

test('each row that BigQuery cannot hold is told with its reason, as PostgreSQL wrote it', async () => {
  const rows = await harness.query(
    `SELECT run_id, source_schema, source_table, part, TO_JSON_STRING(failures) AS failures, TO_JSON_STRING(raw_row) AS raw_row
     FROM \`${commons(`commons_mirror_errors_${report.shard}`)}\``,
  );
  assert.equal(rows.length, 14);
  const found: Record<string, [string, string, string][]> = {};
  for (const row of rows) {
    assert.equal(row['run_id'], report.runId);
    const name = `${String(row['source_schema'])}.${String(row['source_table'])}`;
    const failures = JSON.parse(String(row['failures'])) as { column_name: string; reason: string }[];
    const raw = JSON.parse(String(row['raw_row'])) as { name: string; value: string | null }[];
    const key = raw[0]?.value ?? '';
    (found[name] ??= []).push(
      ...failures.map(({ column_name: column, reason }): [string, string, string] => [key, column, reason]),
    );
    const own = columns.get(name) ?? [];
    // What is refused is PostgreSQL's own text; an array that is not, its JSON.
    const texts = own.map(({ source: column, kind }) => {
      const c = escapeIdentifier(column);
      const isRefused = failures.some(({ column_name: failing }) => failing === column);
      const isArray = kind.postgres(c).startsWith('to_json(');
      return isArray && !isRefused ? kind.postgres(c) : written(c);
    });
    const bytes = own.findIndex(({ source: column }) => column === 'evidence');
    if (bytes >= 0) texts[bytes] = `encode(evidence, 'base64')`;
    const [schema = '', table = ''] = name.split('.');
    const { rows: wanted } = await source.query<(string | null)[]>({
      text: `SELECT ${texts.join(', ')} FROM ${relation({ schema, table })} WHERE id = ${key}`,
      rowMode: 'array',
    });
    assert.deepEqual(
      raw.map(({ value }) => value),
      wanted[0],
      `${name} ${key}`,
    );
  }
  const byKey = (list: [string, string, string][]): string[] => list.map((each) => each.join(' ')).sort();
  assert.deepEqual(
    Object.fromEntries(Object.entries(found).map(([name, list]) => [name, byKey(list)])),
    Object.fromEntries(Object.entries(REFUSED).map(([name, list]) => [name, byKey(list)])),
  );
});

test('the queries of docs/operations.md list the bad values by table and reason, and prove the balance', async () => {
  const text = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8');
  const queries = [...text.matchAll(/```sql\n([^`]*(?:`[^`]+`[^`]*)*?)\n```/gu)].map(([, sql = '']) =>
    sql
      .replaceAll('acme-mirror', 'commons-local')
      .replaceAll(/(?<=commons_mirror_errors_)\d{8}/gu, report.shard)
      .replaceAll('20261122T080000Z', report.runId),
  );
  assert.equal(queries.length, 2);
  const bad = await harness.query(queries[0] ?? '');
  const listed = bad.map((row) =>
    [
      `${String(row['source_schema'])}.${String(row['source_table'])}`,
      row['column_name'],
      row['reason'],
      row['bad_values'],
    ].join(' '),
  );
  const counts = new Map<string, number>();
  for (const [name, values] of Object.entries(REFUSED)) {
    for (const [, column, reason] of values) {
      const key = `${name} ${column} ${reason}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  assert.deepEqual(listed.sort(), [...counts].map(([key, count]) => `${key} ${count}`).sort());
  const balance = await harness.query(queries[1] ?? '');
  assert.equal(balance.length, report.tables.length);
  for (const { source_schema: schema, source_table: table, loaded, errors, error_rows: kept, balanced } of balance) {
    const own = report.tables.find((each) => each.schema === schema && each.table === table);
    assert.deepEqual([loaded, errors, kept, balanced], [own?.loaded, own?.errors, own?.errors, true], String(table));
  }
});

test('keys are on the published tables, and those that would lead nowhere are not', async () => {
  const constraints = async (name: string): Promise<unknown> =>
    (await harness.table(`${name}_${report.shard}`))?.['tableConstraints'];
  const refersTo = (table: string, column: string): object => ({
    referencedTable: { projectId: 'commons-local', datasetId: 'commons', tableId: `${table}_${report.shard}` },
    columnReferences: [{ referencingColumn: column, referencedColumn: 'id' }],
  });
  assert.deepEqual(await constraints('members'), { primaryKey: { columns: ['id'] }, foreignKeys: [] });
  const { primaryKey } = ((await constraints('addresses')) ?? {}) as { primaryKey?: unknown };
  assert.deepEqual(await constraints('addresses'), { primaryKey, foreignKeys: [refersTo('members', 'member_id')] });
  // A refusal of its own does not keep a table's keys from leading elsewhere.
  assert.deepEqual(await constraints('consents'), {
    primaryKey: { columns: ['id'] },
    foreignKeys: [refersTo('members', 'member_id')],
  });
});

test('coverage is told per table and in total, to the SLI table and to Cloud Monitoring', async () => {
  const rows = await harness.query(
    `SELECT run_id, shard, source_schema, source_table, loaded, errors, CAST(coverage AS STRING) AS coverage
     FROM \`${commons('commons_mirror_sli')}\``,
  );
  const line = (schema: string | null, table: string | null, loaded: number, errors: number) => ({
    run_id: report.runId,
    shard: report.shard,
    source_schema: schema,
    source_table: table,
    loaded,
    errors,
    coverage: loaded + errors === 0 ? 1 : loaded / (loaded + errors),
  });
  const wanted = [
    ...report.tables.map(({ schema, table, loaded, errors }) => line(schema, table, loaded, errors)),
    line(null, null, 205_863, 14),
  ];
  const byTable = (list: Record<string, unknown>[]): Record<string, unknown> =>
    Object.fromEntries(list.map((each) => [JSON.stringify([each['source_schema'], each['source_table']]), each]));
  assert.equal(rows.length, wanted.length);
  assert.deepEqual(byTable(rows.map((row) => ({ ...row, coverage: Number(row['coverage']) }))), byTable(wanted));
  assert.equal(report.coverage, 205_863 / 205_877);

  const series = async (metric: string): Promise<Record<string, string>> => {
    const query = new URLSearchParams({
      filter: `metric.type = "custom.googleapis.com/commons_mirror/${metric}"`,
      'interval.startTime': new Date(Date.now() - 3_600_000).toISOString(),
      'interval.endTime': new Date().toISOString(),
    });
    const answer = await fetch(`${harness.chain.stack.url}/v3/projects/commons-local/timeSeries?${query.toString()}`);
    const { timeSeries } = (await answer.json()) as {
      timeSeries: { metric: { labels: Record<string, string> }; points: { value: Record<string, unknown> }[] }[];
    };
    return Object.fromEntries(
      timeSeries.map(({ metric: { labels }, points }) => [
        Object.values(labels).join(),
        points.map(({ value }) => Object.values(value)[0]).join(),
      ]),
    );
  };
  const text = (table: Report['tables'][number]): string =>
    /[".*\s]/u.test(table.table) ? `${table.schema}."${table.table.replaceAll('"', '""')}"` : nameOf(table);
  assert.deepEqual(await series('coverage'), {
    total: String(205_863 / 205_877),
    ...Object.fromEntries(
      report.tables.map((table) => [text(table), String(table.exported === 0 ? 1 : table.loaded / table.exported)]),
    ),
  });
  assert.deepEqual(await series('rows'), { error: '14', loaded: '205863' });
});

test('a transformed twin has every row and column of its table, and the text beside them', async () => {
  assert.deepEqual(
    report.transforms.map(({ name, table, output, rows }) => [name, table, output, rows]),
    [
      ['draftjs', 'care.messages', 'care__messages_transformed', 30_000],
      ['draftjs', 'care.notes', 'care__notes_transformed', 6000],
    ],
  );
  for (const { table, output, rows } of report.transforms) {
    assert.equal(await count(output), rows);
    const own = columns.get(table) ?? [];
    const id = own.slice(0, 1);
    assert.deepEqual(
      differences(await postgresRows(source, table, id), await bigqueryRows(harness.query, commons(output), id)),
      { onlyLeft: [], onlyRight: [] },
    );
  }
  // Beside Draft.js there is plain text, which stays as it is, and nothing, which stays nothing.
  const plain = await harness.query(
    `SELECT id, body, body_text FROM \`${commons('care__messages_transformed')}\` WHERE id IN (1, 2, 3, 4) ORDER BY id`,
  );
  assert.deepEqual(plain, [
    { id: 1, body: null, body_text: null },
    { id: 2, body: '', body_text: '' },
    {
      id: 3,
      body: 'Plain text from before the editor, "quoted" 3',
      body_text: 'Plain text from before the editor, "quoted" 3',
    },
    { id: 4, body: '{"blocks":[],"entityMap":{}}', body_text: '' },
  ]);
  const missing = await harness.query(
    `SELECT COUNTIF(content IS NULL) AS content, COUNTIF(content_text IS NULL) AS text, COUNTIF(content_html IS NULL) AS html,
            COUNTIF(summary IS NULL) = COUNTIF(summary_text IS NULL) AS summaries
     FROM \`${commons('care__notes_transformed')}\``,
  );
  assert.deepEqual(missing, [{ content: 12, text: 12, html: 12, summaries: true }]);
});

test('schema.json loads its parts as they are', async () => {
  const prefix = `data/${report.runId}/1/builder__fields/`;
  const objects = await harness.objects(DATA, prefix);
  const fields = JSON.parse(objects.get(`${prefix}schema.json`) ?? '') as object[];
  const parts = [...objects.keys()].filter((name) => name.endsWith('.csv'));
  const plan = (await harness.objects('commons-local-mirror-ledger', `runs/${report.runId}/plan.json`)).values().next();
  const { nullToken } = JSON.parse(plan.value ?? '') as { nullToken: string };
  const rows = await harness.load('by_hand', {
    sourceUris: parts.map((name) => `gs://${DATA}/${name}`),
    sourceFormat: 'CSV',
    schema: { fields },
    skipLeadingRows: 1,
    nullMarker: nullToken,
    allowQuotedNewlines: true,
  });
  assert.equal(rows, 400);
  const own = columns.get('builder.fields') ?? [];
  const wanted = await postgresRows(source, 'builder.fields', own);
  const found = await bigqueryRows(harness.query, 'commons-local.commons_loading.by_hand', own);
  assert.deepEqual(differences(wanted, found), { onlyLeft: [], onlyRight: [] });
});

test('warehouse.duckdb opens in plain DuckDB, with tables and views by their names in BigQuery', async () => {
  await harness.chain.close();
  const file = path.join(harness.directory, 'data', 'warehouse.duckdb');
  const instance = await DuckDBInstance.create(file, { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  try {
    const ask = async (sql: string): Promise<unknown[][]> => (await connection.runAndReadAll(sql)).getRows();
    const names = await ask(
      `SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'commons' ORDER BY 1, 2`,
    );
    const { shard } = report;
    const wanted = [
      // A published table has the rows that were loaded, as long as nobody writes them.
      ...report.views.flatMap(({ view, table }) => [`${view} VIEW`, `${table} VIEW`]),
      `commons_mirror_errors_${shard} BASE TABLE`,
      'commons_mirror_sli BASE TABLE',
    ];
    assert.deepEqual(names.map((row) => row.join(' ')).sort(), wanted.sort());
    for (const { warehouseTable, loaded } of report.tables) {
      const [[n] = []] = await ask(`SELECT count(*)::INT FROM commons.${escapeIdentifier(warehouseTable)}`);
      assert.equal(n, loaded, warehouseTable);
    }
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
});
