\ir update.sql
ALTER TABLE stock ADD version bigint NOT NULL DEFAULT 0;
