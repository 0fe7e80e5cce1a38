import * as z from 'zod';

/*
 * GEOGRAPHY as text. BigQuery moves each point to the nearest of its grid, turns rings and takes out what overlaps; here coordinates
 * stay as they are given, in their shortest digits, and nobody looks whether edges cross.
 */

/** Why a text is no geography. It quotes nothing of the text. */
export class NoGeography extends Error {}

/** The text of a geography in BigQuery's form, from WKT: what ST_GEOGFROMTEXT takes. Throws NoGeography. */
export function geographyOfWkt(text: string): string {
  const into: Geography = { points: [], lines: [], polygons: [] };
  addWkt(into, text);
  return textOf(into);
}

/** The same of a loaded field: WKT, a GeoJSON geometry, or WKB in hexadecimal. Throws NoGeography. */
export function geographyOfField(text: string): string {
  const into: Geography = { points: [], lines: [], polygons: [] };
  if (/^\s*\{/u.test(text)) addGeoJson(into, jsonOf(text));
  else if (/^(?:[0-9a-f]{2})+$/iu.test(text)) addWkb(into, Buffer.from(text, 'hex'));
  else addWkt(into, text);
  return textOf(into);
}

/**
 * All that BigQuery keeps of how shapes were given. It says: "The structure of compound geometry objects isn't preserved if a simpler
 * type can be produced", and "an empty geography isn't associated with a particular geometry shape".
 */
type Geography = { points: string[]; lines: string[]; polygons: string[] };

/** As ST_ASTEXT writes it. */
function textOf({ points, lines, polygons }: Geography): string {
  const alone = points.length === 1 ? points.map((point) => `(${point})`) : points;
  const kinds = [...simplest('POINT', alone), ...simplest('LINESTRING', lines), ...simplest('POLYGON', polygons)];
  if (kinds.length === 0) return 'GEOMETRYCOLLECTION EMPTY';
  return kinds.length === 1 ? kinds.join('') : `GEOMETRYCOLLECTION(${kinds.join(', ')})`;
}

function simplest(kind: string, parts: string[]): string[] {
  return parts.length > 1 ? [`MULTI${kind}(${parts.join(', ')})`] : parts.map((part) => `${kind}${part}`);
}

/** Degrees. BigQuery takes a longitude "modulo 360", and latitudes "in the range [-90, 90]". */
function position(longitude: number, latitude: number): string {
  if (!Number.isFinite(longitude) || !Number.isFinite(latitude)) throw new NoGeography('Coordinates must be finite');
  if (Math.abs(latitude) > 90) throw new NoGeography('Latitude must be between -90 and 90 degrees');
  const turns = Math.abs(longitude) > 180 ? Math.round(longitude / 360) : 0;
  return `${longitude - turns * 360} ${latitude}`;
}

function addPoint(into: Geography, positions: string[]): void {
  if (positions.length > 1) throw new NoGeography('A point must have one position');
  into.points.push(...positions);
}

function addLine(into: Geography, positions: string[]): void {
  if (positions.length === 1) throw new NoGeography('A linestring must have at least 2 points');
  if (positions.length > 0) into.lines.push(`(${positions.join(', ')})`);
}

/** The first ring is the shell, the others are holes. */
function addPolygon(into: Geography, rings: string[][]): void {
  for (const ring of rings) {
    if (ring.length < 4) throw new NoGeography('Invalid polygon loop: A loop must have at least 4 points');
    if (ring[0] !== ring.at(-1)) throw new NoGeography('Invalid polygon loop: The last point must be the first');
  }
  if (rings.length > 0) into.polygons.push(`(${rings.map((ring) => `(${ring.join(', ')})`).join(', ')})`);
}

/** Collections in collections take stack. */
function deeper(depth: number): number {
  if (depth >= 100) throw new NoGeography('More than 100 GEOMETRYCOLLECTIONs in one another');
  return depth + 1;
}

// A number ends where no other can begin: 1-2 is not two.
const TOKEN = /\s*([A-Za-z]+|[(),]|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.+-])|$)/uy;

const KINDS = 'POINT LINESTRING POLYGON MULTIPOINT MULTILINESTRING MULTIPOLYGON GEOMETRYCOLLECTION'.split(' ');

function addWkt(into: Geography, text: string): void {
  let start = 0;
  let token = '';
  const advance = (): void => {
    start += token.length;
    TOKEN.lastIndex = start;
    const found = TOKEN.exec(text);
    if (found === null) throw expected('a word, a number, or one of (),');
    token = found[1] ?? '';
    start = TOKEN.lastIndex - token.length;
  };
  const expected = (what: string): NoGeography =>
    new NoGeography(`Invalid WKT: expected ${what} at character ${start + 1}`);
  const accept = (wanted: string): boolean => {
    const found = token.toUpperCase() === wanted;
    if (found) advance();
    return found;
  };
  const list = <T>(item: () => T): T[] => {
    if (accept('EMPTY')) return [];
    if (!accept('(')) throw expected("'('");
    const items = [item()];
    while (accept(',')) items.push(item());
    // A third number, which is a Z or M, stands here.
    if (!accept(')')) throw expected("',' or ')'");
    return items;
  };
  const number = (): number => {
    if (!/\d/u.test(token)) throw expected('a number');
    const value = Number(token);
    advance();
    return value;
  };
  const pair = (): string => position(number(), number());
  const rings = (): string[][] => list(() => list(pair));
  const shape = (depth = 0): void => {
    const kind = KINDS.find(accept);
    if (kind === undefined) throw expected(KINDS.join(', '));
    if (kind === 'POINT') addPoint(into, list(pair));
    else if (kind === 'LINESTRING') addLine(into, list(pair));
    else if (kind === 'POLYGON') addPolygon(into, rings());
    // MULTIPOINT(1 2, 3 4) and MULTIPOINT((1 2), (3 4)) are the same.
    else if (kind === 'MULTIPOINT') list(() => addPoint(into, /\d/u.test(token) ? [pair()] : list(pair)));
    else if (kind === 'MULTILINESTRING') list(() => addLine(into, list(pair)));
    else if (kind === 'MULTIPOLYGON') list(() => addPolygon(into, rings()));
    else list(() => shape(deeper(depth)));
  };
  advance();
  shape();
  if (token !== '') throw expected('the end');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new NoGeography('Invalid GeoJSON: not JSON');
  }
}

const pair = z.tuple([z.number(), z.number()]).transform(([longitude, latitude]) => position(longitude, latitude));

function member<T extends string, C extends z.ZodType>(type: T, coordinates: C) {
  // RFC 7946 has WGS 84 alone; what names another system is of an older GeoJSON.
  return z.object({ type: z.literal(type), coordinates, crs: z.never().optional() });
}

const geometry = z.discriminatedUnion('type', [
  member('Point', pair),
  member('LineString', z.array(pair)),
  member('Polygon', z.array(z.array(pair))),
  member('MultiPoint', z.array(pair)),
  member('MultiLineString', z.array(z.array(pair))),
  member('MultiPolygon', z.array(z.array(z.array(pair)))),
  z.object({ type: z.literal('GeometryCollection'), geometries: z.array(z.unknown()), crs: z.never().optional() }),
]);

function addGeoJson(into: Geography, json: unknown, depth = 0): void {
  const { success, data } = geometry.safeParse(json);
  if (!success) throw new NoGeography('Invalid GeoJSON: no geometry in two dimensions');
  if (data.type === 'Point') addPoint(into, [data.coordinates]);
  else if (data.type === 'LineString') addLine(into, data.coordinates);
  else if (data.type === 'Polygon') addPolygon(into, data.coordinates);
  else if (data.type === 'MultiPoint') for (const each of data.coordinates) addPoint(into, [each]);
  else if (data.type === 'MultiLineString') for (const each of data.coordinates) addLine(into, each);
  else if (data.type === 'MultiPolygon') for (const each of data.coordinates) addPolygon(into, each);
  else for (const each of data.geometries) addGeoJson(into, each, deeper(depth));
}

function addWkb(into: Geography, bytes: Buffer): void {
  let at = 0;
  const take = (size: number): Buffer => {
    at += size;
    if (at > bytes.length) throw new NoGeography('Invalid WKB: it ends too early');
    return bytes.subarray(at - size, at);
  };
  const shape = (depth = 0, wanted?: number): void => {
    const order = take(1).readUInt8();
    const uint = (): number => (order === 1 ? take(4).readUInt32LE() : take(4).readUInt32BE());
    const double = (): number => (order === 1 ? take(8).readDoubleLE() : take(8).readDoubleBE());
    const pair = (): string => position(double(), double());
    const list = <T>(item: () => T): T[] => Array.from({ length: uint() }, item);
    const rings = (): string[][] => list(() => list(pair));
    const kind = uint();
    // Z, M and an SRID are in other numbers; a MULTI has members of its kind alone.
    if (order > 1 || kind < 1 || kind > 7 || (wanted ?? kind) !== kind) {
      throw new NoGeography('Invalid WKB: no shape in two dimensions');
    }
    if (kind === 1) addPoint(into, [pair()]);
    else if (kind === 2) addLine(into, list(pair));
    else if (kind === 3) addPolygon(into, rings());
    else list(() => shape(deeper(depth), kind === 7 ? undefined : kind - 3));
  };
  shape();
  if (at < bytes.length) throw new NoGeography('Invalid WKB: it goes on behind its end');
}
