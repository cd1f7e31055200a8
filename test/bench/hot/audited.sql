-- The conditional UPDATE, and a trigger that keeps every change of the stock.
\ir update.sql
CREATE TABLE log (
    id          bigint      GENERATED ALWAYS AS IDENTITY (CACHE 32) PRIMARY KEY,
    txid        xid8        NOT NULL,
    at          timestamptz NOT NULL,
    relation    text        NOT NULL,
    operation   text        NOT NULL,
    actor       text        NOT NULL,
    application text,
    old         jsonb,
    new         jsonb
);
CREATE FUNCTION log_stock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log (txid, at, relation, operation, actor, application, old, new)
    VALUES (pg_current_xact_id(), clock_timestamp(), TG_TABLE_NAME, TG_OP, session_user, current_setting('application_name'),
            to_jsonb(OLD), to_jsonb(NEW));
    RETURN NULL;
END
$$;
CREATE TRIGGER log AFTER UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION log_stock();
CREATE OR REPLACE VIEW problem AS
SELECT 'stock + sold' AS invariant, s.id AS subject, s.quantity + o.sold AS detail
FROM stock AS s, (SELECT coalesce(sum(quantity), 0) AS sold FROM orders) AS o
WHERE s.quantity + o.sold <> 1000000000000 OR o.sold <> (SELECT count(*) FROM log);
