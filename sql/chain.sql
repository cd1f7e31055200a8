-- The chain: seals, digests, verification and proofs. What the bytes are that are
-- hashed, docs/chain-format.md says.

CREATE FUNCTION ledger.seal() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'ledger_seal';
COMMENT ON FUNCTION ledger.seal() IS
'Seals what has committed since the last seal and returns the number of the last seal; NULL while nothing was ever recorded. The worker does the same every ledger.seal_interval. One at a time: waits for another to end. In READ COMMITTED only, in a transaction that is not prepared; its commit is flushed to disk.';

CREATE VIEW ledger.seal_records AS
SELECT s.number,
       (EXTRACT(epoch FROM s.sealed_at) * 1000000)::bigint AS sealed_us,
       s.transfers,
       pg_catalog.encode(s.transfer_root, 'hex') AS transfer_root,
       s.audits,
       pg_catalog.encode(s.audit_root, 'hex') AS audit_root,
       s.from_id,
       s.until_id,
       pg_catalog.encode(s.heads, 'hex') AS heads,
       pg_catalog.encode(s.previous, 'hex') AS previous,
       pg_catalog.encode(s.hash, 'hex') AS hash
FROM ledger_data.seal AS s;
COMMENT ON VIEW ledger.seal_records IS 'seals, field by field as they are hashed (docs/chain-format.md): times in microseconds since 1970, hashes in hexadecimal';

-- Digests.

CREATE FUNCTION ledger_data.last_seal(OUT number bigint, OUT sealed_at timestamptz, OUT hash bytea) RETURNS record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_last_seal';
COMMENT ON FUNCTION ledger_data.last_seal() IS 'the last seal that this transaction did not make itself, whatever its snapshot';

CREATE FUNCTION ledger_data.sign_digest(seal bigint, hash bytea, OUT signature bytea, OUT public_key bytea) RETURNS record
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_sign_digest';
COMMENT ON FUNCTION ledger_data.sign_digest(bigint, bytea) IS 'Ed25519 signature of a digest with the key in ledger.signing_key_file; NULLs without one';

CREATE FUNCTION ledger.digest() RETURNS jsonb
    LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
               'version', 1,
               'database', pg_catalog.current_database(),
               'seal', s.number,
               'sealed_at', pg_catalog.to_char(s.sealed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               'hash', pg_catalog.encode(s.hash, 'hex'),
               'signature', pg_catalog.encode(g.signature, 'hex'),
               'public_key', pg_catalog.encode(g.public_key, 'hex')))
    FROM ledger_data.last_seal() AS s
    CROSS JOIN LATERAL ledger_data.sign_digest(s.number, s.hash) AS g
    WHERE s.number IS NOT NULL
$$;
COMMENT ON FUNCTION ledger.digest() IS
'The newest seal in one small JSON object, to keep where this database''s administrators cannot change it: it proves any later change of what was sealed. NULL while there is no seal. Signed if ledger.signing_key_file is set.';

-- Verification.

CREATE FUNCTION ledger_data.verify_seal(number bigint, scope text, OUT scope text, OUT lane integer, OUT seq bigint, OUT id bigint, OUT problem text) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL SAFE ROWS 1 COST 1000000 AS 'MODULE_PATHNAME', 'ledger_verify_seal';
COMMENT ON FUNCTION ledger_data.verify_seal(bigint, text) IS 'checks one seal and the records it covers';

CREATE FUNCTION ledger_data.verify_tail(number bigint, scope text, live bytea, OUT scope text, OUT lane integer, OUT seq bigint, OUT id bigint, OUT problem text) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL SAFE ROWS 1 COST 1000000 AS 'MODULE_PATHNAME', 'ledger_verify_tail';
COMMENT ON FUNCTION ledger_data.verify_tail(bigint, text, bytea) IS 'checks the records past a seal, and that they reach up to the heads given';

CREATE FUNCTION ledger_data.live_heads() RETURNS bytea
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_live_heads';
COMMENT ON FUNCTION ledger_data.live_heads() IS 'the heads of the lanes as the running server knows them, as in a seal; NULL before the first write since its start';

CREATE FUNCTION ledger_data.begin_progress(scope text, sealed bigint) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_begin_progress';
COMMENT ON FUNCTION ledger_data.begin_progress(text, bigint) IS 'shows this session in ledger.verify_progress';

CREATE FUNCTION ledger_data.end_progress() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_end_progress';
COMMENT ON FUNCTION ledger_data.end_progress() IS 'takes this session out of ledger.verify_progress';

CREATE FUNCTION ledger_data.verify_progress(OUT pid integer, OUT done bigint, OUT total bigint, OUT began_at timestamptz) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'ledger_verify_progress';
COMMENT ON FUNCTION ledger_data.verify_progress() IS 'see the view ledger.verify_progress';

CREATE VIEW ledger.verify_progress AS SELECT p.* FROM ledger_data.verify_progress() AS p;
COMMENT ON VIEW ledger.verify_progress IS 'verifications that run in this database: whose (pid), records done of how many in total, since when. Up to eight are shown.';

-- Balances are read by indexes; here the table of transfers is added up without one.
CREATE FUNCTION ledger_data.compare_balances(OUT account bigint, OUT debits numeric, OUT credits numeric, OUT held numeric, OUT incoming numeric,
                                             OUT table_debits numeric, OUT table_credits numeric, OUT table_held numeric, OUT table_incoming numeric) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL SAFE ROWS 1 COST 1000000 AS 'MODULE_PATHNAME', 'ledger_compare_balances';
COMMENT ON FUNCTION ledger_data.compare_balances() IS
'the accounts whose totals by the indexes, as ledger.balance() reads them, are not the sums of the table of transfers read without an index; minor units, in one snapshot';

-- Seals are checked beside each other by as many parallel workers as
-- max_parallel_workers_per_gather allows; what no seal covers comes last.
CREATE FUNCTION ledger_data.verify(wanted text, OUT scope text, OUT lane integer, OUT seq bigint, OUT id bigint, OUT problem text) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET parallel_setup_cost = 0 SET parallel_tuple_cost = 0 SET min_parallel_table_scan_size = 0
AS $$
#variable_conflict use_column
DECLARE
    last bigint;
    live bytea;
BEGIN
    IF wanted IS NULL OR wanted = 'balances' THEN
        RETURN QUERY
        SELECT 'balances', NULL::integer, NULL::bigint, c.account,
               pg_catalog.format('mismatch: by the indexes debits are %s, credits %s, held %s, incoming %s minor units; the transfers in the table sum to %s, %s, %s and %s',
                                 c.debits, c.credits, c.held, c.incoming, c.table_debits, c.table_credits, c.table_held, c.table_incoming)
        FROM ledger_data.compare_balances() AS c;
        IF wanted = 'balances' THEN
            RETURN;
        END IF;
    END IF;
    -- The heads first, the snapshot that is read in after: so it sees at least as much.
    -- A snapshot taken before them can't.
    IF pg_catalog.current_setting('transaction_isolation') NOT IN ('repeatable read', 'serializable') THEN
        live := ledger_data.live_heads();
    END IF;
    SELECT COALESCE(pg_catalog.max(s.number), 0) INTO last FROM ledger_data.seal AS s;
    PERFORM ledger_data.begin_progress(wanted, (SELECT COALESCE(pg_catalog.sum(
            CASE WHEN wanted = 'audit' THEN 0 ELSE s.transfers END + CASE WHEN wanted = 'transfers' THEN 0 ELSE s.audits END), 0)::bigint
        FROM ledger_data.seal AS s));
    RETURN QUERY
    SELECT 'seals', NULL::integer, s.before + 1, NULL::bigint,
           CASE s.number - s.before WHEN 2 THEN 'missing: it is not there'
                                    ELSE pg_catalog.format('missing: seals %s to %s are not there', s.before + 1, s.number - 1) END
    FROM (SELECT x.number, pg_catalog.lag(x.number, 1, 0::bigint) OVER (ORDER BY x.number) AS before
          FROM ledger_data.seal AS x WHERE x.number BETWEEN 1 AND last) AS s
    WHERE s.number > s.before + 1
    UNION ALL
    SELECT 'seals', NULL::integer, s.number, NULL::bigint, 'inserted: seals are numbered from 1'
    FROM ledger_data.seal AS s WHERE s.number < 1
    UNION ALL
    SELECT CASE i.inhparent WHEN 'ledger_data.transfer'::pg_catalog.regclass THEN 'transfers'
                            WHEN 'ledger_data.audit'::pg_catalog.regclass THEN 'audit' ELSE 'seals' END,
           NULL::integer, NULL::bigint, NULL::bigint, pg_catalog.format('inserted: table %s inherits, and its rows are read as records', i.inhrelid::pg_catalog.regclass)
    FROM pg_catalog.pg_inherits AS i
    WHERE i.inhparent IN ('ledger_data.transfer'::pg_catalog.regclass, 'ledger_data.audit'::pg_catalog.regclass, 'ledger_data.seal'::pg_catalog.regclass);
    RETURN QUERY
    SELECT v.* FROM ledger_data.seal AS s CROSS JOIN LATERAL ledger_data.verify_seal(s.number, wanted) AS v
    WHERE s.number BETWEEN 1 AND last;
    RETURN QUERY
    SELECT v.* FROM ledger_data.verify_tail(last, wanted, live) AS v;
    PERFORM ledger_data.end_progress();
END
$$;
COMMENT ON FUNCTION ledger_data.verify(text) IS 'ledger.verify() itself';

-- In SQL: plpgsql wants another name for an argument than for a column.
CREATE FUNCTION ledger.verify(scope text DEFAULT NULL, OUT scope text, OUT lane integer, OUT seq bigint, OUT id bigint, OUT problem text) RETURNS SETOF record
    LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT v.* FROM ledger_data.verify($1) AS v $$;
COMMENT ON FUNCTION ledger.verify(text) IS
'Recomputes the chains of transfers and audit records (scope transfers or audit), and compares them with the seals and with what the running server knows; and compares balances by the indexes with the sums of the table (scope balances). NULL: all. Empty means that nothing was found. problem begins with altered, missing, inserted, reordered, truncated, rewritten or mismatch; scope seals, with the number as seq, stands for a seal itself; of balances id is the account. Progress is in ledger.verify_progress. Who may have changed seals, too, is found by ledger.verify_digest() alone.';

CREATE FUNCTION ledger.verify_digest(digest jsonb, OUT scope text, OUT lane integer, OUT seq bigint, OUT id bigint, OUT problem text) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    named  bigint;
    stored bytea;
BEGIN
    IF (digest ->> 'version') IS DISTINCT FROM '1'
       OR (pg_catalog.jsonb_typeof(digest -> 'seal') = 'number' AND digest ->> 'seal' ~ '^[1-9][0-9]{0,17}$') IS NOT TRUE
       OR (digest ->> 'hash' ~ '^[0-9a-f]{64}$') IS NOT TRUE THEN
        RAISE EXCEPTION 'this is no digest of version 1' USING
            ERRCODE = 'invalid_parameter_value', DETAIL = COALESCE(pg_catalog.left(digest::text, 200), 'It is NULL.'),
            HINT = 'Give what ledger.digest() returned.';
    END IF;
    named := digest ->> 'seal';
    SELECT s.hash INTO stored FROM ledger_data.seal AS s WHERE s.number = named;
    IF stored IS NULL THEN
        RETURN QUERY SELECT 'seals', NULL::integer, named, NULL::bigint, 'missing: the digest is of a seal that is not there';
    ELSIF stored <> pg_catalog.decode(digest ->> 'hash', 'hex') THEN
        RETURN QUERY SELECT 'seals', NULL::integer, named, NULL::bigint, 'rewritten: it is not the seal that the digest was made of';
    END IF;
    RETURN QUERY SELECT v.* FROM ledger_data.verify(NULL) AS v;
END
$$;
COMMENT ON FUNCTION ledger.verify_digest(jsonb) IS
'Checks the ledger against a digest that was kept outside, and then as ledger.verify() does. Empty means that everything sealed up to the digest is as it was. 22023 if it is no digest. A signature is checked by ledger_verify, not here: the server would be its own witness.';

-- Proofs.

CREATE FUNCTION ledger_data.prove(id bigint, OUT scope text, OUT record bytea, OUT previous bytea, OUT index bigint, OUT size bigint, OUT path bytea, OUT seal bigint) RETURNS record
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_prove';
COMMENT ON FUNCTION ledger_data.prove(bigint) IS 'a sealed record, and its way up the tree of its seal: hashes of 32 bytes after each other';

CREATE FUNCTION ledger_data.seal_object(number bigint) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_catalog.to_jsonb(s) - 'heads'
           || pg_catalog.jsonb_build_object('heads_hash', pg_catalog.encode(pg_catalog.sha256(pg_catalog.decode(s.heads, 'hex')), 'hex'))
    FROM ledger.seal_records AS s WHERE s.number = seal_object.number
$$;
COMMENT ON FUNCTION ledger_data.seal_object(bigint) IS 'a seal as proofs have it';

CREATE FUNCTION ledger.inclusion_proof(id bigint) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_catalog.jsonb_build_object(
        'version', 1, 'scope', p.scope, 'id', inclusion_proof.id,
        'record', pg_catalog.encode(p.record, 'hex'), 'previous', pg_catalog.encode(p.previous, 'hex'),
        'index', p.index, 'size', p.size,
        'path', (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.encode(pg_catalog.substr(p.path, 32 * n.i + 1, 32), 'hex') ORDER BY n.i), '[]')
                 FROM pg_catalog.generate_series(0, pg_catalog.length(p.path) / 32 - 1) AS n (i)),
        'seal', ledger_data.seal_object(p.seal))
    FROM ledger_data.prove(inclusion_proof.id) AS p
$$;
COMMENT ON FUNCTION ledger.inclusion_proof(bigint) IS
'Proves that one transfer or audit record is under a seal, checkable without the database (ledger_verify --proof): the record, its way up the tree of the seal, the seal. LG010 for an unknown id, 22004 for NULL, 55000 if it is not sealed yet. Reads the records of that seal.';

CREATE FUNCTION ledger.consistency_proof(first bigint, last bigint DEFAULT NULL) RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    until bigint := COALESCE(last, (SELECT pg_catalog.max(s.number) FROM ledger_data.seal AS s));
BEGIN
    IF first IS NULL OR until IS NULL OR first > until
       OR NOT EXISTS (SELECT FROM ledger_data.seal AS s WHERE s.number = first)
       OR NOT EXISTS (SELECT FROM ledger_data.seal AS s WHERE s.number = until) THEN
        RAISE EXCEPTION 'there are no seals % to %', first, until USING
            ERRCODE = 'invalid_parameter_value', HINT = 'The numbers are those of digests, the older one first.';
    END IF;
    RETURN pg_catalog.jsonb_build_object('version', 1, 'seals',
        (SELECT pg_catalog.jsonb_agg(ledger_data.seal_object(s.number) ORDER BY s.number)
         FROM ledger_data.seal AS s WHERE s.number BETWEEN first AND until));
END
$$;
COMMENT ON FUNCTION ledger.consistency_proof(bigint, bigint) IS
'Proves that the digest of seal last (NULL: the newest) follows on the digest of seal first, checkable without the database (ledger_verify --consistency): the seals from one to the other. 22023 where there are none such.';
