-- Seals, digests, verification, proofs. Hashes and ids differ from run to run: what
-- they are, test/unit/chain_test.cpp and test/t/028_tamper.pl check.
\set SHOW_CONTEXT never

-- A ledger of its own.
SET client_min_messages = warning;
SET ledger.allow_drop = on;
DROP EXTENSION ledger CASCADE;
RESET ledger.allow_drop;
RESET client_min_messages;
CREATE EXTENSION ledger;
SELECT ledger.seal() IS NULL AS nothing_to_seal, ledger.digest() IS NULL AS no_digest;
SELECT * FROM ledger.verify();
SELECT ledger.create_asset('EUR', 2);
SELECT count(ledger.open_account(account, 'EUR', floor => NULL)) FROM unnest('{s:world,s:a}'::text[]) AS account;
SELECT ledger.seal() IS NULL AS still_nothing;

SELECT count(ledger.transfer('s:world', 's:a', i)) FROM generate_series(1, 7) AS i;
SELECT ledger.seal();
SELECT ledger.seal() AS the_same;
SELECT count(ledger.transfer('s:world', 's:a', i, metadata => '{"naïve": 1.50, "b": null}')) FROM generate_series(1, 2) AS i;
-- A seal is of what has committed: not of its own transaction's records, nor of those
-- that a statement has linked and not written yet.
BEGIN;
SELECT ledger.transfer('s:world', 's:a', 1) > 0 AS made;
SAVEPOINT s;
SELECT ledger.transfer('s:world', 's:a', 1) > 0 AS made;
ROLLBACK TO s;
SELECT ledger.seal();
SELECT * FROM ledger.verify();
SELECT ledger.transfer('s:world', 's:a', 1) > 0 AS made;
SELECT ledger.digest() ->> 'seal' AS of_a_seal_that_committed;
COMMIT;
SELECT * FROM ledger.verify();
SELECT number, transfers, audits, length(heads) / 86 AS lanes,
       length(transfer_root) AS root, length(previous) AS previous, length(hash) AS hash
FROM ledger.seal_records ORDER BY number;
SELECT s.number, s.previous = COALESCE(p.hash, repeat('0', 64)) AS chained
FROM ledger.seal_records AS s LEFT JOIN ledger.seal_records AS p ON p.number = s.number - 1 ORDER BY s.number;

-- Records, field by field.
SELECT kind, amount, ref, metadata, lane = (id >> 6 & 1023) AS lane_of_id, length(hash) AS hash,
       created_us = (SELECT EXTRACT(epoch FROM t.created_at) * 1000000 FROM ledger.transfers AS t WHERE t.id = r.id) AS time
FROM ledger.transfer_records AS r ORDER BY id DESC LIMIT 2;
SELECT lane, count(*) = max(seq) AND min(seq) = 1 AS gapless FROM (SELECT dense_rank() OVER (ORDER BY lane) AS lane, seq FROM ledger.transfer_records) AS r
GROUP BY lane ORDER BY lane;

-- Digests.
SELECT (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(d) AS k) AS fields, d ->> 'version' AS version, d ->> 'seal' AS seal,
       d ->> 'database' = current_database() AS database, d ->> 'hash' = s.hash AS hash,
       (d ->> 'sealed_at')::timestamptz = 'epoch'::timestamptz + s.sealed_us * interval '1 microsecond' AS sealed_at
FROM (SELECT ledger.digest()) AS x (d), ledger.seal_records AS s WHERE s.number = 2;
SELECT * FROM ledger.verify_digest(ledger.digest());
SELECT scope, seq, problem FROM ledger.verify_digest(ledger.digest() || '{"seal": 1}');
SELECT scope, seq, problem FROM ledger.verify_digest(ledger.digest() || '{"seal": 3}');
SELECT helper.outcome($$SELECT problem FROM ledger.verify_digest(NULL)$$);
SELECT * FROM ledger.verify_digest('{}');
SELECT * FROM ledger.verify_digest('[1]');
SELECT * FROM ledger.verify_digest(ledger.digest() || '{"version": 2}') AS d (a, b, c, d, e) WHERE false;
SELECT count(*) FROM ledger.verify_digest('{"version": 1, "seal": 1e3, "hash": "00"}');
SELECT count(*) FROM ledger.verify_digest('{"version": 1, "seal": "1", "hash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}');

-- Scopes.
SELECT * FROM ledger.verify('transfers');
SELECT * FROM ledger.verify('audit');
SELECT helper.outcome($$SELECT problem FROM ledger.verify('all')$$);
SELECT * FROM ledger.verify_progress;

-- Proofs: every record that is sealed, under its seal, recomputed here.
CREATE FUNCTION climb(proof jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hash bytea := sha256(decode(proof ->> 'previous', 'hex') || decode(proof ->> 'record', 'hex'));
    at   bigint := (proof ->> 'index')::bigint;
    last bigint := (proof ->> 'size')::bigint - 1;
    path text[] := ARRAY(SELECT jsonb_array_elements_text(proof -> 'path'));
    used int := 0;
BEGIN
    hash := sha256('\x00'::bytea || hash);
    WHILE last > 0 LOOP
        IF at % 2 = 1 THEN
            used := used + 1;
            hash := sha256('\x01'::bytea || decode(path[used], 'hex') || hash);
        ELSIF at < last THEN
            used := used + 1;
            hash := sha256('\x01'::bytea || hash || decode(path[used], 'hex'));
        END IF;
        at := at / 2;
        last := last / 2;
    END LOOP;
    RETURN CASE WHEN used = cardinality(path) THEN encode(hash, 'hex') END;
END
$$;
SELECT p -> 'seal' ->> 'number' AS seal, p ->> 'index' AS index, p ->> 'size' AS size, jsonb_array_length(p -> 'path') AS path,
       climb(p) = p -> 'seal' ->> 'transfer_root' AS under_the_root, p ->> 'scope' AS scope, (p ->> 'id')::bigint = r.id AS id
FROM ledger.transfer_records AS r CROSS JOIN LATERAL (SELECT ledger.inclusion_proof(r.id)) AS x (p)
WHERE r.id IN (SELECT id FROM ledger.transfer_records ORDER BY id LIMIT 9) ORDER BY r.id;
SELECT (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(ledger.inclusion_proof(min(id)) -> 'seal') AS k) AS of_the_seal FROM ledger.transfer_records;
DO $$ BEGIN PERFORM ledger.inclusion_proof(max(id)) FROM ledger.transfer_records;
EXCEPTION WHEN object_not_in_prerequisite_state THEN RAISE NOTICE '%', regexp_replace(sqlerrm, '\d+', 'N'); END $$;
SELECT helper.outcome($$SELECT ledger.inclusion_proof(7)$$);
SELECT helper.outcome($$SELECT ledger.inclusion_proof(NULL)$$);
SELECT jsonb_array_length(ledger.consistency_proof(1) -> 'seals') AS seals, ledger.consistency_proof(1) = ledger.consistency_proof(1, 2) AS newest,
       ledger.consistency_proof(2, 2) -> 'seals' -> 0 ->> 'hash' = ledger.digest() ->> 'hash' AS the_digests;
SELECT helper.outcome($$SELECT ledger.consistency_proof(2, 1)$$);
SELECT helper.outcome($$SELECT ledger.consistency_proof(0, 1)$$);
SELECT helper.outcome($$SELECT ledger.consistency_proof(1, 3)$$);
SELECT helper.outcome($$SELECT ledger.consistency_proof(NULL)$$);

-- A batch that is interrupted by holds that expire has records linked whose rows come later.
SELECT ledger.open_account('s:poor', 'EUR') > 0 AS opened, ledger.transfer('s:world', 's:poor', 90) > 0 AS made;
SELECT count(ledger.hold('s:poor', 's:a', 45, ttl => '1 ms')) FROM generate_series(1, 2);
SELECT pg_sleep(0.01);
SELECT ordinal, status, ledger.seal() FROM ledger.transfer_batch('{s:poor,s:poor}', '{s:a,s:a}', '{5,50}', NULL, false);
SELECT * FROM ledger.verify();

-- What is refused.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT ledger.seal();
ROLLBACK;
BEGIN READ ONLY;
SELECT ledger.seal();
ROLLBACK;
BEGIN;
SELECT ledger.seal();
PREPARE TRANSACTION 'seal';
SELECT helper.outcome($$UPDATE ledger_data.seal SET hash = hash$$);
SELECT helper.outcome($$DELETE FROM ledger_data.seal$$);
SELECT helper.outcome($$TRUNCATE ledger_data.seal$$);
SELECT helper.outcome($$INSERT INTO ledger_data.seal SELECT * FROM ledger_data.seal$$);
SET ledger.signing_key_file = '/tmp/key';
SELECT * FROM ledger.check_invariants();
SELECT * FROM ledger.verify();
DROP FUNCTION climb;
