-- The biggest table: who did what. Append-only, without foreign keys, as such logs are.

CREATE TYPE audit_action AS ENUM ('create', 'read', 'update', 'delete', 'log in', 'log out');

CREATE TABLE audit_log (
  id bigint PRIMARY KEY,
  at timestamptz NOT NULL,
  actor_id bigint,
  action audit_action NOT NULL,
  object text NOT NULL,
  address inet,
  request_id uuid NOT NULL,
  user_agent text,
  detail jsonb
);
COMMENT ON TABLE audit_log IS 'Every access to a record, by whom and from where';
COMMENT ON COLUMN audit_log.actor_id IS 'A member, or 1000000000 + a member of staff; empty: the system';
INSERT INTO audit_log
SELECT n,
       timestamptz '2024-01-01 00:00:00+00' + n * interval '7 minutes' / current_setting('sample.scale')::int,
       CASE WHEN n % 11 = 0 THEN NULL
            WHEN n % 3 = 0 THEN 1000000001 + pg_temp.roll(n, 91, 200)
            ELSE 1 + pg_temp.roll(n, 91, 5000) END,
       pg_temp.pick(n, 92, '{create,read,read,read,read,update,update,delete,"log in","log out"}'::audit_action[]),
       pg_temp.pick(n, 93, '{members,care.notes,care.messages,builder.submissions,consents}'::text[]) || '/'
         || pg_temp.roll(n, 94, 100000),
       inet '203.0.113.0' + pg_temp.roll(n, 95, 256),
       pg_temp.uuid_of(n, 96),
       pg_temp.pick(n, 97, '{"Imaginphone/4.2 (Commons 8.1; en-US)","Mozilla/5.0 (X11; Nowhere) Example/1.0",NULL}'::text[]),
       CASE pg_temp.roll(n, 98, 4)
         WHEN 0 THEN format('{"field": "status", "from": "active", "to": "paused", "ticket": %s}', n)::jsonb
         WHEN 1 THEN format('{"path": "/members/%s/notes?page=2&sort=asc", "ms": %s.25}', n % 5000, n % 977)::jsonb
         WHEN 2 THEN format('{"fields": ["email", "phone"], "reason": "asked by phone: \"%s\"\n😀", "ok": true}', n % 100)::jsonb
       END
FROM pg_temp.rows(100000) AS n;
