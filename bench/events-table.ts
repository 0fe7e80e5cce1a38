import pg from 'pg';

/** A table `events`, about 290 bytes of CSV a row: integers, decimals, times, text, JSON, an array, a UUID. Gives its pages. */
export async function fillEvents(url: string, gigabytes: number): Promise<number> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    await client.query(`CREATE TABLE events AS
      SELECT g::int8 AS id, (g * 37 % 1000)::int AS kind, (g / 7.0)::numeric(12,2) AS amount,
             timestamptz '2020-01-01' + g * interval '1 second' AS at,
             'note "quoted" number ' || g || ' with some text, commas and more text to fill' AS note,
             ('{"a":' || g || ',"b":[1,2,3],"c":"x"}')::jsonb AS doc, ARRAY[g % 10, g % 20] AS list,
             md5(g::text)::uuid AS u, md5(g::text) || md5((g + 1)::text) AS h
      FROM generate_series(1, ${Math.round(gigabytes * 3_390_000)}) AS g`);
    await client.query('VACUUM (ANALYZE) events');
    const { rows } = await client.query<{ pages: string }>("SELECT pg_relation_size('events') / 8192 AS pages");
    return Number(rows[0]?.pages);
  } finally {
    await client.end();
  }
}
