-- Audit triggers: what is logged, of every operation and type, and what is refused. The objects of DDL, which
-- differ by PostgreSQL's version, are in test/t/058_audit_ddl.pl.
-- What was logged since the last look, in the order of the chain.
CREATE SCHEMA audited;
SET search_path = audited;
SET test.seen = '0';
CREATE FUNCTION helper.logged() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    record record;
BEGIN
    FOR record IN SELECT a.* FROM ledger.audit_records AS a WHERE a.id > current_setting('test.seen')::bigint ORDER BY a.id LOOP
        RETURN NEXT concat_ws(' ', record.relation, record.operation, 'key ' || record.key, 'old ' || record.old,
                              'new ' || CASE record.operation WHEN 'DDL' THEN regexp_replace(record.new, '"objects":\[.*\],?', '') ELSE record.new END);
        PERFORM set_config('test.seen', record.id::text, false);
    END LOOP;
END
$$;
\a \t
-- Operations.
CREATE TABLE item (id integer PRIMARY KEY, name text, price numeric(10, 2));
SELECT ledger.enable_audit('item');
INSERT INTO item VALUES (1, 'tea', 2.5), (2, 'coffee', 3);
UPDATE item SET price = price + 1 WHERE id = 1;
UPDATE item SET id = 3 WHERE id = 2;
UPDATE item SET name = name WHERE id = 3;
DELETE FROM item WHERE id = 3;
DELETE FROM item WHERE false;
TRUNCATE item;
SELECT helper.logged();
INSERT INTO item VALUES (1, 'tea', 2.5) ON CONFLICT (id) DO UPDATE SET name = 'not yet';
INSERT INTO item VALUES (1, 'green tea', 3), (2, 'milk', 1) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name;
INSERT INTO item VALUES (1, 'nothing', 3) ON CONFLICT DO NOTHING;
MERGE INTO item USING (VALUES (1, 'black tea'), (2, NULL), (3, 'water')) AS v (id, name) ON item.id = v.id
    WHEN MATCHED AND v.name IS NULL THEN DELETE
    WHEN MATCHED THEN UPDATE SET name = v.name
    WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.name, 0);
COPY item FROM STDIN;
4	a "quoted" name	1
5	\\ and \t tab	\N
\.
WITH gone AS (DELETE FROM item WHERE id > 3 RETURNING *) INSERT INTO item SELECT id + 10, name, price FROM gone;
SELECT helper.logged();

-- Who.
SET application_name = 'audit test';
SET client_encoding = UTF8;
INSERT INTO item VALUES (20, 'who');
RESET application_name;
SELECT actor = session_user, acting_as = current_user, application, client IS NULL, at BETWEEN now() - interval '1 min' AND clock_timestamp(),
       txid = pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1 FROM ledger.audit_log ORDER BY id DESC LIMIT 1;
SELECT helper.logged();

-- Types, beside what to_jsonb makes of them.
SET timezone = 'UTC';
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN words AS text[];
CREATE TABLE kinds (
    id bigint PRIMARY KEY, b boolean, i2 smallint, i4 integer, i8 bigint, o oid, n numeric, f4 real, f8 double precision,
    t text, v varchar(9), c char(5), nm name, ch "char", u uuid, by bytea, d date, ts timestamp, tz timestamptz, ti time, tt timetz,
    j json, jb jsonb, iv interval, m mood, p pair, dom positive, w words, ia integer[], tza timestamptz[], f8a float8[], ja json[], pa pair[],
    r int4range, ir inet, bit bit(3), big text GENERATED ALWAYS AS (upper(t COLLATE "C")) STORED, empty text);
SELECT ledger.enable_audit('kinds');
INSERT INTO kinds VALUES
    (1, true, -32768, -2147483648, -9223372036854775808, 4294967295, 123.4500, 0.1, 0.1, E'q" b\\ s/ n\n r\r t\t f\f b\b e\x1b \x7f \u00e9 \U0001F600',
     'var', 'c', 'name "n"', 'x', '00112233-4455-6677-8899-aabbccddeeff', '\x00ff5c22', '2026-02-03', '2026-02-03 04:05:06.789',
     '2026-02-03 04:05:06.789+03', '04:05:06', '04:05:06+03', '{"a" : [1, {"b":null}],  "a":2}', '{"z":1, "a": "\"" }', '1 year 2 days 03:04:05.6',
     'sad', '(1,"x ""y""")', 7, '{a,NULL,"b \" c"}', '{{1,2},{3,NULL}}', '{2026-02-03 04:05:06+03}', '{0.1,NaN,-Infinity}', '{"{\"k\": 1}"}',
     '{"(1,a)","(2,)"}', '[1,5)', '10.0.0.1/8', B'101', DEFAULT, ''),
    (2, false, 32767, 2147483647, 9223372036854775807, 0, 'NaN', 'NaN', 'Infinity', '', '', '', '', '', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '',
     'infinity', '-infinity', 'infinity', '24:00', '00:00-15:59', '"s"', 'null', '-1 mon', 'ok', '(,)', 1, '{}', '{}', '{}', '{}', '{}', '{}', 'empty', '::1', B'000', DEFAULT, NULL),
    (3, NULL, NULL, NULL, NULL, NULL, 1e30, 1e20, 1e-300, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '0044-03-15 BC', '0044-03-15 BC', '12345-01-01 00:00Z', NULL, NULL,
     '1e5', '[]', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, DEFAULT, NULL),
    (4, NULL, NULL, NULL, NULL, NULL, '-Infinity', '-0', 123456789012345680, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, DEFAULT, NULL);
SELECT helper.logged();
SET intervalstyle = iso_8601;
SELECT l.new::jsonb = to_jsonb(k) AS same, count(*) FROM ledger.audit_log AS l JOIN kinds AS k ON l.key::jsonb = jsonb_build_object('id', k.id)
WHERE l.relation = 'audited.kinds' GROUP BY 1;
-- Settings make no difference.
CREATE TABLE told (name text, value text);
SET timezone = 'America/St_Johns'; SET datestyle = 'SQL, DMY'; SET intervalstyle = postgres_verbose; SET extra_float_digits = -10; SET bytea_output = escape;
UPDATE kinds SET empty = empty;
SHOW timezone;
SELECT tz, iv, f8, by, tza FROM kinds WHERE id = 1;
RESET timezone; RESET datestyle; RESET intervalstyle; RESET extra_float_digits; RESET bytea_output;
SELECT new::text = old::text AND new::text IN (SELECT i.new FROM ledger.audit_records AS i WHERE i.operation = 'INSERT') AS same, count(*)
FROM ledger.audit_records WHERE relation = 'audited.kinds' AND operation = 'UPDATE' GROUP BY 1;
SELECT set_config('test.seen', max(id)::text, false) IS NULL FROM ledger.audit_log;

-- json that a jsonb cannot hold becomes a string, so that records can be taken apart.
CREATE TABLE odd (id integer PRIMARY KEY, j json, ja json[], jb jsonb);
SELECT ledger.enable_audit('odd');
INSERT INTO odd VALUES
    (1, '"\u0000"', NULL), (2, '"\ud800"', NULL), (3, '["\ud83d\ude00", "\u00e9", "\\u0000"]', NULL), (4, '1e999999', NULL), (5, '{"a": 1.5e-30}', NULL),
    (6, ('[' || repeat('9', 2000) || ']')::json, NULL), (7, (repeat('[', 1500) || repeat(']', 1500))::json, NULL),
    (8, NULL, '{"\"\\u0000\"", "1"}'), (9, '"\udc00\ud800"', NULL), (10, '{"\\": "\""}', NULL),
    (11, ('[[]' || repeat(', {}', 1500) || ']')::json, NULL), (12, (repeat('[', 999) || repeat(']', 999))::json, NULL), (13, (repeat('[', 1000) || repeat(']', 1000))::json, NULL),
    (14, NULL, ARRAY[repeat('[', 998) || repeat(']', 998)]::json[]), (15, NULL, ARRAY[repeat('[', 999) || repeat(']', 999)]::json[]),
    (16, NULL, '{{1,2},{3,"[4]"}}');
INSERT INTO odd (id, jb) VALUES (17, (repeat('["\"[",', 999) || '1' || repeat(']', 999))::jsonb), (18, (repeat('["\"[",', 1000) || '1' || repeat(']', 1000))::jsonb);
SELECT key, json_typeof(new -> 'j') AS j, json_typeof(new -> 'ja') AS ja, json_typeof(new -> 'ja' -> 0) AS ja_0, json_typeof(new -> 'jb') AS jb,
       CASE WHEN length(new::text) < 100 THEN new END AS new, (ledger.audit_change(id)).new = new::jsonb AS same
FROM ledger.audit_log WHERE relation = 'audited.odd' AND operation = 'INSERT' ORDER BY id;
SELECT set_config('test.seen', max(id)::text, false) IS NULL FROM ledger.audit_log;

-- Long values, compressed and out of line, in old, new and key.
CREATE TABLE long (id text PRIMARY KEY, a text, b bytea);
ALTER TABLE long ALTER a SET STORAGE EXTERNAL;
SELECT ledger.enable_audit('long');
INSERT INTO long SELECT 'k' || i, string_agg(md5(n::text), '"'), '\x00' FROM (VALUES (1, 300), (2, 40000)) AS v (i, size), generate_series(1, v.size) AS n GROUP BY i;
UPDATE long SET b = decode(repeat('ab', 10000), 'hex');
DELETE FROM long;
SELECT operation, key, length(old ->> 'a') AS old, length(new ->> 'a') AS new, length(new ->> 'b') AS b,
       old ->> 'a' IS NOT DISTINCT FROM lag(new ->> 'a') OVER (PARTITION BY key::text ORDER BY id) AS follows
FROM ledger.audit_log WHERE relation = 'audited.long' AND key IS NOT NULL ORDER BY id;
SELECT set_config('test.seen', max(id)::text, false) IS NULL FROM ledger.audit_log;

-- Arrays and composite values, by the types of their parts; none is lost, and those that no JSON
-- array can tell are PostgreSQL's text.
CREATE TYPE mark AS (size smallint, "at ""x""" timestamptz, gone text, tags text[]);
ALTER TYPE mark DROP ATTRIBUTE gone;
CREATE TYPE stretch AS (name name, marks mark[], note json);
CREATE DOMAIN marked AS stretch CHECK ((VALUE).name IS DISTINCT FROM 'bad');
CREATE TYPE moods AS RANGE (subtype = mood);
CREATE TABLE nested (
    id integer, a integer[], l stretch, ld marked, la stretch[], da positive[], ts timestamp[], iv interval[], by bytea[], js json[], jb jsonb[],
    m mood[], r moods, ra moods[], mr nummultirange, p point[], b boolean[]);
SELECT ledger.enable_audit('nested');
INSERT INTO nested VALUES
    (1, '{1,NULL}', '(n,"{""(1,2026-02-03 04:05+03,\\""{a,NULL}\\"")"",NULL}","[1]")', '(d,,)', '{"(a,,)",NULL}', '{7}',
     '{2026-02-03 04:05}', '{1 day}', '{"\\x00ff"}', '{"{\"x\": [1]}",NULL,3}', '{"{\"a\": 1}"}', '{ok}', '[sad,ok]', '{"[sad,sad]",empty}', '{[1.50,2)}', '{"(1,2.5)"}', '{t,f}'),
    (2, '[0:1]={1,2}', '(,,)', NULL, '[5:5]={"(a,,)"}', '[2:2]={7}',
     '[-1:0]={2026-02-03 04:05,infinity}', '[0:0]={1 day}', '[0:0]={"\\x00ff"}', '{{1},{"[2]"}}', '[0:0]={1}', '[0:0]={ok}', NULL, '[0:0]={"[sad,sad]"}', '{}', '[0:0]={"(1,2.5)"}', '[0:0]={t}'),
    (3, '[1:1][1:2][0:0]={{{1},{2}}}', '(n,"[0:0]={""(1,,)""}",)', NULL, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', NULL, '{}', '{}', '{}', '{}'),
    (4, '{{{1,2}},{{3,NULL}}}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT helper.logged();
SELECT count(*) FROM nested AS n JOIN ledger.audit_log AS l ON l.relation = 'audited.nested' AND (l.new ->> 'id')::integer = n.id
WHERE json_populate_record(NULL::nested, l.new)::text = n::text;
CREATE TABLE lists (v int2vector, ov oidvector, va int2vector[], wa words[]);
SELECT ledger.enable_audit('lists');
INSERT INTO lists VALUES ('1 2', '3 4', '{"1 2",3}', '{"{a}","{b,c}"}'), ('', '', '{}', '{}'), ('7', '8', '{{1,2},{"3 4",5}}', '{{"{a}"}}'),
    (NULL, NULL, '[0:0]={1}', '[0:0]={"{a}"}'), (NULL, NULL, NULL, '{"{{a}}"}');
SELECT helper.logged();

-- A cast to json is not run, whoever made it: not one that lies, raises, acts as the writer, or
-- leaves a setting behind.
CREATE TYPE verdict AS ENUM ('yes', 'no');
CREATE TYPE span AS RANGE (subtype = integer);
CREATE TYPE finding AS (v verdict, s span);
CREATE TABLE taken (who name);
CREATE FUNCTION lie(verdict) RETURNS json LANGUAGE plpgsql SET timezone = 'Asia/Tokyo' AS $$
BEGIN
    INSERT INTO audited.taken VALUES (current_user);
    RETURN '"yes"';
END
$$;
CREATE FUNCTION stop(span) RETURNS json LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not today'; END$$;
CREATE CAST (verdict AS json) WITH FUNCTION lie(verdict);
CREATE CAST (span AS json) WITH FUNCTION stop(span);
CREATE TABLE trial (v verdict, va verdict[], f finding, fa finding[], t timestamptz[]);
SELECT ledger.enable_audit('trial');
SET timezone = 'America/St_Johns';
SELECT helper.outcome($$INSERT INTO audited.trial VALUES ('no', '{no}', '(no,)', '{"(no,)"}', '{2026-02-03 04:05Z}') RETURNING 'kept'$$);
RESET timezone;
SELECT helper.outcome($$INSERT INTO audited.trial (f, fa) VALUES ('(no,"[1,2]")', '{"(no,\"[1,2]\")"}') RETURNING 'kept'$$);
SELECT helper.logged();
SELECT * FROM taken;

-- Names of objects and money are the same in every session.
CREATE SCHEMA other;
CREATE TABLE other.named (id integer);
CREATE FUNCTION other.named(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE TYPE holder AS (c regclass, m money);
CREATE TABLE named (c regclass, p regproc, pr regprocedure, o regoper, t regtype, ns regnamespace, ro regrole, cfg regconfig, ca regclass[], h holder, m money, ma money[]);
SELECT ledger.enable_audit('named');
CREATE TABLE names AS SELECT 'other.named'::regclass AS c, 'other.named'::regproc AS p, 'other.named(integer)'::regprocedure AS pr, 'pg_catalog.||/'::regoper AS o, 'other.named'::regtype AS t,
    'other'::regnamespace AS ns, 'pg_monitor'::regrole AS ro, 'english'::regconfig AS cfg, '{other.named,pg_class,named}'::regclass[] AS ca, '(named,1)'::holder AS h, 1234.5::money AS m, '{1,2}'::money[] AS ma;
INSERT INTO named SELECT * FROM names;
SET search_path = other, audited, pg_catalog; SET quote_all_identifiers = on;
INSERT INTO audited.named SELECT * FROM audited.names;
SET search_path = ''; SET quote_all_identifiers = off;
INSERT INTO audited.named SELECT * FROM audited.names;
SHOW search_path;
SET search_path = audited;
SELECT count(*), count(DISTINCT new::text), min(new::text) FROM ledger.audit_log WHERE relation = 'audited.named' AND operation = 'INSERT';
-- So is each kind of them by itself.
DO $$
DECLARE
    names record;
    path text;
BEGIN
    FOR names IN SELECT attname, format_type(atttypid, NULL) AS type FROM pg_attribute WHERE attrelid = 'audited.names'::regclass AND attnum > 0 LOOP
        EXECUTE format('CREATE TABLE audited.alone_%s (v %s)', names.attname, names.type);
        PERFORM ledger.enable_audit(('audited.alone_' || names.attname)::regclass);
        FOREACH path IN ARRAY '{"other, audited","",audited}'::text[] LOOP
            PERFORM set_config('search_path', path, true);
            EXECUTE format('INSERT INTO audited.alone_%s SELECT %s FROM audited.names', names.attname, names.attname);
        END LOOP;
    END LOOP;
END
$$;
SELECT count(*), count(DISTINCT new::text), min(new::text) FROM ledger.audit_log WHERE relation LIKE 'audited.alone%' AND operation = 'INSERT' GROUP BY relation ORDER BY relation;
SELECT set_config('test.seen', max(id)::text, false) IS NULL FROM ledger.audit_log;
-- The session's settings are its own again, after an error too.
SET search_path = other, audited; SET timezone = 'America/St_Johns';
CREATE TYPE audited.deep_0 AS (c regclass);
DO $$
BEGIN
    FOR i IN 1..1000 LOOP
        EXECUTE format('CREATE TYPE audited.deep_%s AS (d audited.deep_%s)', i, i - 1);
    END LOOP;
END
$$;
CREATE TABLE audited.deep (c regclass, d deep_1000, e deep_900);
SELECT ledger.enable_audit('audited.deep');
SELECT helper.outcome(format('INSERT INTO audited.deep (c, d) VALUES (%L, %s%L%s)', 'other.named', repeat('ROW(', 1001), 'named', repeat(')', 1001)));
SHOW search_path;
SHOW timezone;
INSERT INTO deep (c) VALUES ('named');
RESET timezone;
SELECT helper.outcome(format('INSERT INTO audited.deep (e) VALUES (%s%L%s) RETURNING ''kept''', repeat('ROW(', 901), 'named', repeat(')', 901)));
SELECT length(new::text), right(new::text, 920) LIKE '{"c":"other.named"}}}%' FROM ledger.audit_log WHERE relation = 'audited.deep' AND new ->> 'e' IS NOT NULL;
SET search_path = audited;
SELECT new -> 'c' FROM ledger.audit_log WHERE relation = 'audited.deep' AND new ->> 'c' IS NOT NULL;
SET client_min_messages = warning;
DROP TYPE deep_0 CASCADE;
RESET client_min_messages;

-- jsonb of one record, by its id.
CREATE TABLE wide (id integer PRIMARY KEY, j json);
SELECT ledger.enable_audit('wide');
INSERT INTO wide VALUES (1, '{"a": 1}'), (2, (repeat('[', 990) || repeat(']', 990))::json), (3, ('[' || repeat('1e9999,', 120000) || '1]')::json);
DELETE FROM wide WHERE id = 1;
SELECT sum(length(key::text) + length(new::text)) FROM ledger.audit_log WHERE relation = 'audited.wide' AND operation = 'INSERT';
SELECT l.operation, c.* FROM ledger.audit_log AS l, ledger.audit_change(l.id) AS c WHERE l.relation = 'audited.wide' AND c.key @> '{"id": 1}' ORDER BY l.id;
SELECT helper.outcome($$SELECT ledger.audit_change(1)$$);
SELECT helper.outcome($$SELECT ledger.audit_change(NULL)$$);
SELECT count(*) FROM ledger.audit_log WHERE relation = 'audited.wide' AND relation_oid <> 'wide'::regclass;
SELECT set_config('test.seen', max(id)::text, false) IS NULL FROM ledger.audit_log;

-- No primary key; one of two columns in another order; none of the columns left.
CREATE TABLE loose (a integer, b text);
CREATE TABLE two (a integer, "b ""x""" text, c integer, PRIMARY KEY (c, a));
CREATE TABLE single (secret text);
CREATE TABLE bare ();
SELECT ledger.enable_audit('loose'), ledger.enable_audit('two'), ledger.enable_audit('single', '{secret}'), ledger.enable_audit('bare');
INSERT INTO loose VALUES (1, 'x');
INSERT INTO two VALUES (1, 'x', 2);
INSERT INTO single VALUES ('s');
INSERT INTO bare DEFAULT VALUES;
SELECT helper.logged();

-- Excluded columns, and tables that change.
CREATE TABLE account (id integer PRIMARY KEY, login text, password text, "Tax id" text);
SELECT ledger.enable_audit('account', '{password,"Tax id"}');
INSERT INTO account VALUES (1, 'ann', 'secret', 'secret');
UPDATE account SET password = 'another secret';
ALTER TABLE account ADD COLUMN age integer DEFAULT 5;
UPDATE account SET login = 'Ann';
ALTER TABLE account RENAME COLUMN login TO "log ""in""";
ALTER TABLE account DROP COLUMN age;
UPDATE account SET password = 'x';
ALTER TABLE account ALTER COLUMN id TYPE text;
INSERT INTO account VALUES ('b', 'bob');
ALTER TABLE account RENAME TO "Account";
ALTER SCHEMA audited RENAME TO "Audited";
SET search_path = "Audited";
DELETE FROM "Account" WHERE id = 'b';
ALTER SCHEMA "Audited" RENAME TO audited;
SET search_path = audited;
SELECT helper.logged();
ALTER TABLE "Account" RENAME COLUMN password TO pass;
SELECT helper.outcome($$UPDATE audited."Account" SET id = 'c'$$);
SELECT helper.outcome($$DELETE FROM audited."Account"$$);
SELECT helper.outcome($$INSERT INTO audited."Account" VALUES ('d')$$);
SELECT ledger.enable_audit('"Account"', '{pass,"Tax id"}');
UPDATE "Account" SET pass = 'another secret';
ALTER TABLE "Account" DROP COLUMN "Tax id";
SELECT helper.outcome($$UPDATE audited."Account" SET id = 'c'$$);
SELECT ledger.enable_audit('"Account"', '{pass}');
ALTER TABLE "Account" DROP CONSTRAINT account_pkey, ADD PRIMARY KEY (pass);
SELECT helper.outcome($$UPDATE audited."Account" SET id = 'c'$$);
SELECT count(*) FROM ledger.audit_records WHERE concat(key, old, new) ~ ':"(another )?secret"';
SELECT ledger.enable_audit('"Account"');
UPDATE "Account" SET pass = 'no secret any more';
SELECT ledger.disable_audit('"Account"');
UPDATE "Account" SET pass = 'not logged';
SELECT helper.logged();

-- Savepoints and EXCEPTION blocks: what was rolled back is not logged, all else is.
TRUNCATE item;
BEGIN;
INSERT INTO item VALUES (1, 'kept');
SAVEPOINT a;
INSERT INTO item VALUES (2, 'gone');
SAVEPOINT b;
INSERT INTO item VALUES (3, 'gone');
RELEASE b;
ROLLBACK TO a;
INSERT INTO item VALUES (4, 'kept');
RELEASE a;
SELECT operation, key FROM ledger.audit_log WHERE relation = 'audited.item' ORDER BY id DESC LIMIT 2;
COMMIT;
BEGIN;
INSERT INTO item VALUES (5, 'gone');
ROLLBACK;
-- A trigger on an audited table that writes to audited tables, in subtransactions.
CREATE TABLE note (id integer, of integer, depth integer);
SELECT ledger.enable_audit('note');
CREATE FUNCTION take_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        INSERT INTO audited.note VALUES (1, NEW.id, pg_trigger_depth());
    EXCEPTION WHEN division_by_zero THEN NULL;
    END;
    BEGIN
        INSERT INTO audited.note VALUES (2, NEW.id, pg_trigger_depth());
        UPDATE audited.item SET name = name || '!' WHERE id = NEW.id AND name NOT LIKE '%!';
        PERFORM 1 / (NEW.id % 2);
    EXCEPTION WHEN division_by_zero THEN NULL;
    END;
    RETURN NULL;
END
$$;
CREATE TRIGGER note AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION take_note();
INSERT INTO item VALUES (10, 'even'), (11, 'odd'), (12, 'even');
SELECT helper.logged();
SELECT * FROM item WHERE id >= 10 ORDER BY id;
SELECT helper.outcome($$INSERT INTO audited.item VALUES (13, 'gone'), (13, 'twice')$$);
-- Many rows within a subtransaction of a row's trigger: more than are gathered.
CREATE FUNCTION take_many() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audited.loose SELECT i FROM generate_series(1, 9000) AS i;
    PERFORM 1 / (NEW.id % 2);
    RETURN NULL;
EXCEPTION WHEN division_by_zero THEN
    RETURN NULL;
END
$$;
DROP TRIGGER note ON item;
CREATE TRIGGER many AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION take_many();
INSERT INTO item VALUES (30, 'even'), (31, 'odd'), (32, 'even');
SELECT relation, operation, count(*) FROM ledger.audit_log WHERE id > current_setting('test.seen')::bigint GROUP BY 1, 2 ORDER BY 1;
SELECT set_config('test.seen', max(id)::text, false) IS NULL FROM ledger.audit_log;
DROP TRIGGER many ON item;
-- Constraint triggers that are deferred, and a cursor open meanwhile.
CREATE CONSTRAINT TRIGGER note AFTER UPDATE ON item DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION take_note();
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM item WHERE id >= 31 ORDER BY id FOR UPDATE;
FETCH c;
UPDATE item SET name = 'current' WHERE CURRENT OF c;
FETCH c;
COMMIT;
SELECT helper.logged();
DROP TRIGGER note ON item;

-- Foreign keys: what a cascade does is logged where it happens.
CREATE TABLE parent (id integer PRIMARY KEY);
CREATE TABLE child (id integer PRIMARY KEY, parent integer REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
SELECT ledger.enable_audit('parent'), ledger.enable_audit('child');
INSERT INTO parent VALUES (1), (2);
INSERT INTO child VALUES (1, 1), (2, 1), (3, 2);
UPDATE parent SET id = 3 WHERE id = 2;
DELETE FROM parent WHERE id = 1;
TRUNCATE parent, child;
SELECT helper.logged();

-- Partitions, present and future; one of them by itself; rows that move.
CREATE TABLE part (id integer, region text, note text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE part_eu (note text, gone integer, region text NOT NULL, id integer NOT NULL);
ALTER TABLE part_eu DROP COLUMN gone;
ALTER TABLE part ATTACH PARTITION part_eu FOR VALUES IN ('eu');
SELECT ledger.enable_audit('part', '{note}');
CREATE TABLE part_us PARTITION OF part FOR VALUES IN ('us');
CREATE TABLE part_as PARTITION OF part FOR VALUES IN ('as') PARTITION BY RANGE (id);
CREATE TABLE part_as_1 PARTITION OF part_as FOR VALUES FROM (0) TO (100);
INSERT INTO part VALUES (1, 'eu', 'x'), (2, 'us', 'x'), (3, 'as', 'x');
INSERT INTO part_eu VALUES ('x', 'eu', 4);
UPDATE part SET region = 'us' WHERE id = 4;
DELETE FROM part_as WHERE id = 3;
TRUNCATE part_eu;
TRUNCATE part;
SELECT helper.logged();
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgrelid::regclass::text LIKE 'part%' AND NOT tgisinternal ORDER BY 1, 2;
SELECT helper.outcome($$SELECT ledger.enable_audit('audited.part_us')$$);
SELECT helper.outcome($$SELECT ledger.disable_audit('audited.part_us')$$);
SELECT ledger.enable_audit('part');
INSERT INTO part VALUES (5, 'as', 'now logged');
ALTER TABLE part DETACH PARTITION part_us;
INSERT INTO part_us VALUES (6, 'us', 'detached');
SELECT ledger.enable_audit('part_us');
INSERT INTO part_us VALUES (7, 'us', 'detached, audited');
SELECT ledger.disable_audit('part');
INSERT INTO part VALUES (8, 'eu', 'not logged');
TRUNCATE part_eu;
SELECT ledger.disable_audit('part_us');
ALTER TABLE part ATTACH PARTITION part_us FOR VALUES IN ('us');
SELECT ledger.enable_audit('part_us'), ledger.enable_audit('part');
INSERT INTO part VALUES (9, 'us', 'once');
SELECT helper.logged();
SELECT ledger.disable_audit('part');
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'ledger_audit%' AND tgrelid::regclass::text LIKE 'part%';
SELECT helper.logged();

-- What cannot be audited.
CREATE VIEW seen AS SELECT 1 AS x;
CREATE TEMPORARY TABLE fleeting (id integer);
SELECT helper.outcome($$SELECT ledger.enable_audit(NULL)$$);
SELECT helper.outcome($$SELECT ledger.disable_audit(NULL)$$);
SELECT helper.outcome($$SELECT ledger.enable_audit(0)$$);
SELECT helper.outcome($$SELECT ledger.disable_audit(4294967295)$$);
SELECT helper.outcome($$SELECT ledger.enable_audit('audited.seen')$$);
SELECT left(helper.outcome($$SELECT ledger.enable_audit('audited.item_pkey')$$), 5);
SELECT regexp_replace(helper.outcome($$SELECT ledger.enable_audit('pg_temp.fleeting')$$), 'pg_temp_\d+', 'pg_temp_N');
SELECT helper.outcome($$SELECT ledger.enable_audit('ledger_data.transfer')$$);
SELECT helper.outcome($$SELECT ledger.enable_audit('ledger_data.audit')$$);
SELECT helper.outcome($$SELECT ledger.enable_audit('pg_catalog.pg_class')$$);
SELECT helper.outcome($$SELECT ledger.enable_audit('information_schema.sql_features')$$);
SELECT helper.outcome($$SELECT ledger.enable_audit('audited.item', '{price,secret}')$$);
SELECT helper.outcome($$SELECT ledger.enable_audit('audited.item', '{NULL}')$$);
SELECT helper.outcome($$SELECT ledger.enable_audit('audited.item', '{id}')$$);
SELECT helper.outcome($$SELECT ledger.enable_audit('audited.item', '{ctid}')$$);
SELECT helper.outcome($$SELECT ledger.disable_audit('audited.told')$$);
SELECT helper.outcome($$SELECT ledger.audit()$$);
CREATE TRIGGER early BEFORE INSERT ON told FOR EACH ROW EXECUTE FUNCTION ledger.audit();
SELECT helper.outcome($$INSERT INTO audited.told VALUES ('a')$$);
BEGIN TRANSACTION READ ONLY;
SELECT helper.outcome($$SELECT ledger.enable_audit('audited.item')$$);
COMMIT;
-- The log is append-only, to a superuser too.
SELECT helper.outcome($$UPDATE ledger_data.audit SET actor = 'nobody'$$);
SELECT helper.outcome($$DELETE FROM ledger_data.audit$$);
SELECT helper.outcome($$TRUNCATE ledger_data.audit$$);
SELECT helper.outcome($$INSERT INTO ledger_data.audit SELECT * FROM ledger_data.audit LIMIT 1$$);

-- Roles: an owner with operator access, a writer without any right on the ledger, a stranger.
CREATE ROLE ledger_test_owner;
CREATE ROLE ledger_test_writer;
SELECT ledger.grant_access('ledger_test_owner', 'operator');
GRANT ALL ON SCHEMA audited TO ledger_test_owner, ledger_test_writer;
SET ROLE ledger_test_owner;
CREATE TABLE owned (id integer PRIMARY KEY, note text);
SELECT ledger.enable_audit('owned');
GRANT ALL ON owned TO ledger_test_writer;
GRANT TRIGGER ON owned TO ledger_test_writer;
CREATE FUNCTION add_owned(id integer) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO audited.owned VALUES (id)';
RESET ROLE;
SET ROLE ledger_test_writer;
INSERT INTO owned VALUES (1, 'by the writer');
SELECT add_owned(2);
TRUNCATE owned;
RESET ROLE;
GRANT USAGE ON SCHEMA helper, ledger TO ledger_test_writer;
SET ROLE ledger_test_writer;
SELECT helper.outcome($$SELECT ledger.disable_audit('audited.owned')$$);
SELECT helper.outcome($$SELECT count(*) FROM ledger.audit_log$$);
SELECT helper.outcome($$SELECT count(*) FROM ledger_data.audit$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION ledger.enable_audit, ledger.disable_audit TO ledger_test_writer;
SET ROLE ledger_test_writer;
SELECT helper.outcome($$SELECT ledger.disable_audit('audited.owned')$$);
SELECT helper.outcome($$SELECT ledger.enable_audit('audited.owned')$$);
RESET ROLE;
SELECT ledger.grant_access('ledger_test_writer', 'auditor');
SET ROLE ledger_test_writer;
SELECT operation, key, actor = session_user AS as_actor, acting_as FROM ledger.audit_log WHERE relation = 'audited.owned' ORDER BY id;
SELECT count(*) > 0 FROM ledger.audit_records;
SELECT count(*) >= 0 FROM ledger.transfer_records;
RESET ROLE;
SET ROLE ledger_test_owner;
SELECT ledger.disable_audit('owned');
RESET ROLE;
SET session_replication_role = replica;
INSERT INTO item VALUES (40, 'replica');
RESET session_replication_role;
SELECT helper.logged();

-- The chain: gapless from 1 in each lane, ids growing with it, and nothing else wrong.
SELECT count(*) FROM (SELECT seq, row_number() OVER (PARTITION BY lane ORDER BY id) AS n FROM ledger_data.audit) AS t WHERE seq <> n;
SELECT count(*) FROM ledger_data.audit WHERE (id >> 6) & 1023 <> lane OR length(hash) <> 32;
SELECT count(*) FROM ledger.audit_records AS r JOIN ledger_data.audit AS a USING (id) WHERE timestamptz 'epoch' + r.at_us * interval '1 microsecond' <> a.at OR r.hash <> encode(a.hash, 'hex');
SELECT count(*) FROM ledger.transfer_records AS r JOIN ledger_data.transfer AS t USING (id) WHERE timestamptz 'epoch' + r.created_us * interval '1 microsecond' <> t.created_at OR r.metadata::jsonb <> t.metadata;
SELECT * FROM ledger.check_invariants();
\a \t
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA audited CASCADE;
SELECT ledger.revoke_access('ledger_test_owner'), ledger.revoke_access('ledger_test_writer');
REVOKE ALL ON SCHEMA helper FROM ledger_test_writer;
DROP ROLE ledger_test_owner, ledger_test_writer;
