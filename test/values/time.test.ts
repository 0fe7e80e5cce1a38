import { refused, testCases } from './cases.ts';

testCases('dates and times arrive exactly, or are told', [
  {
    type: 'date',
    bigquery: 'DATE',
    values: [
      ["'0001-01-01'", '0001-01-01'],
      ["'0001-12-31 BC'", refused('before-year-1')],
      ["'4714-11-24 BC'", refused('before-year-1')],
      ["'9999-12-31'", '9999-12-31'],
      ["'10000-01-01'", refused('after-year-9999')],
      ["'5874897-12-31'", refused('after-year-9999')],
      ["'infinity'", refused('infinite')],
      ["'-infinity'", refused('infinite')],
      ["'2000-02-29'", '2000-02-29'],
      ["'1582-10-10'", '1582-10-10'],
    ],
  },
  {
    type: 'time',
    bigquery: 'TIME',
    values: [
      ["'00:00:00'", '00:00:00'],
      ["'23:59:59.999999'", '23:59:59.999999'],
      ["'24:00:00'", refused('end-of-day')],
      ["'12:00:00.1'", '12:00:00.1'],
    ],
  },
  { type: 'time(0)', bigquery: 'TIME', values: [["'23:59:59.9'", refused('end-of-day')]] },
  {
    type: 'time with time zone',
    bigquery: 'STRING',
    values: [
      ["'24:00:00-15:59:59'", '24:00:00-15:59:59'],
      ["'12:30:00.5+05:30'", '12:30:00.5+05:30'],
    ],
  },
  {
    type: 'timestamp',
    bigquery: 'DATETIME',
    values: [
      ["'0001-01-01 00:00:00'", '0001-01-01 00:00:00'],
      ["'0001-12-31 23:59:59.999999 BC'", refused('before-year-1')],
      ["'9999-12-31 23:59:59.999999'", '9999-12-31 23:59:59.999999'],
      ["'10000-01-01 00:00:00'", refused('after-year-9999')],
      ["'infinity'", refused('infinite')],
      ["'-infinity'", refused('infinite')],
      ["'2024-03-31 02:30:00'", '2024-03-31 02:30:00'],
      ["'1969-12-31 23:59:59.999999'", '1969-12-31 23:59:59.999999'],
      ["'2016-12-31 23:59:60'", '2017-01-01 00:00:00'],
    ],
  },
  {
    type: 'timestamp with time zone',
    bigquery: 'TIMESTAMP',
    values: [
      ["'0001-01-01 00:00:00+00'", '0001-01-01 00:00:00'],
      ["'0001-01-01 00:00:00+01'", refused('before-year-1')],
      ["'9999-12-31 23:59:59.999999+00'", '9999-12-31 23:59:59.999999'],
      ["'9999-12-31 23:59:59.999999-01'", refused('after-year-9999')],
      ["'10000-01-01 00:30:00+01'", '9999-12-31 23:30:00'],
      ["'infinity'", refused('infinite')],
      ["'-infinity'", refused('infinite')],
      // India kept a time of its own, to the second.
      ["'1850-01-01 00:00:00 Asia/Kolkata'", '1849-12-31 18:06:32'],
      ["'1969-12-31 23:59:59.999999+00'", '1969-12-31 23:59:59.999999'],
    ],
  },
  {
    type: 'interval',
    bigquery: 'STRING',
    values: [
      ["'1 year 2 mons -3 days 04:05:06.789'", 'P1Y2M-3DT4H5M6.789S'],
      ["'0'", 'PT0S'],
      ["'-178000000 years'", 'P-178000000Y'],
      ["'-infinity'", '-infinity'],
    ],
  },
  {
    type: 'tstzrange',
    bigquery: 'STRING',
    values: [
      [`'[2024-01-01 00:00:00+00,infinity)'`, '["2024-01-01 00:00:00+00",infinity)'],
      [`'empty'`, 'empty'],
    ],
  },
  {
    type: 'datemultirange',
    bigquery: 'STRING',
    values: [[`'{[2024-01-01,2024-01-03),(,2020-01-01)}'`, '{(,2020-01-01),[2024-01-01,2024-01-03)}']],
  },
]);
