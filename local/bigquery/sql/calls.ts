import type { Call } from './call.ts';
import { aggregateCall, isAggregate } from './calls-aggregate.ts';
import { DATE_CALLS } from './calls-date.ts';
import { JSON_CALLS } from './calls-json.ts';
import { SCALAR_CALLS } from './calls-scalar.ts';
import { assign } from './operators.ts';
import { NULL } from './literals.ts';
import {
  accept,
  ahead,
  composed,
  expect,
  identifier,
  javaScriptName,
  macro,
  next,
  peek,
  plain,
  unexpected,
  type Expression,
  type Parser,
} from './parser.ts';
import { InvalidQuery, unsupported } from './types.ts';

type Parse = (parser: Parser) => Expression;

const CALLS: Record<string, Call> = { ...SCALAR_CALLS, ...JSON_CALLS, ...DATE_CALLS };

/** Parses `[SAFE.]NAME(arguments)` and whatever the function allows after it. Throws 501 for a function outside the tested list. */
export function callExpression(parser: Parser, parse: Parse): Expression {
  let safe = false;
  if (peek(parser, 1).text === '.') {
    const namespace = identifier(parser);
    expect(parser, '.');
    if (namespace.toUpperCase() !== 'SAFE') throw unsupported(`functions of ${namespace}`);
    safe = true;
  }
  const written = next(parser).text;
  const name = written.toUpperCase();
  const own = parser.functions.find((each) => each.name.toLowerCase() === written.toLowerCase());
  if (own) return javaScriptCall(parser, parse, own, safe);
  if (name === 'EXTRACT') return wrapSafe(extract(parser, parse), safe);
  if (isAggregate(name)) {
    if (safe) throw unsupported(`SAFE.${name}`);
    return aggregateCall(parser, parse, name);
  }
  const call = Object.hasOwn(CALLS, name) ? CALLS[name] : undefined;
  if (call === undefined) throw unsupported(`the function ${written}`);
  if (!ahead(parser, '(') && name.startsWith('CURRENT_'))
    return call.emit([], { name, part: '', named: new Map(), safe });
  const { args, ...rest } = argumentsOf(parser, parse, name, call);
  if (ahead(parser, 'OVER')) throw new InvalidQuery(`Function ${name} does not support an OVER clause`);
  return wrapSafe(call.emit(args, { name, safe, ...rest }), safe && call.safely !== true);
}

/** SAFE.: NULL where the function fails. */
function wrapSafe(value: Expression, safe: boolean): Expression {
  return safe
    ? composed(([sql]) => `TRY(${sql})`, [value], value.type === undefined ? {} : { type: value.type })
    : value;
}

function argumentsOf(parser: Parser, parse: Parse, name: string, call: Call) {
  expect(parser, '(');
  const args: Expression[] = [];
  const named = new Map<string, Expression>();
  let part = '';
  if (!ahead(parser, ')')) {
    do {
      const token = peek(parser);
      if (call.part === args.length && part === '') part = datePart(parser);
      else if (call.interval === args.length && part === '') {
        expect(parser, 'INTERVAL');
        args.push(parse(parser));
        part = datePart(parser);
      } else if (token.kind === 'word' && peek(parser, 1).text === '=>') {
        const key = token.text.toLowerCase();
        if (!call.named?.includes(key))
          throw new InvalidQuery(`Named argument ${token.text} not found in function ${name}`);
        parser.at += 2;
        named.set(key, parse(parser));
      } else args.push(parse(parser));
    } while (accept(parser, ','));
  }
  expect(parser, ')');
  const wanted = call.part === undefined ? 0 : 1;
  if (
    args.length < call.min ||
    args.length > call.max ||
    (wanted === 1 && part === '' && args.length >= (call.part ?? 0))
  ) {
    throw new InvalidQuery(`No matching signature for function ${name} with ${args.length + named.size} argument(s)`);
  }
  return { args, part, named };
}

/** MONTH, WEEK(MONDAY), … in capitals. */
function datePart(parser: Parser): string {
  const token = next(parser);
  if (token.kind !== 'word') throw unexpected(parser, 'a date part');
  if (!accept(parser, '(')) return token.text.toUpperCase();
  const day = identifier(parser);
  expect(parser, ')');
  return `${token.text}(${day})`.toUpperCase();
}

function extract(parser: Parser, parse: Parse): Expression {
  expect(parser, '(');
  const part = datePart(parser);
  expect(parser, 'FROM');
  const args = [parse(parser)];
  if (accept(parser, 'AT', 'TIME', 'ZONE')) args.push(parse(parser));
  expect(parser, ')');
  const call = CALLS['EXTRACT'];
  if (call === undefined) throw unsupported('EXTRACT');
  return call.emit(args, { name: 'EXTRACT', part, named: new Map(), safe: false });
}

function javaScriptCall(parser: Parser, parse: Parse, own: Parser['functions'][number], safe: boolean): Expression {
  if (safe) throw unsupported('SAFE. before a JavaScript function');
  const { args } = argumentsOf(parser, parse, own.name, { min: 0, max: 256, emit: (list) => macro('', list) });
  if (args.length !== own.parameters.length) {
    throw new InvalidQuery(
      `Number of arguments does not match for function ${own.name}: expected ${own.parameters.length}, got ${args.length}`,
    );
  }
  const typed = own.parameters.map((field, index) => assign(field, args[index] ?? NULL));
  const known = own.returns.mode === 'REPEATED' ? ('ARRAY' as const) : own.returns.type;
  return plain(`${javaScriptName(own)}(${typed.map((arg) => arg.sql).join(', ')})`, typed, { type: known });
}
