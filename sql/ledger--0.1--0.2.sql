-- From 0.1 to 0.2.
--
-- A change of the SQL is made twice: in its part in sql/, of which new installations
-- are made, and here, in the same order, for those of 0.1.
--   New object: CREATE and COMMENT as in the part (never OR REPLACE or IF NOT EXISTS,
--     which would adopt what somebody planted), then REVOKE ALL ... FROM PUBLIC.
--   Function with another body or attribute: CREATE OR REPLACE; it keeps its grants,
--     and PostgreSQL refuses to replace one that is not the extension's.
--   Function or view with other arguments or columns: DROP and CREATE; grants are lost.
--   Table: new columns last and in the same order, because C++ goes by position;
--     pg_extension_config_dump for a new one.
-- The library may meet the SQL of 0.1 until the update is made, and has to work with it.
-- Roles get what is new in their level when grant_access is called for them again.
-- test/t/033_update.pl compares an updated ledger with a new one, object by object.
\echo Use "ALTER EXTENSION ledger UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;
