/** BigQuery as any client sees it: tables and rows by its REST API, without Google's client or the mirror's code. */
export type Warehouse = {
  fields: (table: string) => Promise<WarehouseField[] | undefined>;
  /** Every row, each cell as the API writes it; TIMESTAMPs in microseconds. */
  rows: (table: string) => Promise<(string | null)[][]>;
  /** The errors table's rows, their arrays and records unfolded. */
  errorRows: (table: string) => Promise<ErrorRow[]>;
};
export type WarehouseField = { name: string; type: string; mode: string };
export type ErrorRow = {
  schema: string;
  table: string;
  failures: { column: string; postgresType: string; bigqueryType: string; reason: string }[];
  raw: { name: string; value: string | null }[];
};

type Cell = string | null | { f: { v: Cell }[] } | { v: Cell }[];

/** `project` is the API's base with the project. */
export function openWarehouse(project: string, dataset: string): Warehouse {
  const tables = `${project}/datasets/${dataset}/tables`;
  const get = async (path: string): Promise<Record<string, unknown> | undefined> => {
    const answer = await fetch(`${tables}/${path}`);
    if (answer.status === 404) return undefined;
    if (!answer.ok) throw new Error(`${path}: HTTP ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as Record<string, unknown>;
  };
  const cells = async (table: string): Promise<Cell[][]> => {
    const all: Cell[][] = [];
    for (let page = ''; ;) {
      const query = `data?maxResults=50000&formatOptions.useInt64Timestamp=true${page}`;
      const answer = (await get(`${encodeURIComponent(table)}/${query}`)) as
        { rows?: { f: { v: Cell }[] }[]; pageToken?: string } | undefined;
      if (!answer) throw new Error(`There is no table ${table}`);
      for (const { f } of answer.rows ?? []) all.push(f.map(({ v }) => v));
      if (answer.pageToken === undefined) return all;
      page = `&pageToken=${encodeURIComponent(answer.pageToken)}`;
    }
  };
  return {
    fields: async (table) => {
      const found = (await get(encodeURIComponent(table))) as
        { schema?: { fields?: { name: string; type: string; mode?: string }[] } } | undefined;
      return found && (found.schema?.fields ?? []).map(({ mode = 'NULLABLE', ...field }) => ({ mode, ...field }));
    },
    rows: async (table) => (await cells(table)).map((row) => row.map(plain)),
    errorRows: async (table) =>
      (await cells(table)).map(([, schema, name, , failures, raw]) => ({
        schema: plain(schema ?? null) ?? '',
        table: plain(name ?? null) ?? '',
        failures: records(failures).map(([column = '', postgresType = '', bigqueryType = '', reason = '']) => ({
          column: String(column),
          postgresType: String(postgresType),
          bigqueryType: String(bigqueryType),
          reason: String(reason),
        })),
        raw: records(raw).map(([column = '', value = null]) => ({ name: String(column), value })),
      })),
  };
}

function plain(cell: Cell): string | null {
  if (cell !== null && typeof cell !== 'string') throw new TypeError('A cell that is no text');
  return cell;
}

function records(cell: Cell | undefined): (string | null)[][] {
  if (!Array.isArray(cell)) throw new TypeError('A cell that is no array');
  return cell.map(({ v }) => {
    if (v === null || typeof v === 'string' || Array.isArray(v)) throw new TypeError('An element that is no record');
    return v.f.map((field) => plain(field.v));
  });
}
