\ir update.sql
