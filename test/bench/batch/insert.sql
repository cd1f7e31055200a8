\ir ../transfer_table.sql
\ir pairs.sql
CREATE TABLE batch AS
SELECT array_agg(source::bigint ORDER BY n) AS sources,
       array_agg(destination::bigint ORDER BY n) AS destinations,
       array_agg(100::bigint ORDER BY n) AS amounts
FROM pairs;

CREATE VIEW made AS SELECT FROM transfer;
CREATE VIEW problem AS SELECT WHERE false;
