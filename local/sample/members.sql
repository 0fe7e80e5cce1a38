-- Members and what belongs to them. All names are invented, addresses end in example.org, telephone numbers are of the
-- range 555-01xx, which is reserved for fiction, and no social security number begins with 000.

CREATE EXTENSION citext;

CREATE TYPE member_status AS ENUM ('invited', 'active', 'paused', 'left');
CREATE TYPE language AS ENUM ('en', 'es', 'de', 'pt', 'zh', 'ar');
CREATE TYPE emergency_contact AS (name text, phone text, reachable daterange);
CREATE DOMAIN email_address AS citext CHECK (VALUE ~ '^[^@\s]+@[^@\s]+$');
CREATE DOMAIN percentage AS numeric(5, 2) CHECK (VALUE BETWEEN 0 AND 100);

CREATE TABLE members (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uuid uuid NOT NULL UNIQUE,
  first_name text NOT NULL,
  last_name text NOT NULL,
  full_name text GENERATED ALWAYS AS (first_name || ' ' || last_name) STORED,
  preferred_name text,
  date_of_birth date NOT NULL,
  ssn char(11),
  email email_address,
  phone varchar(20),
  language language NOT NULL DEFAULT 'en',
  status member_status NOT NULL,
  tags text[] NOT NULL DEFAULT '{}',
  preferences jsonb NOT NULL DEFAULT '{}',
  emergency emergency_contact,
  engagement percentage,
  created_at timestamptz NOT NULL,
  left_on date
);
COMMENT ON TABLE members IS 'People who receive care';
COMMENT ON COLUMN members.ssn IS 'Social security number; never leaves production';
COMMENT ON COLUMN members.engagement IS 'Share of answered messages in the last 90 days, in percent';
COMMENT ON COLUMN members.tags IS 'Labels from the care team, in the order given';

INSERT INTO members (uuid, first_name, last_name, preferred_name, date_of_birth, ssn, email, phone, language, status, tags,
                     preferences, emergency, engagement, created_at, left_on)
SELECT pg_temp.uuid_of(n, 1),
       first, last,
       CASE WHEN pg_temp.chance(n, 4, 12) THEN left(first, 3) || 'y' END,
       date '1930-01-01' + pg_temp.roll(n, 5, 29000)::int,
       CASE WHEN pg_temp.chance(n, 6, 90) THEN '000-' || to_char(n % 100, 'FM00') || '-' || to_char(n % 10000, 'FM0000') END,
       CASE WHEN pg_temp.chance(n, 7, 95) THEN 'Member.' || n || '@example.org' END,
       CASE WHEN pg_temp.chance(n, 8, 80) THEN '+1 202 555 01' || to_char(pg_temp.roll(n, 8, 100), 'FM00') END,
       pg_temp.pick(n, 9, '{en,en,en,es,es,de,pt,zh,ar}'::language[]),
       status,
       CASE pg_temp.roll(n, 11, 4)
         WHEN 0 THEN '{}'
         WHEN 1 THEN ARRAY['new']
         WHEN 2 THEN ARRAY['high touch', 'say "hello", first']
         ELSE ARRAY['a,b', NULL, 'NULL', '']
       END,
       jsonb_build_object('theme', pg_temp.pick(n, 12, '{light,dark,"high contrast"}'::text[]),
                          'reminders', pg_temp.roll(n, 13, 5),
                          'quiet', CASE WHEN n % 3 = 0 THEN jsonb_build_array('22:00', '07:00') END),
       CASE WHEN n % 5 = 0 THEN
         ROW(pg_temp.pick(n, 14, '{Aunt Juniper,"Neighbour (ground floor)","O''Nimbus, Paul"}'::text[]), '+1 202 555 0199',
             daterange(date '2024-01-01', CASE WHEN n % 10 = 0 THEN date '2025-01-01' END))::emergency_contact
       END,
       CASE WHEN n % 7 <> 0 THEN pg_temp.roll(n, 15, 10001) / 100.0 END,
       pg_temp.moment(n, 16),
       CASE WHEN status = 'left' THEN date '2025-06-01' + pg_temp.roll(n, 17, 200)::int END
FROM (
  SELECT n,
         pg_temp.pick(n, 2, '{Amberlynn,Basilio,Corianne,Dandelion,Elderberry,Fennimore,Ginkgo,Hazelnut,Íris,Jasminka,Kiwi,
           Lavendula,Marjoram,Nutmeg,Øregano,Paprika,Quince,Rosmarina,Saffronia,Thymothy,Ursinia,Vanillo,Wasabina,Xanthia,
           Yarrow,Zinnia,小桃,زعفران}'::text[]) AS first,
         pg_temp.pick(n, 3, '{Quillfern,Moonpatch,"Featherstone-Nebula","O''Nimbus",Ångströmsen,Żółwik,Müßig-Ärmel,Examplesson,
           Placeholder,Zebrawood,"van der Testen",Fictitious,de la Muestra,Nowherian,Loremipsum,Dolorsit,虚构,خيالي}'::text[]) AS last,
         pg_temp.pick(n, 10, '{invited,active,active,active,active,paused,left}'::member_status[]) AS status
  FROM pg_temp.rows(5000) AS n
) AS person;

CREATE TABLE addresses (
  id bigint PRIMARY KEY,
  member_id bigint NOT NULL,
  kind text NOT NULL CHECK (kind IN ('home', 'work', 'postal')),
  lines text NOT NULL,
  postcode varchar(12),
  country char(2) NOT NULL,
  location point,
  valid daterange NOT NULL
);
COMMENT ON TABLE addresses IS 'Where members live or get their post';
COMMENT ON COLUMN addresses.lines IS 'As on an envelope, with line breaks';
INSERT INTO addresses
SELECT n, 1 + (n - 1) % (SELECT count(*) FROM members), pg_temp.pick(n, 20, '{home,home,work,postal}'::text[]),
       pg_temp.roll(n, 21, 900) || ' '
         || pg_temp.pick(n, 22, '{Imaginary Lane,"Rue de l''Exemple",Musterstraße,"No-Such Ave, \"Annex\""}'::text[])
         || E'\n' || pg_temp.pick(n, 23, '{Testville,Beispielstadt,Ejemplópolis,虚构市}'::text[]),
       to_char(pg_temp.roll(n, 24, 100000), 'FM00000'),
       pg_temp.pick(n, 25, '{US,US,DE,MX,BR}'::bpchar[]),
       CASE WHEN n % 4 <> 0 THEN point(pg_temp.roll(n, 26, 36000) / 100.0 - 180, pg_temp.roll(n, 27, 18000) / 100.0 - 90) END,
       daterange(date '2020-01-01' + pg_temp.roll(n, 28, 1000)::int, CASE WHEN n % 3 = 0 THEN date '2025-01-01' END)
FROM pg_temp.rows(6000) AS n;

CREATE TABLE devices (
  id uuid PRIMARY KEY,
  member_id bigint NOT NULL,
  model text,
  push_token text,
  last_address inet,
  network cidr,
  mac macaddr,
  features bit(8) NOT NULL,
  history varbit,
  last_seen timestamptz
);
COMMENT ON TABLE devices IS 'Telephones and scales that report for a member';
COMMENT ON COLUMN devices.push_token IS 'A credential';
INSERT INTO devices
SELECT pg_temp.uuid_of(n, 30), 1 + pg_temp.roll(n, 31, 5000), pg_temp.pick(n, 32,
  '{Imaginphone 4,Nowhere Tab,Scale-o-matic,NULL}'::text[]),
       md5('token' || n),
       CASE WHEN n % 3 = 0 THEN ('2001:db8::' || to_hex(pg_temp.roll(n, 33, 65536)))::inet
            ELSE inet '192.0.2.0' + pg_temp.roll(n, 33, 256) END,
       CASE WHEN n % 2 = 0 THEN cidr '198.51.100.0/24' ELSE cidr '2001:db8::/32' END,
       ('02:00:00:00:' || to_char(n / 100 % 100, 'FM00') || ':' || to_char(n % 100, 'FM00'))::macaddr,
       pg_temp.roll(n, 34, 256)::int::bit(8),
       CASE WHEN n % 6 <> 0 THEN substring(pg_temp.roll(n, 35, 65536)::int::bit(16) FOR 1 + (n % 16)::int)::varbit END,
       CASE WHEN n % 9 <> 0 THEN pg_temp.moment(n, 36) END
FROM pg_temp.rows(4000) AS n;

CREATE TABLE staff (
  id integer PRIMARY KEY,
  name text NOT NULL,
  email email_address NOT NULL,
  password_hash text NOT NULL,
  manager_id integer,
  weekly_hours numeric(4, 1) NOT NULL,
  shift_starts time NOT NULL,
  shift_starts_zoned time with time zone,
  languages language[] NOT NULL
);
COMMENT ON TABLE staff IS 'People who give care';
COMMENT ON COLUMN staff.password_hash IS 'A credential';
INSERT INTO staff
SELECT n, pg_temp.pick(n, 40, '{Nurse,Doctor,Coach,Navigator}'::text[]) || ' Fictitia ' || n, 'Staff.' || n || '@example.org',
       '$2b$12$' || md5('password' || n), CASE WHEN n > 10 THEN 1 + pg_temp.roll(n, 41, 10) END,
       20 + pg_temp.roll(n, 42, 41) / 2.0,
       time '06:00' + pg_temp.roll(n, 43, 40) * interval '15 minutes',
       (time '06:00' + pg_temp.roll(n, 43, 40) * interval '15 minutes') AT TIME ZONE 'UTC',
       CASE WHEN n % 2 = 0 THEN '{en}'::language[] ELSE '{en,es,de}'::language[] END
FROM generate_series(1, 200) AS n;

CREATE TABLE consents (
  id bigint PRIMARY KEY,
  member_id bigint NOT NULL,
  purpose text NOT NULL,
  granted boolean NOT NULL,
  granted_at timestamptz NOT NULL,
  valid_until date,
  validity daterange,
  evidence bytea
);
COMMENT ON TABLE consents IS 'What members agreed to';
COMMENT ON COLUMN consents.valid_until IS 'infinity: until revoked, as the first release wrote it';
INSERT INTO consents
SELECT n, 1 + pg_temp.roll(n, 51, 5000), pg_temp.pick(n, 52, '{treatment,research,messages,"sharing with family"}'::text[]),
       pg_temp.chance(n, 53, 85), pg_temp.moment(n, 54),
       CASE WHEN n IN (17, 1700, 7100) THEN date 'infinity'
            WHEN n % 3 = 0 THEN date '2026-01-01' + pg_temp.roll(n, 55, 2000)::int END,
       daterange(pg_temp.moment(n, 54)::date, CASE WHEN n % 4 = 0 THEN date '2030-01-01' END),
       CASE WHEN n % 5 = 0 THEN decode(md5('evidence' || n), 'hex') WHEN n % 5 = 1 THEN ''::bytea END
FROM pg_temp.rows(8000) AS n;

CREATE TABLE invoices (
  number text PRIMARY KEY,
  member_id bigint NOT NULL,
  issued_on date NOT NULL,
  amount numeric(12, 2) NOT NULL,
  exchange_rate numeric(20, 15) NOT NULL,
  fee money NOT NULL,
  lines json NOT NULL
);
COMMENT ON TABLE invoices IS 'What is charged; amount in US dollars';
INSERT INTO invoices
SELECT 'INV-' || to_char(n, 'FM000000'), 1 + pg_temp.roll(n, 61, 5000), date '2024-01-01' + pg_temp.roll(n, 62, 700)::int,
       pg_temp.roll(n, 63, 5000000) / 100.0 - 1000, 1 + pg_temp.roll(n, 64, 1000000000000) / 1e15,
       (pg_temp.roll(n, 65, 10000) / 100.0)::money,
       format('[{"item": "visit %s", "price": %s.50},  {"item": "kit \"%s\"", "price": 1.10}]',
              n, pg_temp.roll(n, 66, 100), n % 9)::json
FROM pg_temp.rows(2000) AS n;

CREATE TABLE documents (
  id bigint PRIMARY KEY,
  member_id bigint NOT NULL,
  file_name text NOT NULL,
  content bytea NOT NULL,
  description xml
);
COMMENT ON TABLE documents IS 'Files that members sent';
INSERT INTO documents
SELECT n, 1 + pg_temp.roll(n, 71, 5000), 'scan ' || n || pg_temp.pick(n, 72, '{.pdf,.jpg," (1).PNG"}'::text[]),
       decode(repeat(md5('content' || n), 1 + pg_temp.roll(n, 73, 60)::int), 'hex') || '\x00ff0a0d22'::bytea,
       CASE WHEN n % 4 <> 0 THEN xmlelement(name scan, xmlattributes(n AS id), 'page < ' || n % 7) END
FROM generate_series(1, 500) AS n;

CREATE UNLOGGED TABLE sessions (
  id uuid PRIMARY KEY,
  member_id bigint NOT NULL,
  started_at timestamptz NOT NULL,
  idle interval NOT NULL
);
COMMENT ON TABLE sessions IS 'Who is logged in; lost in a crash';
INSERT INTO sessions
SELECT pg_temp.uuid_of(n, 80), 1 + pg_temp.roll(n, 81, 5000), pg_temp.moment(n, 82),
       CASE n % 4 WHEN 0 THEN interval '0' WHEN 1 THEN interval '1 year 2 mons -3 days'
            WHEN 2 THEN interval '-00:00:00.000001'
            ELSE pg_temp.roll(n, 83, 100000) * interval '1 second' END
FROM generate_series(1, 1000) AS n;

-- Neither is a table: they are mirrored only where the configuration names them.
CREATE VIEW active_members AS SELECT id, full_name, language FROM members WHERE status = 'active';
COMMENT ON VIEW active_members IS 'Members in care now';
CREATE MATERIALIZED VIEW members_by_language AS SELECT language, count(*) AS members FROM members GROUP BY language;
COMMENT ON MATERIALIZED VIEW members_by_language IS 'Refreshed nightly';
