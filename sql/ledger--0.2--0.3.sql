-- From 0.2 to 0.3.
--
-- A change of the SQL is made twice: in its part in sql/, of which new installations
-- are made, and here, in the same order, for those of 0.2. How: ledger--0.1--0.2.sql.
\echo Use "ALTER EXTENSION ledger UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;
