-- The chain once more, in SQL alone and by docs/chain-format.md alone: for tests that
-- forge records, lanes and seals as somebody could who knows the format.

CREATE SCHEMA chain;

CREATE FUNCTION chain.int(value bigint) RETURNS bytea LANGUAGE sql IMMUTABLE
    AS $$ SELECT '\x01'::bytea || int8send(value) $$;

CREATE FUNCTION chain.at(value timestamptz) RETURNS bytea LANGUAGE sql IMMUTABLE
    AS $$ SELECT '\x02'::bytea || int8send((extract(epoch FROM value) * 1000000)::bigint) $$;

CREATE FUNCTION chain.string(value text) RETURNS bytea LANGUAGE sql IMMUTABLE
    AS $$ SELECT COALESCE('\x03'::bytea || int4send(length(convert_to(value, 'UTF8'))) || convert_to(value, 'UTF8'), '\x00') $$;

CREATE FUNCTION chain.raw(value bytea) RETURNS bytea LANGUAGE sql IMMUTABLE
    AS $$ SELECT '\x04'::bytea || int4send(length(value)) || value $$;

CREATE FUNCTION chain.record(t ledger_data.transfer) RETURNS bytea LANGUAGE sql IMMUTABLE
    AS $$ SELECT '\x0101'::bytea || chain.int(t.id) || chain.int(t.lane) || chain.int(t.seq) || chain.int(t.kind)
              || chain.int(t.debit_account) || chain.int(t.credit_account) || chain.int(t.amount) || chain.int(t.ref)
              || chain.int(t.txid) || chain.at(t.created_at) || chain.string(t.metadata::text) $$;

CREATE FUNCTION chain.record(a ledger_data.audit) RETURNS bytea LANGUAGE sql IMMUTABLE
    AS $$ SELECT '\x0102'::bytea || chain.int(a.id) || chain.int(a.lane) || chain.int(a.seq) || chain.int(a.txid) || chain.at(a.at)
              || chain.int(a.relation_oid::bigint) || chain.string(a.relation) || chain.string(a.operation) || chain.string(a.key::text)
              || chain.string(a.old::text) || chain.string(a.new::text) || chain.string(a.actor) || chain.string(a.acting_as)
              || chain.string(a.application) || chain.string(a.client) $$;

CREATE FUNCTION chain.record(s ledger_data.seal) RETURNS bytea LANGUAGE sql IMMUTABLE
    AS $$ SELECT '\x0103'::bytea || chain.int(s.number) || chain.at(s.sealed_at) || chain.int(s.transfers) || chain.raw(s.transfer_root)
              || chain.int(s.audits) || chain.raw(s.audit_root) || chain.int(s.from_id) || chain.int(s.until_id)
              || chain.raw(sha256(s.heads)) || chain.raw(s.previous) $$;

CREATE FUNCTION chain.zero() RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT decode(repeat('00', 32), 'hex') $$;

-- RFC 6962, section 2.1, word by word.
CREATE FUNCTION chain.root(hashes bytea[]) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    n integer := cardinality(hashes);
    k integer := 1;
BEGIN
    IF n = 0 THEN
        RETURN sha256('');
    ELSIF n = 1 THEN
        RETURN sha256('\x00'::bytea || hashes[1]);
    END IF;
    WHILE k * 2 < n LOOP
        k := k * 2;
    END LOOP;
    RETURN sha256('\x01'::bytea || chain.root(hashes[1:k]) || chain.root(hashes[k + 1:n]));
END
$$;

-- Gives a lane's transfers from seq on the hashes of what they say now.
CREATE FUNCTION chain.relink(of_lane integer, from_seq bigint DEFAULT 1) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t        ledger_data.transfer;
    previous bytea := COALESCE((SELECT x.hash FROM ledger_data.transfer AS x WHERE x.lane = of_lane AND x.seq = from_seq - 1), chain.zero());
BEGIN
    FOR t IN SELECT * FROM ledger_data.transfer AS x WHERE x.lane = of_lane AND x.seq >= from_seq ORDER BY x.seq LOOP
        previous := sha256(previous || chain.record(t));
        UPDATE ledger_data.transfer AS x SET hash = previous WHERE x.id = t.id;
    END LOOP;
END
$$;

-- Makes every seal anew of the records as they are now.
CREATE FUNCTION chain.reseal() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s        ledger_data.seal;
    newest   bytea := chain.zero();
    before   bytea := '';
BEGIN
    FOR s IN SELECT * FROM ledger_data.seal AS x ORDER BY x.number LOOP
        -- The same lanes up to the same numbers, with the hashes that are there now.
        s.heads := COALESCE((SELECT string_agg(substr(s.heads, i * 43 + 1, 11) || COALESCE(t.hash, a.hash), '' ORDER BY i)
            FROM generate_series(0, length(s.heads) / 43 - 1) AS i
            CROSS JOIN LATERAL chain.head(s.heads, i) AS h
            LEFT JOIN ledger_data.transfer AS t ON h.scope = 1 AND t.lane = h.lane AND t.seq = h.seq
            LEFT JOIN ledger_data.audit AS a ON h.scope = 2 AND a.lane = h.lane AND a.seq = h.seq), '');
        s.transfer_root := chain.root(COALESCE((SELECT array_agg(t.hash ORDER BY t.id) FROM ledger_data.transfer AS t
            WHERE t.seq > chain.seq_in(before, 1, t.lane) AND t.seq <= chain.seq_in(s.heads, 1, t.lane)), '{}'));
        s.audit_root := chain.root(COALESCE((SELECT array_agg(a.hash ORDER BY a.id) FROM ledger_data.audit AS a
            WHERE a.seq > chain.seq_in(before, 2, a.lane) AND a.seq <= chain.seq_in(s.heads, 2, a.lane)), '{}'));
        s.previous := newest;
        newest := sha256(chain.record(s));
        before := s.heads;
        UPDATE ledger_data.seal AS x SET heads = s.heads, transfer_root = s.transfer_root, audit_root = s.audit_root,
            previous = s.previous, hash = newest
        WHERE x.number = s.number;
    END LOOP;
END
$$;

CREATE FUNCTION chain.head(heads bytea, i integer, OUT scope integer, OUT lane integer, OUT seq bigint) LANGUAGE sql IMMUTABLE AS $$
    SELECT get_byte(heads, i * 43), get_byte(heads, i * 43 + 1) * 256 + get_byte(heads, i * 43 + 2),
           ('x' || encode(substr(heads, i * 43 + 4, 8), 'hex'))::bit(64)::bigint
$$;

CREATE FUNCTION chain.seq_in(heads bytea, of_scope integer, of_lane integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(max(h.seq), 0) FROM generate_series(0, length(heads) / 43 - 1) AS i CROSS JOIN LATERAL chain.head(heads, i) AS h
    WHERE h.scope = of_scope AND h.lane = of_lane
$$;
