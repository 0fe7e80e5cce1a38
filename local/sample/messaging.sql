-- Conversations and notes. Their text is Draft.js raw content, in a text column (messages) and in a jsonb one (notes).
-- First 240 documents are put together from the paragraphs below, then each row takes one and puts its own number in.

-- `bold`, `italic` and `linked` are parts of the text; what they are in offsets is worked out from them.
CREATE TEMPORARY TABLE paragraphs (language language, type text, depth int, text text, bold text, italic text,
  linked text, url text);
INSERT INTO paragraphs VALUES
  ('en', 'unstyled', 0, 'Good morning 👋🏽 your next visit is on Monday.', 'next visit', NULL, 'Monday',
    'https://example.org/visits?day=1&at=9'),
  ('en', 'header-two', 0, 'What we talked about', NULL, NULL, NULL, NULL),
  ('en', 'unordered-list-item', 0, 'Drink water, "at least" 6 glasses', 'Drink water', '"at least"', NULL, NULL),
  ('en', 'unordered-list-item', 1, 'tea counts 🍵 as well', NULL, 'tea', NULL, NULL),
  ('en', 'blockquote', 0, E'I slept well.\nMostly.', NULL, 'I slept', NULL, NULL),
  ('es', 'unstyled', 0, 'Hola 🌞 ¿cómo durmió? Escríbanos aquí.', '¿cómo durmió?', NULL, 'aquí',
    'https://example.org/es/mensajes'),
  ('es', 'header-three', 0, 'Próximos pasos', NULL, NULL, NULL, NULL),
  ('es', 'ordered-list-item', 0, 'Caminar 20 minutos', '20 minutos', NULL, NULL, NULL),
  ('es', 'ordered-list-item', 1, 'o nadar 🏊‍♀️ 10', NULL, 'nadar', NULL, NULL),
  ('de', 'unstyled', 0, 'Grüße aus der Übungsgruppe! Größe & Gewicht bitte <heute> messen.', 'Größe & Gewicht', '<heute>',
    NULL, NULL),
  ('de', 'header-one', 0, 'Straße *7*, 2. Stock', '*7*', NULL, NULL, NULL),
  ('de', 'unordered-list-item', 0, 'siehe Merkblatt_Übung_1', NULL, NULL, 'Merkblatt_Übung_1',
    'https://example.org/de/merkblatt_(1)'),
  ('pt', 'unstyled', 0, 'Olá! A consulta não mudou 😀😀, até amanhã.', 'não mudou', 'amanhã', NULL, NULL),
  ('pt', 'blockquote', 0, 'Coração tranquilo', NULL, NULL, NULL, NULL),
  ('zh', 'unstyled', 0, '您好，请在星期一𠮷祥路复诊。😷', '星期一', '𠮷祥路', '复诊', 'https://example.org/zh/复诊'),
  ('zh', 'ordered-list-item', 0, '每天喝水六杯', '六杯', NULL, NULL, NULL),
  ('ar', 'unstyled', 0, 'صباح الخير، موعدك يوم الاثنين 🌙', 'موعدك', 'الاثنين', NULL, NULL),
  ('ar', 'unordered-list-item', 0, 'اشرب الماء', NULL, NULL, 'الماء', 'https://example.org/ar/%D9%85%D8%A7%D8%A1'),
  (NULL, 'code-block', 0, E'if (pulse > 120) {\n\tcall("555-0100");  // <b>&amp;\n}', NULL, NULL, NULL, NULL),
  (NULL, 'unstyled', 0, '', NULL, NULL, NULL, NULL);

-- Draft.js counts in UTF-16 units, as JavaScript does: a character beyond U+FFFF counts twice.
CREATE FUNCTION pg_temp.utf16_length(value text) RETURNS int LANGUAGE sql IMMUTABLE
  RETURN char_length(value) + char_length(regexp_replace(value, '[\u0001-\uFFFF]', '', 'g'));
CREATE FUNCTION pg_temp.draft_range(value text, part text, more jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
  RETURN CASE WHEN part IS NULL THEN '[]' ELSE jsonb_build_array(more || jsonb_build_object(
    'offset', pg_temp.utf16_length(left(value, strpos(value, part) - 1)), 'length', pg_temp.utf16_length(part))) END;

CREATE TEMPORARY TABLE drafts AS
WITH chosen AS (
  SELECT document, language, place, paragraph.*, count(url) OVER (PARTITION BY document ORDER BY place) - 1 AS entity
  FROM (SELECT n AS document, pg_temp.pick(n, 201, enum_range(NULL::language)) AS language
        FROM generate_series(1, 240) AS n) AS document,
       LATERAL generate_series(1, 1 + pg_temp.roll(document, 202, 5)) AS place,
       LATERAL (
         SELECT type, depth, text, bold, italic, linked, url FROM paragraphs
         WHERE paragraphs.language IS NOT DISTINCT FROM CASE WHEN pg_temp.chance(document * 10 + place, 203, 85)
           THEN document.language END
         ORDER BY hashtextextended(text, document * 10 + place) LIMIT 1
       ) AS paragraph
)
SELECT document, language,
       jsonb_build_object(
         'blocks', jsonb_agg(jsonb_build_object(
           'key', substr(md5(document || '/' || place), 1, 5), 'type', type, 'depth', depth, 'data', '{}'::jsonb,
           'text', text || CASE WHEN place = 1 THEN ' (@ROW@)' ELSE '' END,
           'inlineStyleRanges', pg_temp.draft_range(text, bold, '{"style": "BOLD"}')
             || pg_temp.draft_range(text, italic, '{"style": "ITALIC"}'),
           'entityRanges', pg_temp.draft_range(text, linked, jsonb_build_object('key', entity))
         ) ORDER BY place),
         'entityMap', coalesce(jsonb_object_agg(entity, jsonb_build_object(
           'type', 'LINK', 'mutability', 'MUTABLE', 'data', jsonb_build_object('url', url))) FILTER (WHERE url IS NOT NULL), '{}')
       )::text AS content
FROM chosen GROUP BY document, language;
-- The planner takes an unknown table for a big one, and would shuffle the rows below.
ANALYZE drafts;

CREATE TABLE care.conversations (
  id bigint PRIMARY KEY,
  member_id bigint NOT NULL,
  team_id integer NOT NULL,
  subject text,
  opened_at timestamptz NOT NULL,
  unread smallint NOT NULL
);
COMMENT ON TABLE care.conversations IS 'Between a member and a team';
INSERT INTO care.conversations
SELECT n, 1 + pg_temp.roll(n, 211, 5000), 1 + pg_temp.roll(n, 212, 300),
       CASE WHEN n % 6 <> 0 THEN pg_temp.pick(n, 213, '{"Your question",Befund,¿Dudas?,预约,"Re: Re: visit 🗓️"}'::text[])
         || ' ' || n END,
       pg_temp.moment(n, 214), pg_temp.roll(n, 215, 10)
FROM pg_temp.rows(3000) AS n;

CREATE TABLE care.messages (
  id bigint PRIMARY KEY,
  conversation_id bigint NOT NULL,
  from_member boolean NOT NULL,
  sent_at timestamptz NOT NULL,
  body text,
  attachments uuid[] NOT NULL
);
COMMENT ON TABLE care.messages IS 'What members and teams write to each other';
COMMENT ON COLUMN care.messages.body IS 'Draft.js raw content as text; the oldest messages are plain text';
INSERT INTO care.messages
SELECT n, 1 + pg_temp.roll(n, 221, 3000), pg_temp.chance(n, 222, 50), pg_temp.moment(n, 223),
       CASE WHEN n % 1000 = 1 THEN NULL WHEN n % 1000 = 2 THEN '' WHEN n % 1000 = 3
         THEN 'Plain text from before the editor, "quoted" ' || n
            WHEN n % 1000 = 4 THEN '{"blocks":[],"entityMap":{}}' ELSE replace(content, '@ROW@', 'message ' || n) END,
       CASE WHEN n % 20 = 0 THEN ARRAY[pg_temp.uuid_of(n, 224), pg_temp.uuid_of(n, 225)] ELSE '{}' END
FROM pg_temp.rows(30000) AS n JOIN drafts ON document = 1 + pg_temp.roll(n, 226, 240);

CREATE TABLE care.notes (
  id uuid PRIMARY KEY,
  member_id bigint NOT NULL,
  author_id integer NOT NULL,
  written_at timestamptz NOT NULL,
  content jsonb,
  summary jsonb,
  signed boolean NOT NULL
);
COMMENT ON TABLE care.notes IS 'What staff write about a visit';
COMMENT ON COLUMN care.notes.content IS 'Draft.js raw content';
COMMENT ON COLUMN care.notes.summary IS 'Draft.js raw content, in short';
INSERT INTO care.notes
SELECT pg_temp.uuid_of(n, 231), 1 + pg_temp.roll(n, 232, 5000), 1 + pg_temp.roll(n, 233, 200), pg_temp.moment(n, 234),
       CASE WHEN n % 500 <> 7 THEN replace(long.content, '@ROW@', 'note ' || n)::jsonb END,
       CASE WHEN n % 3 = 0 THEN replace(short.content, '@ROW@', 'note ' || n)::jsonb END, pg_temp.chance(n, 235, 70)
FROM pg_temp.rows(6000) AS n
JOIN drafts AS long ON long.document = 1 + pg_temp.roll(n, 236, 240)
LEFT JOIN drafts AS short ON n % 3 = 0 AND short.document = 1 + pg_temp.roll(n, 237, 240);
