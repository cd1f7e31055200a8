\ir ../audited_table.sql
CREATE VIEW problem AS SELECT WHERE false;
