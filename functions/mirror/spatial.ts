import { own } from './refusals.ts';
import type { Copy, Mapping, SourceType } from './types.ts';

/** PostGIS's types. */

export const isSpatial = ({ kind, name }: SourceType): boolean =>
  kind === 'base' && (name === 'geometry' || name === 'geography');

/**
 * Enough for any double: PostGIS writes what is below 1e-8 with an exponent, and of the rest no more digits than tell it from
 * its neighbours. Without a number, ST_AsEWKT rounds to 15 decimals, which changes most coordinates between -1 and 1.
 */
const DECIMALS = 30;

/**
 * EWKT, which people can read. It drops the sign of a zero and the dimensions of an EMPTY: such a value is written as COPY
 * would, as EWKB in hexadecimal. So is every value before PostGIS 3.1, where there is no EWKT that does not round. (Reading the EWKT
 * back would tell too, but PostGIS does not read all that it writes: LINESTRING(0 0).)
 */
export const exactText: Copy = (c, _refusal, _version, type) => {
  if (!type.decimals) return c;
  const ewkt = `${own(type, 'st_asewkt')}(${c}, ${DECIMALS})`;
  return (
    `CASE WHEN strpos(${c}::text, '${NEGATIVE_ZERO}') > 0 ` +
    `OR ${dimensions(type, c)} <> 0 AND strpos(${ewkt}, 'EMPTY') > 0 THEN ${c}::text ELSE ${ewkt} END`
  );
};

/** A double's bytes as EWKB has them. Found by chance in other numbers' bytes, it costs them no more than the readable form. */
const NEGATIVE_ZERO = '0000000000000080';

/**
 * What `as: geography` asks for: WKT for BigQuery's GEOGRAPHY, which is longitude and latitude on WGS 84 and nothing else.
 * An SRID that nobody has set is taken for that.
 */
export const asGeography: Mapping = {
  bigquery: 'GEOGRAPHY',
  refusals: ['not-wgs-84', 'not-two-dimensional'],
  copy: (c, refusal, _version, type) => {
    const text = (format: string): string => `${own(type, format)}(${c}${type.decimals ? `, ${DECIMALS}` : ''})`;
    return (
      `CASE WHEN ${own(type, 'st_srid')}(${asGeometry(type, c)}) NOT IN (0, 4326) THEN ${refusal('not-wgs-84')} || ${text('st_asewkt')} ` +
      `WHEN ${dimensions(type, c)} <> 0 THEN ${refusal('not-two-dimensional')} || ${text('st_asewkt')} ` +
      `ELSE ${text('st_astext')} END`
    );
  },
};

const asGeometry = (type: SourceType, c: string): string =>
  type.name === 'geometry' ? c : `${c}::${own(type, 'geometry')}`;

/** 0 for x and y alone, otherwise which of M and Z there are. */
const dimensions = (type: SourceType, c: string): string => `${own(type, 'st_zmflag')}(${asGeometry(type, c)})`;
