import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Client } from 'pg';
import { z } from 'zod';
import { type Postgres, startPostgres } from '../../local/postgres/index.ts';
import { createSample } from '../../local/sample/index.ts';

// A cluster of its own: the sample's database has a fixed name, and these tests drop it.
let directory: string;
let postgres: Postgres;
let commons: string;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sample-'));
  postgres = await startPostgres({ directory });
});

after(async () => {
  await postgres.stop('immediate');
  await rm(directory, { recursive: true });
});

test('half a sample is made anew, by one of two that want it at once', async () => {
  await ask(postgres.url, 'CREATE DATABASE commons');
  const both = await Promise.all([createSample(postgres.url), createSample(postgres.url)]);
  commons = postgres.url.replace(/postgres$/, 'commons');
  assert.deepEqual(
    both.toSorted((a, b) => Number(a.created) - Number(b.created)),
    [
      { url: commons, created: false },
      { url: commons, created: true },
    ],
  );
});

test('a whole sample stays as it is, with what was added to it', async () => {
  await ask(commons, 'CREATE TABLE added (n int)');
  assert.deepEqual(await createSample(postgres.url), { url: commons, created: false });
  assert.deepEqual(await ask(commons, 'SELECT * FROM added'), []);
  await ask(commons, 'DROP TABLE added');
});

test('every machine and run makes the same rows', async () => {
  const tables = await ask(
    commons,
    `SELECT format('%I.%I', nspname, relname) AS name, relkind
     FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
     WHERE relkind IN ('r', 'p') AND NOT relispartition AND nspname IN ('public', 'care', 'builder', 'Legacy')`,
  );
  const sums = tables.map(({ name, relkind }) => {
    const from = `${relkind === 'r' ? 'ONLY ' : ''}${String(name)}`;
    return `SELECT $$${String(name)}$$ AS name, count(*)::int AS rows, coalesce(sum(hashtextextended(t::text, 0)), 0)::text AS digest FROM ${from} AS t`;
  });
  const found = await ask(
    commons,
    `SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET lc_monetary = 'C'; ${sums.join(' UNION ALL ')}`,
  );
  const facts = Object.fromEntries(
    found.map(({ name, rows, digest }) => [name, `${String(rows)} rows, ${String(digest)}`]),
  );
  assert.deepEqual(facts, {
    '"Legacy"."Größen Übersicht"': '20 rows, 4070431323918705091',
    '"Legacy"."Members"': '50 rows, -17991061763011898404',
    '"Legacy"."dotted.name with ""quotes"""': '20 rows, -13020883187336794604',
    '"Legacy"."order"': '20 rows, 16056565010109679959',
    '"Legacy".arrays': '4 rows, 823102077857351422',
    '"Legacy".census_20260101': '50 rows, 14830427123487477155',
    '"Legacy".computed': '100 rows, 44501744018595692463',
    '"Legacy".contacts': '30 rows, 1028205601507369655',
    '"Legacy".emergency_contacts': '10 rows, -2159360001738866320',
    '"Legacy".extensions': '3 rows, -14894605976341305914',
    '"Legacy".extremes': '3 rows, 537308422596508909',
    '"Legacy".json_texts': '7 rows, -19376513217972496017',
    '"Legacy".nothing_yet': '0 rows, 0',
    '"Legacy".only_one': '100 rows, 142622605110884781566',
    '"Legacy".sensor_dump': '1000 rows, -149190688478209465928',
    '"Legacy".texts': '40 rows, -54365347711100776332',
    'builder.fields': '400 rows, 21447010149382861589',
    'builder.forms': '40 rows, -30049608952835320813',
    'builder.submissions': '3000 rows, -176913018032516015708',
    'care.appointments': '6000 rows, -143374278430945649427',
    'care.conversations': '3000 rows, 213466395969973224325',
    'care.measurements': '20000 rows, -64556359003509090749',
    'care.messages': '30000 rows, 1207881006706604663169',
    'care.notes': '6000 rows, 75291773345884885000',
    'care.plans': '500 rows, -15411652883254027192',
    'care.tasks': '8000 rows, -145005505595198464330',
    'care.team_members': '1480 rows, -204556639306938128389',
    'care.teams': '300 rows, 107048493903237260079',
    'public.addresses': '6000 rows, -157969624677434459347',
    'public.audit_log': '100000 rows, 1612385510578423475301',
    'public.consents': '8000 rows, -154103722617661165391',
    'public.devices': '4000 rows, -445043362360190114065',
    'public.documents': '500 rows, 150989725757185322494',
    'public.invoices': '2000 rows, 426906953384362948232',
    'public.members': '5000 rows, -113591205946543041196',
    'public.sessions': '1000 rows, 54898745208577154828',
    'public.staff': '200 rows, 123741121030509841693',
  });
});

test('its rows that BigQuery cannot hold exactly are these', async () => {
  const counts = {
    'public.consents': `valid_until IN ('infinity', '-infinity')`,
    'care.appointments': `local_end = '24:00' OR imported_start NOT BETWEEN '0001-01-01' AND '9999-12-31 23:59:59.999999'`,
    'care.measurements': `value = 'NaN' OR scale(value) > 38`,
    'builder.submissions': `(payload -> 'q1')::text ~ '^[0-9]{38,}$'`,
    '"Legacy".arrays': `array_lower(numbers, 1) <> 1`,
    '"Legacy".json_texts': `document IS JSON AND NOT document IS JSON WITH UNIQUE KEYS`,
  };
  const found: Record<string, unknown> = {};
  for (const [table, condition] of Object.entries(counts)) {
    const [row] = await ask(commons, `SELECT count(*)::int FROM ${table} WHERE ${condition}`);
    found[table] = row?.['count'];
  }
  assert.deepEqual(found, {
    'public.consents': 3,
    'care.appointments': 3,
    'care.measurements': 4,
    'builder.submissions': 2,
    '"Legacy".arrays': 1,
    '"Legacy".json_texts': 1,
  });
});

const Draft = z.strictObject({
  blocks: z.array(
    z.strictObject({
      key: z.string().length(5),
      type: z.string(),
      depth: z.int(),
      data: z.strictObject({}),
      text: z.string(),
      inlineStyleRanges: z.array(
        z.strictObject({ offset: z.int(), length: z.int(), style: z.enum(['BOLD', 'ITALIC']) }),
      ),
      entityRanges: z.array(z.strictObject({ offset: z.int(), length: z.int(), key: z.int() })),
    }),
  ),
  entityMap: z.record(
    z.string(),
    z.strictObject({
      type: z.literal('LINK'),
      mutability: z.literal('MUTABLE'),
      data: z.strictObject({ url: z.url() }),
    }),
  ),
});

test('rich text is Draft.js raw content whose ranges, counted as JavaScript does, hold the words that they mean', async () => {
  const rows = await ask(
    commons,
    `SELECT DISTINCT regexp_replace(text, '(message|note) \\d+', '') AS text
     FROM (SELECT body FROM care.messages WHERE body LIKE '{%' UNION ALL
           SELECT content::text FROM care.notes WHERE content IS NOT NULL) AS rich (text)`,
  );
  assert.equal(rows.length, 241);

  const marked = { BOLD: new Set<string>(), ITALIC: new Set<string>(), LINK: new Set<string>() };
  for (const { text } of rows) {
    const { blocks, entityMap } = Draft.parse(JSON.parse(String(text)));
    const used: string[] = [];
    for (const block of blocks) {
      for (const { offset, length, style } of block.inlineStyleRanges) {
        marked[style].add(block.text.slice(offset, offset + length));
      }
      for (const { offset, length, key } of block.entityRanges) {
        used.push(String(key));
        marked.LINK.add(`${block.text.slice(offset, offset + length)} ${entityMap[key]?.data.url}`);
      }
    }
    assert.deepEqual(used, Object.keys(entityMap));
  }
  assert.deepEqual(
    Object.values(marked).map((words) => [...words].sort()),
    [
      [
        '*7*',
        '20 minutos',
        'Drink water',
        'Größe & Gewicht',
        'next visit',
        'não mudou',
        '¿cómo durmió?',
        'موعدك',
        '六杯',
        '星期一',
      ],
      ['"at least"', '<heute>', 'I slept', 'amanhã', 'nadar', 'tea', 'الاثنين', '𠮷祥路'],
      [
        'Merkblatt_Übung_1 https://example.org/de/merkblatt_(1)',
        'Monday https://example.org/visits?day=1&at=9',
        'aquí https://example.org/es/mensajes',
        'الماء https://example.org/ar/%D9%85%D8%A7%D8%A1',
        '复诊 https://example.org/zh/复诊',
      ],
    ],
  );
});

test('every table says what it is, and names reach the limit of 63 bytes', async () => {
  assert.deepEqual(
    await ask(
      commons,
      `SELECT count(*)::int AS tables, count(obj_description(pg_class.oid, 'pg_class'))::int AS described
       FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
       WHERE relkind IN ('r', 'p') AND NOT relispartition AND nspname IN ('public', 'care', 'builder', 'Legacy')`,
    ),
    [{ tables: 37, described: 37 }],
  );
  assert.deepEqual(
    await ask(commons, 'SELECT max(octet_length(attname))::int AS bytes FROM pg_attribute WHERE attnum > 0'),
    [{ bytes: 63 }],
  );
});

test('the scale multiplies the tables that grow, and another scale is another sample', async () => {
  assert.deepEqual(await createSample(postgres.url, { scale: 2 }), { url: commons, created: true });
  const [counts] = await ask(
    commons,
    'SELECT (SELECT count(*)::int FROM audit_log) AS audit_log, (SELECT count(*)::int FROM care.messages) AS messages, (SELECT count(*)::int FROM staff) AS staff',
  );
  assert.deepEqual(counts, { audit_log: 200_000, messages: 60_000, staff: 200 });
  await assert.rejects(createSample(postgres.url, { scale: 0.5 }), {
    name: 'RangeError',
    message: 'The scale of the sample is 0.5; use 1, 2, 3, …',
  });
});

async function ask(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client(url);
  await client.connect();
  try {
    // Of several statements, the last one's rows.
    const results = [await client.query<Record<string, unknown>>(sql)].flat();
    return results.at(-1)?.rows ?? [];
  } finally {
    await client.end();
  }
}
