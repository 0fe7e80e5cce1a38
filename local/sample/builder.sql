-- Builder: forms that care teams make themselves, and what members answer.

CREATE SCHEMA builder;
COMMENT ON SCHEMA builder IS 'Forms, their fields and their submissions';

CREATE TABLE builder.forms (
  id uuid PRIMARY KEY,
  slug text NOT NULL UNIQUE,
  title jsonb NOT NULL,
  version integer NOT NULL,
  published_at timestamptz
);
COMMENT ON TABLE builder.forms IS 'What can be filled in';
COMMENT ON COLUMN builder.forms.title IS 'By language';
INSERT INTO builder.forms
SELECT pg_temp.uuid_of(n, 301), 'form-' || n,
       jsonb_build_object('en', 'Form ' || n, 'de', 'Formular „' || n || '“', 'zh', '表格' || n),
       1 + n % 5, CASE WHEN n % 8 <> 0 THEN pg_temp.moment(n, 302) END
FROM generate_series(1, 40) AS n;

CREATE TABLE builder.fields (
  form_id uuid NOT NULL,
  "position" smallint NOT NULL,
  key text NOT NULL,
  type text NOT NULL,
  required boolean NOT NULL,
  options text[],
  allowed int4range,
  PRIMARY KEY (form_id, "position")
);
COMMENT ON TABLE builder.fields IS 'A form''s questions, in order';
INSERT INTO builder.fields
SELECT pg_temp.uuid_of(form, 301), place, 'q' || place, type, pg_temp.chance(form * 100 + place, 311, 40),
       CASE WHEN type = 'choice' THEN ARRAY['yes', 'no', 'don''t know', E'other:\n"…"'] END,
       CASE WHEN type = 'number' THEN int4range(0, 10 + place, '[]') END
FROM generate_series(1, 40) AS form, generate_series(1, 10) AS place,
     LATERAL (SELECT pg_temp.pick(form * 100 + place, 312, '{text,choice,number,date}'::text[]) AS type) AS field;

CREATE TABLE builder.submissions (
  id bigint PRIMARY KEY,
  form_id uuid NOT NULL,
  member_id bigint NOT NULL,
  submitted_at timestamptz NOT NULL,
  payload jsonb NOT NULL
);
COMMENT ON TABLE builder.submissions IS 'Filled-in forms';
COMMENT ON COLUMN builder.submissions.payload IS 'Answers by the key of the field, as the browser sent them';
INSERT INTO builder.submissions
SELECT n, pg_temp.uuid_of(1 + pg_temp.roll(n, 321, 40), 301), 1 + pg_temp.roll(n, 322, 5000), pg_temp.moment(n, 323),
       CASE n WHEN 100 THEN '{"q1": 1e400}'
              WHEN 200 THEN '{"q1": 1234567890123456789012345678901234567890}'
              ELSE format('{"q1": "%s", "q2": %s, "q3": [1, null, {"deep": [true, "\u00e9"]}], "q4": %s}',
                          pg_temp.pick(n, 324, '{yes,no,"ein \\\"Zitat\\\"","line\\nbreak",😀}'::text[]),
                          pg_temp.roll(n, 325, 100), CASE WHEN n % 2 = 0 THEN '"2025-02-28"' ELSE 'null' END)
       END::jsonb
FROM pg_temp.rows(3000) AS n;
