import type { Call } from './call.ts';
import { text } from './literals.ts';
import { macro, plain, type Expression } from './parser.ts';
import { InvalidQuery, unsupported, type FieldType } from './types.ts';

/** A function of a document and a literal path. */
function atPath(name: string, type?: FieldType | 'ARRAY'): Call {
  return {
    min: 1,
    max: 2,
    emit: ([document, path]) => {
      if (!document) throw new InvalidQuery(`${name} takes a document`);
      return macro(`bq_${name}`, [document, text(pointer(path))], type === undefined ? {} : { type });
    },
  };
}

export const JSON_CALLS: Record<string, Call> = {
  PARSE_JSON: {
    min: 1,
    max: 1,
    named: ['wide_number_mode'],
    safely: true,
    emit: ([document], { named, safe }) => {
      const mode = named.get('wide_number_mode');
      if (!document) throw new InvalidQuery('PARSE_JSON takes a string');
      if (mode && mode.text !== 'exact' && mode.text !== 'round') {
        throw new InvalidQuery("PARSE_JSON's wide_number_mode must be 'exact' or 'round'");
      }
      const round = mode?.text === 'round' ? '_round' : '';
      return macro(`bq_${safe ? 'safe_' : ''}parse_json${round}`, [document], { type: 'JSON' });
    },
  },
  TO_JSON_STRING: {
    min: 1,
    max: 1,
    emit: ([value]) => {
      if (value?.literal === 'null') return plain("'null'", [], { type: 'STRING' });
      if (!value) throw new InvalidQuery('TO_JSON_STRING takes a value');
      // What a JSON column holds is in this form already.
      const other = macro('bq_to_json_string', [value]);
      const sql = `CASE WHEN typeof(${value.sql}) = 'JSON' THEN coalesce((${value.sql})::VARCHAR, 'null') ELSE ${other.sql} END`;
      return plain(sql, [value, other], { type: 'STRING' });
    },
  },
  TO_JSON: { min: 1, max: 1, emit: ([value]) => macro('bq_to_json', value ? [value] : [], { type: 'JSON' }) },
  JSON_VALUE: atPath('json_value', 'STRING'),
  JSON_EXTRACT_SCALAR: atPath('json_value', 'STRING'),
  JSON_QUERY: atPath('json_query'),
  JSON_EXTRACT: atPath('json_query'),
  JSON_QUERY_ARRAY: atPath('json_query_array', 'ARRAY'),
  JSON_EXTRACT_ARRAY: atPath('json_query_array', 'ARRAY'),
  JSON_VALUE_ARRAY: atPath('json_value_array', 'ARRAY'),
  JSON_TYPE: { min: 1, max: 1, emit: (args) => macro('bq_json_type', args, { type: 'STRING' }) },
  STRING: { min: 1, max: 1, emit: (args) => macro('bq_string', args, { type: 'STRING' }) },
  INT64: { min: 1, max: 1, emit: (args) => macro('bq_json_int64', args, { type: 'INT64' }) },
  FLOAT64: { min: 1, max: 1, emit: (args) => macro('bq_json_float64', args, { type: 'FLOAT64' }) },
  BOOL: { min: 1, max: 1, emit: (args) => macro('bq_json_bool', args, { type: 'BOOL' }) },
};

/** A JSON pointer, which DuckDB takes literally, from a JSONPath: `$.a[0]."b c"` is `/a/0/b c`; `$` is the empty one. */
function pointer(path: Expression | undefined): string {
  if (path === undefined) return '';
  if (path.text === undefined) throw unsupported('a JSONPath that is not a literal');
  const step = /\.(?<name>[A-Za-z_][A-Za-z0-9_-]*)|\."(?<quoted>[^"\\]*)"|\[(?<index>\d+)\]|\['(?<key>[^'\\]*)'\]/uy;
  const keys: string[] = [];
  let at = 1;
  while (at < path.text.length) {
    step.lastIndex = at;
    const found = step.exec(path.text)?.groups;
    if (!found) break;
    at = step.lastIndex;
    keys.push(found['name'] ?? found['quoted'] ?? found['index'] ?? found['key'] ?? '');
  }
  if (!path.text.startsWith('$') || at < path.text.length)
    throw unsupported(`the JSONPath ${JSON.stringify(path.text)}`);
  return keys.map((key) => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
