\ir ../transfer_table.sql

CREATE VIEW made AS SELECT FROM transfer;
CREATE VIEW problem AS SELECT WHERE false;
