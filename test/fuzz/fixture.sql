-- What the fuzzers work on: a ledger with some of everything in it, relations of
-- every kind, a role of each access level and one of none.
CREATE EXTENSION ledger;

SELECT ledger.create_asset('USD', 2), ledger.create_asset('JPY'), ledger.create_asset('BTC', 18);
SELECT ledger.open_account('world', 'USD', floor => NULL), ledger.open_account('yen', 'JPY', floor => NULL),
       ledger.open_account('coin', 'BTC', floor => NULL), ledger.open_account('frozen', 'USD'),
       ledger.open_account('closed', 'USD'), ledger.open_account('bounded', 'USD', ceiling => 10);
SELECT ledger.open_account('a' || i, 'USD') FROM generate_series(0, 9) AS i;
SELECT ledger.transfer('world', 'a' || i, 1000 + i) FROM generate_series(0, 9) AS i;
SELECT ledger.transfer('coin', ledger_coin, 1) FROM (SELECT 'c0' AS ledger_coin, ledger.open_account('c0', 'BTC')) AS x;
SELECT ledger.create_stock('s' || i, 1000) FROM generate_series(0, 4) AS i;
SELECT ledger.deduct_stock('s' || i, 10) FROM generate_series(0, 4) AS i;
SELECT ledger.hold('a' || i, 'a0', 1) FROM generate_series(1, 9) AS i;
SELECT ledger.reserve_stock('s' || i, 1) FROM generate_series(0, 4) AS i;
SELECT ledger.tcc_begin('x' || i, '1 day') FROM generate_series(0, 9) AS i;
SELECT ledger.tcc_freeze('x' || i, 'b0', 'a' || i, 'world', 1) FROM generate_series(0, 9) AS i;
SELECT ledger.begin_request('r' || i) FROM generate_series(0, 9) AS i;
SELECT ledger.add_client('shop', repeat('s', 32));
SELECT ledger.freeze_account('frozen'), ledger.close_account('closed');

CREATE SCHEMA fuzz;
CREATE TABLE fuzz.plain (id bigint PRIMARY KEY, name text, price numeric, tags text[], at timestamptz);
CREATE TABLE fuzz.no_key (name text);
CREATE TABLE fuzz."Odd ""name" (id int PRIMARY KEY, "a column" text);
CREATE TABLE fuzz.parted (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE fuzz.part PARTITION OF fuzz.parted FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE fuzz.child () INHERITS (fuzz.no_key);
CREATE UNLOGGED TABLE fuzz.unlogged (id int PRIMARY KEY);
CREATE VIEW fuzz.a_view AS SELECT * FROM fuzz.plain;
CREATE MATERIALIZED VIEW fuzz.a_matview AS SELECT 1 AS one;
CREATE SEQUENCE fuzz.a_sequence;
CREATE TYPE fuzz.a_type AS (x int);
CREATE FOREIGN DATA WRAPPER fuzz_wrapper;
CREATE SERVER fuzz_server FOREIGN DATA WRAPPER fuzz_wrapper;
CREATE FOREIGN TABLE fuzz.a_foreign (x int) SERVER fuzz_server;
SELECT ledger.enable_audit('fuzz.plain', '{price}');
INSERT INTO fuzz.plain SELECT i, 'name ' || i, i, '{a,b}', now() FROM generate_series(1, 20) AS i;
UPDATE fuzz.plain SET name = upper(name) WHERE id % 3 = 0;
SELECT ledger.seal();
DELETE FROM fuzz.plain WHERE id % 5 = 0;
SELECT ledger.transfer('a0', 'a1', 1), ledger.transfer('a1', 'a2', 2, key => 'k0');
SELECT ledger.seal();
SELECT ledger.transfer('a0', 'a1', 1);

CREATE ROLE fuzz_reader;
CREATE ROLE fuzz_writer;
CREATE ROLE fuzz_operator;
CREATE ROLE fuzz_auditor;
CREATE ROLE fuzz_nobody;
CREATE ROLE "fuzz ""odd""";
SELECT ledger.grant_access(('fuzz_' || level)::regrole, level) FROM unnest('{reader,writer,operator,auditor}'::text[]) AS level;

-- Ids that there are: the nth newest of its kind. What was given away before is as good as another.
CREATE FUNCTION fuzz.recent(kind text, n int) RETURNS bigint LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    result bigint;
BEGIN
    EXECUTE format(CASE kind WHEN 'hold' THEN 'SELECT transfer FROM ledger_data.hold ORDER BY transfer DESC OFFSET %s LIMIT 1'
                             WHEN 'account' THEN 'SELECT id FROM ledger_data.account ORDER BY id OFFSET %s LIMIT 1'
                             WHEN 'audit' THEN 'SELECT id FROM ledger_data.audit ORDER BY id DESC OFFSET %s LIMIT 1'
                             WHEN 'seal' THEN 'SELECT number FROM ledger_data.seal ORDER BY number DESC OFFSET %s LIMIT 1'
                             ELSE 'SELECT id FROM ledger_data.transfer ORDER BY id DESC OFFSET %s LIMIT 1' END, n) INTO result;
    RETURN result;
END
$$;

-- The newest digest, with a member set to a value (NULL: taken away).
CREATE FUNCTION fuzz.digest(member text DEFAULT NULL, value jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN member IS NULL THEN d WHEN value IS NULL THEN d - member ELSE jsonb_set(d, ARRAY[member], value) END
    FROM ledger.digest() AS d
$$;

-- A text with the nesting asked for, which jsonb takes or refuses.
CREATE FUNCTION fuzz.nested(depth int) RETURNS jsonb LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT (repeat('[{"a":', depth) || '1' || repeat('}]', depth))::jsonb $$;

GRANT USAGE ON SCHEMA fuzz TO PUBLIC;

-- These are fuzzed too, beside the ledger's own: what random arguments do not meet.
CREATE SCHEMA fuzz_call;
GRANT USAGE ON SCHEMA fuzz_call TO PUBLIC;
CREATE FUNCTION fuzz_call.signed_request(client text, payload text, signed_at timestamptz, nonce text, secret text) RETURNS boolean LANGUAGE sql VOLATILE
AS $$ SELECT ledger.verify_signed_request(client, payload, signed_at, nonce, ledger.sign_request(client, payload, signed_at, nonce, secret)) $$;
CREATE FUNCTION fuzz_call.audited_change(id bigint, name text, price numeric, tags text[], at timestamptz) RETURNS void LANGUAGE sql VOLATILE
AS $$
    INSERT INTO fuzz.plain VALUES (id, name, price, tags, at)
    ON CONFLICT ON CONSTRAINT plain_pkey DO UPDATE SET name = excluded.name, price = excluded.price, tags = excluded.tags, at = excluded.at
$$;
GRANT SELECT, INSERT, UPDATE, DELETE ON fuzz.plain TO PUBLIC;
