import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { byText, loadOf, reference, startBigQuery, type TestBigQuery } from './bigquery-server.ts';

const square = 'POLYGON((0 0,10 0,10 10,0 10,0 0),(2 2,4 2,4 4,2 2))';
/** Doubles, little-endian. */
const [zero, one, two] = ['0000000000000000', '000000000000F03F', '0000000000000040'];
/** A point little-endian, and the same big-endian. */
const wkb = { little: `0101000000${one}${two}`, big: '00000000013ff00000000000004000000000000000' };
const nested = (levels: number): string => `${'GEOMETRYCOLLECTION('.repeat(levels)}POINT(1 2)${')'.repeat(levels)}`;

/** What BigQuery takes as WKT, and what ST_ASTEXT makes of it. */
const texts: [wkt: string, shown: string][] = [
  ['POINT(1 2)', 'POINT(1 2)'],
  [' point ( -1.50\n+.5e0 ) ', 'POINT(-1.5 0.5)'],
  ['POINT(0.12345678901234566 -0)', 'POINT(0.12345678901234566 0)'],
  ['POINT(180 90)', 'POINT(180 90)'],
  ['POINT(190 -90)', 'POINT(-170 -90)'],
  ['LINESTRING(0 0,1 1, 2 0)', 'LINESTRING(0 0, 1 1, 2 0)'],
  [square, 'POLYGON((0 0, 10 0, 10 10, 0 10, 0 0), (2 2, 4 2, 4 4, 2 2))'],
  ['MULTIPOINT(1 2,3 4)', 'MULTIPOINT(1 2, 3 4)'],
  ['MULTIPOINT((1 2),EMPTY,(3 4))', 'MULTIPOINT(1 2, 3 4)'],
  ['MULTILINESTRING((2 2,3 4),(5 6,7 7))', 'MULTILINESTRING((2 2, 3 4), (5 6, 7 7))'],
  [
    'MULTIPOLYGON(((0 -1,1 0,1 1,0 -1)),((5 5,6 5,6 6,5 5)))',
    'MULTIPOLYGON(((0 -1, 1 0, 1 1, 0 -1)), ((5 5, 6 5, 6 6, 5 5)))',
  ],
  // No structure that a simpler one can stand for.
  ['MULTIPOLYGON(((0 -1,1 0,1 1,0 -1)))', 'POLYGON((0 -1, 1 0, 1 1, 0 -1))'],
  ['GEOMETRYCOLLECTION(POINT(1 1),POINT(2 2))', 'MULTIPOINT(1 1, 2 2)'],
  [
    'GEOMETRYCOLLECTION(LINESTRING(-2 4,0 6),GEOMETRYCOLLECTION(MULTIPOINT(-1 2,0 12)))',
    'GEOMETRYCOLLECTION(MULTIPOINT(-1 2, 0 12), LINESTRING(-2 4, 0 6))',
  ],
  ['POINT EMPTY', 'GEOMETRYCOLLECTION EMPTY'],
  ['GEOMETRYCOLLECTION(MULTILINESTRING EMPTY)', 'GEOMETRYCOLLECTION EMPTY'],
  [nested(100), 'POINT(1 2)'],
];

const KINDS = 'POINT, LINESTRING, POLYGON, MULTIPOINT, MULTILINESTRING, MULTIPOLYGON, GEOMETRYCOLLECTION';

/** What ST_GEOGFROMTEXT refuses, and why. */
const refusals: [wkt: string, why: string][] = [
  ['', `Invalid WKT: expected ${KINDS} at character 1`],
  ['Jane', `Invalid WKT: expected ${KINDS} at character 1`],
  ['SRID=4326;POINT(1 2)', `Invalid WKT: expected ${KINDS} at character 1`],
  ['CIRCULARSTRING(0 0,1 1,2 0)', `Invalid WKT: expected ${KINDS} at character 1`],
  ['CURVEPOLYGON((0 0,1 0,1 1,0 0))', `Invalid WKT: expected ${KINDS} at character 1`],
  ['TIN(((0 0,1 0,1 1,0 0)))', `Invalid WKT: expected ${KINDS} at character 1`],
  ['POLYHEDRALSURFACE(((0 0,1 0,1 1,0 0)))', `Invalid WKT: expected ${KINDS} at character 1`],
  ['POINTZ(1 2 3)', `Invalid WKT: expected ${KINDS} at character 1`],
  ['POINT Z (1 2 3)', "Invalid WKT: expected '(' at character 7"],
  ['POINT(1 2 3)', "Invalid WKT: expected ',' or ')' at character 11"],
  ['POINT(1 2 3 4)', "Invalid WKT: expected ',' or ')' at character 11"],
  ['POINT(1,2)', 'Invalid WKT: expected a number at character 8'],
  ['POINT(1-2)', 'Invalid WKT: expected a word, a number, or one of (), at character 7'],
  ['POINT(1 2', "Invalid WKT: expected ',' or ')' at character 10"],
  ['POINT(1 2))', 'Invalid WKT: expected the end at character 11'],
  ['POINT(NaN 1)', 'Invalid WKT: expected a number at character 7'],
  ['POINT(1 2,3 4)', 'A point must have one position'],
  ['POINT(1e400 1)', 'Coordinates must be finite'],
  ['POINT(1 90.000001)', 'Latitude must be between -90 and 90 degrees'],
  ['POINT(1 -91)', 'Latitude must be between -90 and 90 degrees'],
  ['LINESTRING(1 2)', 'A linestring must have at least 2 points'],
  ['POLYGON((0 0,1 0,1 1,0 1))', 'Invalid polygon loop: The last point must be the first'],
  ['POLYGON((0 0,1 0,0 0))', 'Invalid polygon loop: A loop must have at least 4 points'],
  ['POLYGON(EMPTY)', 'Invalid polygon loop: A loop must have at least 4 points'],
  [nested(101), 'More than 100 GEOMETRYCOLLECTIONs in one another'],
];

/** What only a load takes. */
const loaded: [text: string, shown: string][] = [
  [' {"type": "Point", "coordinates": [-121, 41]}', 'POINT(-121 41)'],
  ['{"type":"LineString","coordinates":[[0,0],[1,1]],"bbox":[0,0,1,1]}', 'LINESTRING(0 0, 1 1)'],
  ['{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]]]}', 'POLYGON((0 0, 1 0, 1 1, 0 0))'],
  ['{"type":"MultiPoint","coordinates":[[0,0],[1,1]]}', 'MULTIPOINT(0 0, 1 1)'],
  ['{"type":"MultiLineString","coordinates":[[[0,0],[1,1]]]}', 'LINESTRING(0 0, 1 1)'],
  ['{"type":"MultiPolygon","coordinates":[[[[0,0],[1,0],[1,1],[0,0]]]]}', 'POLYGON((0 0, 1 0, 1 1, 0 0))'],
  ['{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]}]}', 'POINT(1 2)'],
  [wkb.little, 'POINT(1 2)'],
  [wkb.big, 'POINT(1 2)'],
  [`010200000002000000${one}${two}${two}${one}`, 'LINESTRING(1 2, 2 1)'],
  [`010400000002000000${wkb.little}${wkb.big}`, 'MULTIPOINT(1 2, 1 2)'],
  [`010700000001000000${wkb.little}`, 'POINT(1 2)'],
  [`01030000000100000004000000${zero}${zero}${one}${zero}${one}${one}${zero}${zero}`, 'POLYGON((0 0, 1 0, 1 1, 0 0))'],
];

const unloadable = [
  '{"type":"Point"',
  '{"type":"Point","coordinates":[1,2,3]}',
  '{"type":"Point","coordinates":[1,91]}',
  '{"type":"Point","coordinates":[1e400,1]}',
  '{"type":"Point","coordinates":[1,2],"crs":{"type":"name","properties":{"name":"EPSG:3857"}}}',
  '{"type":"Feature","geometry":{"type":"Point","coordinates":[1,2]}}',
  '{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1]]]}',
  // Z, an SRID, a NaN, a wrong member, too short, too long, and a kind that is none.
  `0101000080${one}${two}${two}`,
  `0101000020E6100000${one}${two}`,
  '0101000000000000000000F87F000000000000F87F',
  `010500000001000000${wkb.little}`,
  wkb.little.slice(2, -2),
  `${wkb.little}00`,
  '0102000000FFFFFFFF',
  '0108000000',
];

describe('GEOGRAPHY', () => {
  let bigquery: TestBigQuery;
  before(async () => {
    bigquery = await startBigQuery();
    await bigquery.client.createDataset('ds');
    const uri = await bigquery.put('t', `id,g\n1,POINT(1 2)\n2,\\N\n3,"${square}"\n4,POINT EMPTY\n`);
    await succeed(loadOf(uri, 't', fields));
  });
  after(() => bigquery.close());

  const fields = [
    { name: 'id', type: 'INTEGER', mode: 'REQUIRED' },
    { name: 'g', type: 'GEOGRAPHY', mode: 'NULLABLE' },
  ];
  const stored = [
    ['1', 'POINT(1 2)'],
    ['2', null],
    ['3', 'POLYGON((0 0, 10 0, 10 10, 0 10, 0 0), (2 2, 4 2, 4 4, 2 2))'],
    ['4', 'GEOMETRYCOLLECTION EMPTY'],
  ];
  const succeed = async (configuration: Record<string, unknown>): Promise<void> => {
    assert.deepEqual((await bigquery.run(configuration)).status.errorResult, undefined);
  };
  const run = (query: string): Promise<void> => succeed({ query: { query, useLegacySql: false } });
  const fail = async (query: string): Promise<unknown> =>
    (await bigquery.run({ query: { query, useLegacySql: false } })).status.errorResult;
  const ask = async (query: string): Promise<unknown[]> => {
    const [rows] = await bigquery.client.query(query);
    return JSON.parse(JSON.stringify(rows)) as unknown[];
  };
  /** Each text as a row's only value, in quotes. */
  const load = async (values: string[], table: string, options = {}) => {
    const lines = values.map((text) => `"${text.replaceAll('"', '""')}"\n`);
    const uri = await bigquery.put(table, `g\n${lines.join('')}`);
    return { uri, job: await bigquery.run(loadOf(uri, table, [{ name: 'g', type: 'GEOGRAPHY' }], options)) };
  };

  it('is loaded, shown and counted as a column of its type', async () => {
    assert.deepEqual(byText(await bigquery.rows('t')), stored);
    const [metadata] = await bigquery.client.dataset('ds').table('t').getMetadata();
    assert.deepEqual(metadata.schema, { fields });
    // 8 for an INTEGER; 16 for a geography, and 24 for each of its vertices.
    assert.equal(metadata.numBytes, String(4 * 8 + 3 * 16 + (1 + 9) * 24));
    const { body } = await bigquery.request('POST', '/queries', {
      query: 'SELECT g, ST_ASTEXT(g) AS w, [g] AS a, STRUCT(g AS x) AS s FROM ds.t WHERE id = 1',
      useLegacySql: false,
    });
    const { schema, rows } = body as { schema: unknown; rows: unknown };
    assert.deepEqual(schema, {
      fields: [
        { name: 'g', type: 'GEOGRAPHY', mode: 'NULLABLE' },
        { name: 'w', type: 'STRING', mode: 'NULLABLE' },
        { name: 'a', type: 'GEOGRAPHY', mode: 'REPEATED' },
        { name: 's', type: 'RECORD', mode: 'NULLABLE', fields: [{ name: 'x', type: 'GEOGRAPHY', mode: 'NULLABLE' }] },
      ],
    });
    const point = { v: 'POINT(1 2)' };
    assert.deepEqual(rows, [{ f: [point, point, { v: [point] }, { v: { f: [point] } }] }]);
  });

  it('takes WKT, GeoJSON and WKB in a load', async () => {
    const all = [...texts, ...loaded];
    const { job } = await load(
      all.map(([text]) => text),
      'all',
    );
    assert.equal(job.status.errorResult, undefined);
    assert.deepEqual(
      await bigquery.rows('all'),
      all.map(([, shown]) => [shown]),
    );
  });

  it('refuses anything else in a load, as other types do', async () => {
    const bad = [...refusals.map(([wkt]) => wkt), ...unloadable];
    for (const text of ['', 'POINT(1 91)', 'POLYGON((0 0,1 0,1 1,0 1))']) {
      const { uri, job } = await load([text], 'bad');
      assert.deepEqual(job.status.errorResult, {
        reason: 'invalid',
        location: uri,
        message: `Error while reading data, error message: Could not parse '${text}' as GEOGRAPHY for field g (position 0) starting at location 2 with message 'Unable to parse'`,
      });
    }
    const { job } = await load(['POINT(1 2)', ...bad, 'POINT(3 4)'], 'some', { maxBadRecords: bad.length });
    assert.equal(job.status.errorResult, undefined);
    assert.equal(job.statistics.load?.['badRecords'], String(bad.length));
    assert.deepEqual(await bigquery.rows('some'), [['POINT(1 2)'], ['POINT(3 4)']]);
    const missing = await bigquery.run(
      loadOf(await bigquery.put('n', 'g\n\\N\n'), 'n', [{ name: 'g', type: 'GEOGRAPHY', mode: 'REQUIRED' }]),
    );
    assert.equal(
      missing.status.errorResult?.message,
      'Error while reading data, error message: Required column value for column index: 0 is missing in row starting at position: 2',
    );
  });

  it('is read from WKT, or NULL behind SAFE', async () => {
    const all = [...texts, ...refusals.map(([wkt]) => [wkt, null] as const)];
    const array = all.map(([wkt]) => JSON.stringify(wkt)).join(', ');
    assert.deepEqual(
      await ask(
        `SELECT ST_ASTEXT(SAFE.ST_GEOGFROMTEXT(wkt)) AS w FROM UNNEST([${array}]) AS wkt WITH OFFSET AS i ORDER BY i`,
      ),
      all.map(([, w]) => ({ w })),
    );
    for (const [wkt, why] of refusals) {
      assert.deepEqual(await fail(`SELECT ST_GEOGFROMTEXT(${JSON.stringify(wkt)})`), {
        reason: 'invalidQuery',
        message: `ST_GeogFromText failed: ${why}`,
      });
    }
    assert.deepEqual(
      await ask(
        `SELECT CAST(NULL AS GEOGRAPHY) IS NULL AS a, ST_GEOGFROMTEXT(NULL) AS b, ST_ASTEXT(NULL) AS c,
           ST_ASTEXT(CAST(NULL AS GEOGRAPHY)) AS d, ST_ASTEXT(ST_GEOGFROMTEXT(MAX(w))) AS e FROM UNNEST(['POINT(1 2)']) AS w`,
      ),
      [{ a: true, b: null, c: null, d: null, e: 'POINT(1 2)' }],
    );
    // GeoJSON and WKB are for loads, and for functions that are not here.
    for (const text of [loaded[0]?.[0] ?? '', wkb.little]) {
      assert.deepEqual(await ask(`SELECT SAFE.ST_GEOGFROMTEXT('${text}') IS NULL AS n`), [{ n: true }]);
    }
  });

  it('is kept by tables, views, copies and statements', async () => {
    await run('CREATE TABLE ds.own (id INT64, g GEOGRAPHY, a ARRAY<GEOGRAPHY>)');
    await run("INSERT INTO ds.own (id, g) VALUES (1, ST_GEOGFROMTEXT('POINT(1 2)')), (2, NULL)");
    await run("UPDATE ds.own SET g = ST_GEOGFROMTEXT('POINT(3 4)'), a = [g] WHERE g IS NOT NULL");
    await run('DELETE FROM ds.own WHERE g IS NULL');
    assert.deepEqual(await bigquery.rows('own'), [['1', 'POINT(3 4)', [{ v: 'POINT(1 2)' }]]]);

    await run('CREATE TABLE ds.made (id INT64 NOT NULL, g GEOGRAPHY) AS SELECT id, g FROM ds.t');
    await run('CREATE VIEW ds.v AS SELECT id, g AS geo FROM ds.made');
    await succeed({ copy: { sourceTable: reference('made'), destinationTable: reference('copied') } });
    await succeed({
      query: { query: 'SELECT * FROM ds.v', useLegacySql: false, destinationTable: reference('into') },
    });
    for (const table of ['made', 'copied', 'into']) assert.deepEqual(byText(await bigquery.rows(table)), stored);
    const [view] = await bigquery.client.dataset('ds').table('v').getMetadata();
    assert.equal(view.schema.fields[1].type, 'GEOGRAPHY');
    assert.deepEqual(await ask('SELECT ST_ASTEXT(geo) AS w FROM ds.v WHERE geo IS NOT NULL AND id < 3'), [
      { w: 'POINT(1 2)' },
    ]);

    await bigquery.client
      .dataset('ds')
      .table('copied')
      .setMetadata({ schema: { fields: [...fields, { name: 'h', type: 'GEOGRAPHY' }] } });
    assert.deepEqual(byText(await bigquery.rows('copied'))[0], ['1', 'POINT(1 2)', null]);
    const changed = bigquery.client
      .dataset('ds')
      .table('made')
      .setMetadata({
        schema: { fields: fields.map((field) => ({ ...field, type: field.type.replace('GEOGRAPHY', 'STRING') })) },
      });
    await assert.rejects(changed, {
      message: 'Provided Schema does not match Table p:ds.made. Field g has changed type from GEOGRAPHY to STRING',
    });
  });

  it('is not taken for another type', async () => {
    const g = "ST_GEOGFROMTEXT('POINT(1 2)')";
    const messages: [sql: string, message: string][] = [
      ['SELECT id FROM ds.t WHERE g = g', 'Equality is not defined for arguments of type GEOGRAPHY'],
      ['SELECT id FROM ds.t WHERE g < g', 'Less than is not defined for arguments of type GEOGRAPHY'],
      ['SELECT id FROM ds.t ORDER BY g', 'ORDER BY does not support expressions of type GEOGRAPHY'],
      [`SELECT 1 FROM ds.t ORDER BY ${g}`, 'ORDER BY does not support expressions of type GEOGRAPHY'],
      [`SELECT ${g} || 'x'`, 'No matching signature for || or CONCAT for argument type GEOGRAPHY'],
      ["SELECT CAST('POINT(1 2)' AS GEOGRAPHY)", 'Invalid cast to GEOGRAPHY: use ST_GEOGFROMTEXT'],
      [
        'CREATE TABLE ds.wrong (g STRING) AS SELECT g FROM ds.t',
        'Value has type STRUCT("$geography" VARCHAR) which cannot be inserted into a column of type VARCHAR',
      ],
      [`SELECT TO_JSON_STRING(${g})`, 'The local BigQuery does not implement: TO_JSON_STRING of GEOGRAPHY'],
    ];
    for (const [sql, message] of messages) assert.deepEqual(await fail(sql), { reason: 'invalidQuery', message }, sql);
    for (const sql of [
      "INSERT INTO ds.t (id, g) VALUES (9, 'POINT(1 2)')",
      `SELECT CAST(${g} AS STRING)`,
      `SELECT UPPER(${g})`,
      'SELECT ST_ASTEXT("POINT(1 2)")',
      'SELECT ST_ASTEXT(BIGNUMERIC "1")',
      'SELECT ST_GEOGFROMTEXT(1)',
    ]) {
      assert.equal(((await fail(sql)) as { reason: string } | undefined)?.reason, 'invalidQuery', sql);
    }
  });

  it('refuses by name what would read a text in another way', async () => {
    for (const [call, name] of [
      ["ST_GEOGFROMTEXT('POINT(1 2)', make_valid => TRUE)", 'make_valid'],
      ["ST_GEOGFROMTEXT('POINT(1 2)', planar => FALSE)", 'planar'],
      ["SAFE.ST_GEOGFROMTEXT('POINT(1 2)', oriented => TRUE)", 'oriented'],
      ["ST_GEOGFROMTEXT('POINT(1 2)', TRUE)", 'oriented'],
    ] as const) {
      const { status, body } = await bigquery.request('POST', '/queries', { query: `SELECT ${call}`, useLegacySql: false }); // prettier-ignore
      const { error } = body as { error: { message: string } };
      assert.equal(status, 501);
      assert.equal(error.message, `The local BigQuery does not implement: ST_GEOGFROMTEXT's argument ${name}`);
    }
    assert.deepEqual(await fail("SELECT ST_GEOGFROMTEXT('POINT(1 2)', valid => TRUE)"), {
      reason: 'invalidQuery',
      message: 'Named argument valid not found in function ST_GEOGFROMTEXT',
    });
  });
});

it('is WKT to plain DuckDB, in tables and views, and again GEOGRAPHY afterwards', async () => {
  const own = await startBigQuery();
  try {
    await own.client.createDataset('ds');
    await own.run(loadOf(await own.put('t', 'g\nPOINT(1 2)\n'), 't', [{ name: 'g', type: 'GEOGRAPHY' }]));
    await own.run({ query: { query: 'CREATE VIEW ds.v AS SELECT g AS geo FROM ds.t', useLegacySql: false } });
    await own.stop();
    const instance = await DuckDBInstance.create(own.file, { access_mode: 'READ_ONLY' });
    const connection = await instance.connect();
    try {
      const reader = await connection.runAndReadAll('SELECT g, typeof(g), geo FROM ds.t, ds.v');
      assert.deepEqual(reader.getRowsJS(), [['POINT(1 2)', 'VARCHAR', 'POINT(1 2)']]);
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
    const again = await startBigQuery({ folder: own.folder });
    try {
      const [rows] = await again.client.query('SELECT geo, ST_ASTEXT(geo) AS w FROM ds.v');
      assert.deepEqual(JSON.parse(JSON.stringify(rows)), [{ geo: { value: 'POINT(1 2)' }, w: 'POINT(1 2)' }]);
    } finally {
      await again.stop();
    }
  } finally {
    // It may have stopped before.
    await own.stop().catch(() => undefined);
    await rm(own.folder, { recursive: true, force: true });
  }
});
