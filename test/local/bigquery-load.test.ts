import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { byText, loadOf, startBigQuery, type TestBigQuery } from './bigquery-server.ts';

const text = (name: string) => ({ name, type: 'STRING' });

/** Numbers below a limit, the same ones each time. */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

describe('load jobs', () => {
  let bigquery: TestBigQuery;
  before(async () => {
    bigquery = await startBigQuery();
    await bigquery.client.createDataset('ds');
  });
  after(() => bigquery.close());

  it('loads several files at once and counts them', async () => {
    const uris = [await bigquery.put('1', 'a,b\n"1","x"\n'), await bigquery.put('2', 'a,b\n"2",\\N\n"3",""\n')];
    const fields = [{ name: 'a', type: 'INTEGER', mode: 'REQUIRED', description: 'the key' }, text('b')];
    const job = await bigquery.run(loadOf(uris, 'several', fields));
    assert.deepEqual(job.status, { state: 'DONE' });
    assert.deepEqual(job.statistics.load, {
      inputFiles: '2',
      inputFileBytes: String('a,b\n"1","x"\n'.length + 'a,b\n"2",\\N\n"3",""\n'.length),
      outputRows: '3',
      outputBytes: String(3 * 8 + 3 + 2),
      badRecords: '0',
    });
    assert.deepEqual(byText(await bigquery.rows('several')), [
      ['1', 'x'],
      ['2', null],
      ['3', ''],
    ]);
    const [{ schema }] = await bigquery.client.dataset('ds').table('several').getMetadata();
    assert.deepEqual(schema, {
      fields: [
        { name: 'a', type: 'INTEGER', mode: 'REQUIRED', description: 'the key' },
        { name: 'b', type: 'STRING', mode: 'NULLABLE' },
      ],
    });
  });

  it('keeps every byte of text', async () => {
    const values = [
      ' x ',
      'a\r\nb\rc\nd',
      '""',
      ',',
      '\\.',
      '\uFEFF',
      '\0\u0001\u001A\u001B\u007F',
      '😀𝒳é',
      '',
      '\t',
      'x'.repeat(3_000_000),
    ];
    for (const lineEnd of ['\n', '\r\n', '\r']) {
      for (const start of ['', '\uFEFF']) {
        const lines = ['a,b', ...values.map((value) => `"${value.replaceAll('"', '""')}",\\N`)];
        const uri = await bigquery.put('text', start + lines.join(lineEnd) + lineEnd);
        const job = await bigquery.run(loadOf(uri, 'text', [text('a'), text('b')]));
        assert.equal(job.status.errorResult, undefined);
        const rows = await bigquery.rows('text');
        assert.deepEqual(
          rows,
          values.map((value) => [value, null]),
        );
      }
    }
  });

  it('reads back whatever text was written, in any layout', async () => {
    const atoms = [
      'a',
      ' ',
      '\n',
      '\r',
      '\r\n',
      '"',
      ',',
      '\\',
      '\\N',
      '\\.',
      '\uFEFF',
      '\u0001',
      '\0',
      '😀',
      'é',
      '\t',
      '#',
      '',
    ];
    const random = numbers(20261122);
    const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;
    for (let round = 0; round < 40; round++) {
      const columns = pick([1, 2, 5]);
      const lineEnds = pick([['\n'], ['\n'], ['\r\n'], ['\n', '\r\n', '\r']]);
      const rows = Array.from({ length: pick([1, 20, 400]) }, () =>
        Array.from({ length: columns }, () => {
          const value = Array.from({ length: random(6) }, () => pick(atoms)).join('');
          return random(6) === 0 || value === '\\N' ? null : value.repeat(random(40) === 0 ? 500 : 1);
        }),
      );
      const quoteAll = random(2) === 0;
      const written = rows.map((row) =>
        row.map((value) => {
          if (value === null) return '\\N';
          const plain = !quoteAll && value !== '' && !/["\n\r,]|^[\s\uFEFF]/.test(value);
          return plain ? value : `"${value.replaceAll('"', '""')}"`;
        }),
      );
      const header = Array.from({ length: columns }, (_, index) => `c${index}`);
      const uri = await bigquery.put('any', [header, ...written].map((row) => row.join(',') + pick(lineEnds)).join(''));
      const job = await bigquery.run(loadOf(uri, 'any', header.map(text)));
      assert.equal(job.status.errorResult, undefined, `round ${round}`);
      assert.deepEqual(byText(await bigquery.rows('any')), byText(rows), `round ${round}`);
    }
  });

  it('reads files of mixed line ends, which DuckDB does not', async () => {
    const uri = await bigquery.put('mixed', 'a,b\r\n1,"x\ny"\n2,"z"\r3,\\N');
    await bigquery.run(loadOf(uri, 'mixed', [text('a'), text('b')]));
    assert.deepEqual(await bigquery.rows('mixed'), [
      ['1', 'x\ny'],
      ['2', 'z'],
      ['3', null],
    ]);
  });

  it('reads a quoted null marker as NULL, and an empty quoted value as empty', async () => {
    const uri = await bigquery.put('null', 'a,b\n"\\N",""\n');
    await bigquery.run(loadOf(uri, 'null', [text('a'), text('b')]));
    assert.deepEqual(await bigquery.rows('null'), [[null, '']]);
    const plain = await bigquery.put('plain', 'a,b,c\n,"",\n');
    const fields = [text('a'), text('b'), { name: 'c', type: 'INT64' }];
    await bigquery.run(loadOf(plain, 'null', fields, { nullMarker: undefined }));
    assert.deepEqual(await bigquery.rows('null'), [[null, '', null]]);
    const several = await bigquery.put('several', 'a,b\nnone,-\n');
    await bigquery.run(loadOf(several, 'null', [text('a'), text('b')], { nullMarkers: ['none', '-'] }));
    assert.deepEqual(await bigquery.rows('null'), [[null, null]]);
  });

  it('takes tables of one column and of thousands', async () => {
    const one = await bigquery.put('one', 'a\n"1"\n""\n\\N\n');
    await bigquery.run(loadOf(one, 'one', [text('a')]));
    assert.deepEqual(await bigquery.rows('one'), [['1'], [''], [null]]);
    const names = Array.from({ length: 2000 }, (_, index) => `c${index}`);
    const wide = await bigquery.put('wide', `${names.join(',')}\n${names.map((_, index) => `"${index}"`).join(',')}\n`);
    const job = await bigquery.run(
      loadOf(
        wide,
        'wide',
        names.map((name) => ({ name, type: 'INT64' })),
      ),
    );
    assert.equal(job.status.errorResult, undefined);
    assert.deepEqual(await bigquery.rows('wide'), [names.map((_, index) => String(index))]);
  });

  it('changes nothing when a row is bad, and says which', async () => {
    const fields = [text('name'), { name: 'n', type: 'INT64' }];
    await bigquery.run(loadOf(await bigquery.put('good', 'name,n\nJane,1\n'), 'atomic', fields));
    const uri = await bigquery.put('bad', 'name,n\nJane,2\nJohn,Jim\nJack,x\n');
    const job = await bigquery.run(loadOf(uri, 'atomic', fields));
    const start = 'Error while reading data, error message: Could not parse';
    const errors = [
      {
        reason: 'invalid',
        location: uri,
        message: `${start} 'Jim' as INT64 for field n (position 1) starting at location 14 with message 'Unable to parse'`,
      },
      {
        reason: 'invalid',
        location: uri,
        message: `${start} 'x' as INT64 for field n (position 1) starting at location 23 with message 'Unable to parse'`,
      },
    ];
    assert.deepEqual(job.status, { state: 'DONE', errorResult: errors[0], errors });
    assert.equal(job.statistics.load, undefined);
    assert.deepEqual(await bigquery.rows('atomic'), [['Jane', '1']]);
    const missing = await bigquery.run(loadOf(uri, 'never', fields));
    assert.equal(missing.status.state, 'DONE');
    assert.equal((await bigquery.request('GET', '/datasets/ds/tables/never')).status, 404);
  });

  for (const [what, content, message] of [
    [
      'too few columns',
      'a,b\n1,2\n3\n',
      'CSV table references column position 1, but line starting at position:8 contains only 1 columns.',
    ],
    [
      'too many columns',
      'a,b\n1,2\n3,4,5\n',
      'Too many values in row starting at position: 8. Found 3 column(s) while expected 2.',
    ],
    [
      'an open quote',
      'a,b\n1,2\n3,"4\n',
      'Error detected while parsing row starting at position: 8. Error: Missing close quote character (").',
    ],
    [
      'data behind a quote',
      'a,b\n1,"2"x\n',
      'Error detected while parsing row starting at position: 4. Error: Data between close quote character (") and field separator.',
    ],
    [
      'text that is not UTF-8',
      Buffer.from('a,b\n1,\xff\n', 'latin1'),
      'Error detected while parsing row starting at position: 4. Error: Invalid UTF-8 character encountered.',
    ],
    [
      'a REQUIRED value that is missing',
      'a,b\n\\N,2\n',
      'Required column value for column index: 0 is missing in row starting at position: 4',
    ],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const uri = await bigquery.put('bad', content);
      const job = await bigquery.run(loadOf(uri, 'shape', [{ ...text('a'), mode: 'REQUIRED' }, text('b')]));
      assert.deepEqual(job.status.errorResult, {
        reason: 'invalid',
        location: uri,
        message: `Error while reading data, error message: ${message}`,
      });
    });
  }

  it('refuses ASCII 0 unless control characters are to be preserved', async () => {
    const uri = await bigquery.put('nul', 'a\nx\0\n');
    const job = await bigquery.run(loadOf(uri, 'nul', [text('a')], { preserveAsciiControlCharacters: false }));
    assert.equal(
      job.status.errorResult?.message,
      'Error while reading data, error message: Error detected while parsing row starting at position: 2. Error: Bad character (ASCII 0) encountered.',
    );
  });

  it('takes the options of other dialects', async () => {
    const jagged = await bigquery.put('jagged', "a\tb\n'x\t''\n'\n1\t2\t3\n");
    const options = { fieldDelimiter: '\\t', quote: "'", allowJaggedRows: true, ignoreUnknownValues: true };
    await bigquery.run(loadOf(jagged, 'dialect', [text('a'), text('b')], options));
    assert.deepEqual(await bigquery.rows('dialect'), [
      ["x\t'\n", null],
      ['1', '2'],
    ]);
    const latin = await bigquery.put('latin', Buffer.from('a\ncaf\xe9\n', 'latin1'));
    await bigquery.run(loadOf(latin, 'dialect', [text('a')], { encoding: 'ISO-8859-1' }));
    assert.deepEqual(await bigquery.rows('dialect'), [['café']]);
    const oneLine = await bigquery.put('lines', 'a\n"x\ny"\n');
    const job = await bigquery.run(loadOf(oneLine, 'dialect', [text('a')], { allowQuotedNewlines: false }));
    assert.equal(job.status.errorResult?.reason, 'invalid');
  });

  it('obeys its dispositions', async () => {
    const uri = await bigquery.put('rows', 'a\n1\n');
    const fields = [text('a')];
    const never = await bigquery.run(loadOf(uri, 'disposed', fields, { createDisposition: 'CREATE_NEVER' }));
    assert.deepEqual(never.status.errorResult, { reason: 'notFound', message: 'Not found: Table p:ds.disposed' });
    await bigquery.run(loadOf(uri, 'disposed', fields, { writeDisposition: 'WRITE_EMPTY' }));
    const twice = await bigquery.run(loadOf(uri, 'disposed', fields, { writeDisposition: 'WRITE_EMPTY' }));
    assert.deepEqual(twice.status.errorResult, { reason: 'duplicate', message: 'Already Exists: Table p:ds.disposed' });
    const appended = await bigquery.run(loadOf(uri, 'disposed', fields, { writeDisposition: 'WRITE_APPEND' }));
    assert.equal(appended.statistics.load?.['outputRows'], '1');
    assert.deepEqual(await bigquery.rows('disposed'), [['1'], ['1']]);
    const other = await bigquery.run(
      loadOf(uri, 'disposed', [{ name: 'a', type: 'INT64' }], { writeDisposition: 'WRITE_APPEND' }),
    );
    assert.deepEqual(other.status.errorResult, {
      reason: 'invalid',
      message: 'Provided Schema does not match Table p:ds.disposed. Field a has changed type from STRING to INTEGER',
    });
    await bigquery.run(loadOf(uri, 'disposed', [{ name: 'b', type: 'INT64' }]));
    assert.deepEqual(await bigquery.rows('disposed'), [['1']]);
  });

  it('sets the properties and the key of its table', async () => {
    const uri = await bigquery.put('rows', 'a\n1\n');
    const kmsKeyName = 'projects/p/locations/us/keyRings/r/cryptoKeys/k';
    await bigquery.run(
      loadOf(uri, 'described', [text('a')], {
        destinationTableProperties: { description: 'from a file' },
        destinationEncryptionConfiguration: { kmsKeyName },
      }),
    );
    const [table] = await bigquery.client.dataset('ds').table('described').getMetadata();
    assert.equal(table.description, 'from a file');
    assert.deepEqual(table.encryptionConfiguration, { kmsKeyName });
  });

  it('loads lines of JSON', async () => {
    const fields = [text('a'), { name: 'n', type: 'INT64' }, { name: 'j', type: 'JSON' }];
    const options = { sourceFormat: 'NEWLINE_DELIMITED_JSON', skipLeadingRows: undefined };
    const uri = await bigquery.put('json', '{"a":"x\\ny","N":9223372036854775807,"j":{"k":[1]}}\n{"a":null,"n":"2"}\n');
    const job = await bigquery.run(loadOf(uri, 'json', fields, options));
    assert.equal(job.status.errorResult, undefined);
    assert.deepEqual(await bigquery.rows('json'), [
      ['x\ny', '9223372036854775807', '{"k":[1]}'],
      [null, '2', null],
    ]);
    const bad = await bigquery.put('json', '{"a":"x","z":1}\n');
    const refused = await bigquery.run(loadOf(bad, 'json', fields, options));
    assert.equal(
      refused.status.errorResult?.message,
      'Error while reading data, error message: JSON processing encountered too many errors, giving up. No such field: z.',
    );
  });

  it('names a file that is missing', async () => {
    const job = await bigquery.run(loadOf('gs://b/none', 'none', [text('a')]));
    assert.deepEqual(job.status.errorResult, { reason: 'notFound', message: 'Not found: URI gs://b/none' });
  });

  for (const [what, fields, message] of [
    [
      'a column name twice',
      [text('Name'), text('name')],
      'Duplicate field name: name. Field names are case insensitive within the same schema.',
    ],
    [
      'a reserved prefix',
      [text('_TABLE_x')],
      'Invalid field name "_TABLE_x". Field names are not allowed to start with the (case-insensitive) prefixes _TABLE_, _FILE_, _PARTITION, _ROW_TIMESTAMP, __ROOT__, _COLIDENTIFIER, _CHANGE_SEQUENCE_NUMBER, _CHANGE_TYPE, _CHANGE_TIMESTAMP',
    ],
    [
      'a character',
      [text('a.b')],
      'Invalid field name "a.b". Fields must contain the allowed characters, and be at most 300 characters long. For allowed characters, please refer to https://cloud.google.com/bigquery/docs/schemas#column_names',
    ],
    [
      'an array in CSV',
      [{ ...text('a'), mode: 'REPEATED' }],
      'Cannot load CSV data with a nested or repeated schema. Field: a',
    ],
  ] as const) {
    it(`refuses a schema with ${what}`, async () => {
      const uri = await bigquery.put('rows', 'a\n1\n');
      const answer = await bigquery.request('POST', '/jobs', { configuration: loadOf(uri, 'schema', [...fields]) });
      assert.deepEqual(answer, {
        status: 400,
        body: { error: { code: 400, message, errors: [{ message, domain: 'global', reason: 'invalid' }] } },
      });
    });
  }

  it('names what it does not implement', async () => {
    for (const [option, value] of Object.entries({
      autodetect: true,
      schemaUpdateOptions: ['ALLOW_FIELD_ADDITION'],
      timePartitioning: { type: 'DAY' },
    })) {
      const answer = await bigquery.request('POST', '/jobs', {
        configuration: loadOf('gs://b/o', 'no', [text('a')], { [option]: value }),
      });
      const message = `The local BigQuery does not implement: load with ${option}`;
      assert.deepEqual(answer, {
        status: 501,
        body: { error: { code: 501, message, errors: [{ message, domain: 'global', reason: 'notImplemented' }] } },
      });
    }
  });
});
