import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { z } from 'zod';
import {
  ConfigurationError,
  PermanentError,
  SafeError,
  safeText,
  StillRunning,
} from '../../functions/mirror/errors.ts';
import { parseFailure } from '../../functions/mirror/messages.ts';

const SECRET = 'Jane Doe 078-05-1120';

for (const [what, error, text] of [
  ['a permanent error', new PermanentError('told'), 'told'],
  ['a fault of the configuration', new ConfigurationError('told'), 'told'],
  ['a safe error', new SafeError('told', { cause: new Error(SECRET) }), 'told'],
  ['work that goes on', new StillRunning('load job x'), 'Still running: load job x'],
] as const) {
  test(`the text of ${what} is ours and is told, its cause is not`, () => assert.equal(safeText(error), text));
}

class ForeignError extends Error {
  constructor(message: string, fields: Record<string, unknown> = {}) {
    super(message);
    Object.assign(this, fields);
  }
}

const database = new pg.DatabaseError(`invalid input syntax for type integer: "${SECRET}"`, 1, 'error');
database.code = '22P02';
database.detail = SECRET;
const parsed = z.object({ a: z.enum(['b']) }).safeParse({ a: SECRET });

const FOREIGN: [what: string, error: unknown, text: string][] = [
  ['an Error', new Error(SECRET), 'Error'],
  ['a TypeError', new TypeError(SECRET), 'TypeError'],
  ['PostgreSQL’s', database, 'error (22P02)'],
  ['a network error', new ForeignError(SECRET, { code: 'ECONNRESET' }), 'Error (ECONNRESET)'],
  ['an HTTP client’s', new ForeignError(SECRET, { code: 503, errors: [{ message: SECRET }] }), 'Error (503)'],
  ['a code that is a text', new ForeignError('x', { code: SECRET }), 'Error'],
  ['a code that is long', new ForeignError('x', { code: 'A'.repeat(41) }), 'Error'],
  ['a code that is an object', new ForeignError('x', { code: { value: SECRET } }), 'Error'],
  ['a checked document’s', parsed.error, 'ZodError'],
  ['a string', SECRET, 'an error without description'],
  ['an object', { message: SECRET }, 'an error without description'],
  ['nothing', undefined, 'an error without description'],
  [
    'its cause',
    new Error(SECRET, { cause: new ForeignError(SECRET, { code: 'EPIPE' }) }),
    'Error; cause: Error (EPIPE)',
  ],
  ['a cause that is ours', new Error(SECRET, { cause: new SafeError('told') }), 'Error; cause: told'],
];

for (const [what, error, text] of FOREIGN) {
  test(`a foreign text is never repeated: ${what}`, () => assert.equal(safeText(error), text));
}

test('no message that a step cannot read is repeated', () => {
  const data = Buffer.from(JSON.stringify({ step: SECRET, kind: SECRET, fault: 3, what: [SECRET] })).toString('base64');
  assert.throws(
    () => parseFailure({ data: { message: { data } } }),
    (error) => error instanceof PermanentError && !safeText(error).includes('Jane'),
  );
});
