\ir ../random/update.sql
