-- Care: teams, plans, tasks, appointments and measurements.

CREATE SCHEMA care;
COMMENT ON SCHEMA care IS 'What happens between members and their care teams';

CREATE TABLE care.teams (
  id integer PRIMARY KEY,
  name text NOT NULL,
  path text NOT NULL,
  founded date NOT NULL
);
COMMENT ON TABLE care.teams IS 'Care teams';
COMMENT ON COLUMN care.teams.path IS 'From region to team, with dots between';
INSERT INTO care.teams
SELECT n, 'Team ' || pg_temp.pick(n, 101, '{Otter,Heron,"Great Auk",Größenwahn,🦊 Fox}'::text[]) || ' ' || n,
       'commons.' || pg_temp.pick(n, 102, '{north,south,"far_east"}'::text[]) || '.t' || n, date '2019-01-01'
         + pg_temp.roll(n, 103, 2000)::int
FROM generate_series(1, 300) AS n;

CREATE TABLE care.team_members (
  team_id integer NOT NULL,
  staff_id integer NOT NULL,
  role text NOT NULL,
  since date NOT NULL,
  until date,
  PRIMARY KEY (team_id, staff_id)
);
COMMENT ON TABLE care.team_members IS 'Which members of staff work in which team';
INSERT INTO care.team_members
SELECT DISTINCT ON (team, person) team, person, pg_temp.pick(n, 111, '{lead,nurse,coach,pharmacist}'::text[]),
       date '2023-01-01' + pg_temp.roll(n, 112, 700)::int, CASE WHEN n % 4 = 0 THEN date '2025-10-31' END
FROM (SELECT n, 1 + n % 300 AS team, 1 + pg_temp.roll(n, 113, 200) AS person
      FROM generate_series(1, 1500) AS n) AS membership
ORDER BY team, person, n;

CREATE TABLE care.plans (
  id uuid PRIMARY KEY,
  member_id bigint NOT NULL,
  team_id integer NOT NULL,
  goals jsonb[] NOT NULL,
  check_in interval NOT NULL,
  active tstzrange NOT NULL,
  scores integer[][]
);
COMMENT ON TABLE care.plans IS 'What a member and the team want to reach';
INSERT INTO care.plans
SELECT pg_temp.uuid_of(n, 121), 1 + pg_temp.roll(n, 122, 5000), 1 + pg_temp.roll(n, 123, 300),
       ARRAY[
         jsonb_build_object('goal', pg_temp.pick(n, 124, '{"Walk to the imaginary lake","Sleep 7 hours",多喝水}'::text[]),
                            'weight', n % 5 / 4.0),
         NULL
       ],
       pg_temp.pick(n, 125, '{7 days,1 mon,12:30:00,1 year 2 mons 3 days 04:05:06.789}'::interval[]),
       tstzrange(pg_temp.moment(n, 126), CASE WHEN n % 3 = 0 THEN timestamptz '2026-06-30 22:00:00+00' END),
       CASE WHEN n % 2 = 0 THEN ARRAY[[n % 10, n % 7], [NULL, n % 3]]::integer[] END
FROM generate_series(1, 500) AS n;

CREATE TABLE care.tasks (
  id bigint PRIMARY KEY,
  plan_id uuid NOT NULL,
  assignee_id integer,
  title text NOT NULL,
  done boolean NOT NULL,
  due_on date,
  created_at timestamp NOT NULL,
  estimate interval
);
COMMENT ON TABLE care.tasks IS 'What is to be done';
COMMENT ON COLUMN care.tasks.created_at IS 'Local time of the team, without its zone';
INSERT INTO care.tasks
SELECT n, pg_temp.uuid_of(1 + pg_temp.roll(n, 131, 500), 121), CASE WHEN n % 5 <> 0 THEN 1 + pg_temp.roll(n, 132, 200) END,
       pg_temp.pick(n, 133, '{"Call back","Send \"welcome\" kit, then call","Termin prüfen","📞 teléfono"}'::text[])
         || ' #' || n,
       pg_temp.chance(n, 134, 60), CASE WHEN n % 3 <> 0 THEN date '2025-01-01' + pg_temp.roll(n, 135, 365)::int END,
       pg_temp.moment(n, 136)::timestamp, CASE WHEN n % 4 = 0 THEN pg_temp.roll(n, 137, 200) * interval '1 minute' END
FROM pg_temp.rows(8000) AS n;

CREATE TABLE care.appointments (
  id bigint PRIMARY KEY,
  member_id bigint NOT NULL,
  staff_id integer NOT NULL,
  starts_at timestamptz NOT NULL,
  during tstzrange NOT NULL,
  local_start time NOT NULL,
  local_end time NOT NULL,
  imported_start timestamp,
  reminders timestamptz[],
  video boolean
);
COMMENT ON TABLE care.appointments IS 'When a member meets a member of staff';
COMMENT ON COLUMN care.appointments.imported_start IS 'As the old calendar had it, mistyped years included';
INSERT INTO care.appointments
SELECT n, 1 + pg_temp.roll(n, 141, 5000), 1 + pg_temp.roll(n, 142, 200), at,
       tstzrange(at, at + interval '45 minutes'), at::time,
       CASE WHEN n = 2718 THEN time '24:00:00' ELSE (at + interval '45 minutes')::time END,
       CASE WHEN n = 1492 THEN timestamp '0044-03-15 12:00:00 BC'
            WHEN n = 4242 THEN timestamp '20250-01-06 09:00:00'
            WHEN n % 3 = 0 THEN at::timestamp END,
       CASE WHEN n % 4 = 0 THEN ARRAY[at - interval '1 day', NULL, at - interval '1 hour'] END,
       CASE n % 3 WHEN 0 THEN true WHEN 1 THEN false END
FROM (SELECT n, date_trunc('minute', pg_temp.moment(n, 143)) AS at FROM pg_temp.rows(6000) AS n) AS appointment;

-- Partitioned, as measurements grow without end; the default takes what no year has.
CREATE TABLE care.measurements (
  id bigint NOT NULL,
  taken_at timestamptz NOT NULL,
  member_id bigint NOT NULL,
  device_id uuid,
  kind text NOT NULL,
  value numeric NOT NULL,
  raw double precision,
  quality real,
  PRIMARY KEY (id, taken_at)
) PARTITION BY RANGE (taken_at);
COMMENT ON TABLE care.measurements IS 'What devices and people measured';
COMMENT ON COLUMN care.measurements.value IS 'As the device sent it: NaN where its sensor failed, and all of its decimals';
CREATE TABLE care.measurements_2024 PARTITION OF care.measurements FOR VALUES
  FROM ('2024-01-01 00:00:00+00') TO ('2025-01-01 00:00:00+00');
CREATE TABLE care.measurements_2025 PARTITION OF care.measurements FOR VALUES
  FROM ('2025-01-01 00:00:00+00') TO ('2026-01-01 00:00:00+00');
CREATE TABLE care.measurements_default PARTITION OF care.measurements DEFAULT;
INSERT INTO care.measurements
SELECT n, pg_temp.moment(n, 151), 1 + pg_temp.roll(n, 152, 5000), CASE WHEN n % 4 <> 0 THEN pg_temp.uuid_of(1
  + pg_temp.roll(n, 153, 4000), 30) END,
       pg_temp.pick(n, 154, '{weight,steps,"blood pressure",temperature}'::text[]),
       CASE WHEN n IN (77, 7777, 17777) THEN 'NaN'
            WHEN n = 3141 THEN 3.14159265358979323846264338327950288419716939937510
            ELSE pg_temp.roll(n, 155, 200000000) / 1000000.0 END,
       CASE n % 1000 WHEN 0 THEN 'NaN' WHEN 1 THEN 'Infinity' WHEN 2 THEN '-Infinity' WHEN 3 THEN '-0' WHEN 4 THEN 5e-324
            WHEN 5 THEN 1.7976931348623157e308 ELSE pg_temp.roll(n, 156, 1000000) / 7.0::double precision END,
       CASE WHEN n % 6 <> 0 THEN pg_temp.roll(n, 157, 1000) / 999.0 END
FROM pg_temp.rows(20000) AS n;
