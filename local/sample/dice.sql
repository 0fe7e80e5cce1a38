-- The dice that every other file rolls. A value follows from its row's number and the number of the die, so that every
-- machine and every run makes the same bytes; there is no random() and no now() in the sample. The functions live in pg_temp
-- and are gone with the connection.

-- PostgreSQL's own hash, which is fast and the same in every version since 11.
CREATE FUNCTION pg_temp.roll(n bigint, die bigint, faces bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
  RETURN (hashint8extended(n, die) & 9223372036854775807) % faces;

CREATE FUNCTION pg_temp.pick(n bigint, die bigint, choices anyarray) RETURNS anyelement LANGUAGE sql IMMUTABLE
  AS $$ SELECT choices[1 + (hashint8extended(n, die) & 9223372036854775807) % cardinality(choices)] $$;

-- True for about `percent` of the rows.
CREATE FUNCTION pg_temp.chance(n bigint, die bigint, percent bigint) RETURNS boolean LANGUAGE sql IMMUTABLE
  RETURN (hashint8extended(n, die) & 9223372036854775807) % 100 < percent;

-- A moment of the years 2023 to 2025, to the microsecond.
CREATE FUNCTION pg_temp.moment(n bigint, die bigint) RETURNS timestamptz LANGUAGE sql STABLE
  RETURN timestamptz '2023-01-01 00:00:00+00'
         + (hashint8extended(n, die) & 9223372036854775807) % 94608000000000 * interval '1 microsecond';

CREATE FUNCTION pg_temp.uuid_of(n bigint, die bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
  RETURN md5(die || ':' || n)::uuid;

-- The numbers of the rows of a table that grows with the scale.
CREATE FUNCTION pg_temp.rows(base bigint) RETURNS SETOF bigint LANGUAGE sql STABLE
  AS $$ SELECT generate_series(1, base * current_setting('sample.scale')::bigint) $$;
