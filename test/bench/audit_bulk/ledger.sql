\ir ../audit/ledger.sql
