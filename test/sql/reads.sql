-- balance, balance_at, statement and the views: exact before and after a fold.
\a \t
SELECT ledger.open_account('r:a', 'USD', floor => -10) > 0, ledger.open_account('r:b', 'USD') > 0;
SELECT * FROM ledger.balance('r:a');
SELECT clock_timestamp() AS t0 \gset
SELECT ledger.transfer('world', 'r:a', 5) > 0;
SELECT pg_sleep(0.002);
SELECT clock_timestamp() AS t1 \gset
SELECT ledger.transfer('r:a', 'r:b', 2, metadata => '{"for": "tea"}') > 0;
SELECT * FROM ledger.balance('r:a');
SELECT ledger.balance_at('r:a', :'t0'), ledger.balance_at('r:a', :'t1'), ledger.balance_at('r:a', 'infinity');
SELECT kind, counterparty, amount, balance, metadata FROM ledger.statement('r:a');
SELECT counterparty, amount, balance FROM ledger.statement('r:a', from_time => :'t1');
SELECT counterparty, amount, balance FROM ledger.statement('r:a', to_time => :'t1');
SELECT count(*) FROM ledger.statement('r:b', 'infinity');
-- To the microsecond: what was made at from_time is in it, at to_time not; balance_at has it.
SELECT min(created_at) AS first, max(created_at) AS last FROM ledger.statement('r:a') \gset
SELECT amount, balance FROM ledger.statement('r:a', to_time => :'last');
SELECT amount, balance FROM ledger.statement('r:a', from_time => :'last');
SELECT amount, balance FROM ledger.statement('r:a', :'first', :'last');
SELECT count(*) FROM ledger.statement('r:a', :'last', :'last');
SELECT ledger.balance_at('r:a', :'first'), ledger.balance_at('r:a', :'last'), ledger.balance_at('r:a', :'last'::timestamptz - interval '1 us');

-- An older snapshot keeps its own exact balance across a fold.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT posted FROM ledger.balance('r:a');
SELECT ledger.transfer('r:a', 'r:b', 1) > 0;
SELECT posted FROM ledger.balance('r:a');
COMMIT;
SELECT ledger.fold() > 0 AS folded;
SELECT ledger.fold(1000000) AS nothing_that_long;
SELECT folded_xid > 0, debits_posted, credits_posted FROM ledger_data.balance WHERE account = ledger_data.account_id('r:a');
SELECT * FROM ledger.balance('r:a');
SELECT kind, counterparty, amount, balance FROM ledger.statement('r:a');
SELECT ledger.transfer('r:a', 'r:b', 0.50) > 0;
SELECT posted FROM ledger.balance('r:a');
SELECT posted, available FROM ledger.accounts WHERE account = 'r:b';

-- A transaction that has moved the account itself folds it: its own transfers stay in the tail.
BEGIN;
SELECT ledger.transfer('r:a', 'r:b', 0.25) > 0, ledger.transfer('r:b', 'r:a', 0.05) > 0;
SELECT count(ledger.fold());
SELECT posted FROM ledger.balance('r:a');
SELECT posted FROM ledger.balance('r:b');
SELECT posted FROM ledger.accounts WHERE account = 'r:a';
COMMIT;
SELECT posted FROM ledger.balance('r:a');
SELECT count(ledger.fold());
SELECT posted FROM ledger.balance('r:a');
SELECT posted FROM ledger.balance('r:b');
SELECT * FROM ledger.check_invariants();

SELECT helper.outcome($$SELECT ledger.balance('nobody')$$);
SELECT helper.outcome($$SELECT ledger.balance(NULL)$$);
SELECT helper.outcome($$SELECT ledger.balance_at('nobody', now())$$);
SELECT helper.outcome($$SELECT ledger.balance_at('r:a', NULL)$$);
SELECT helper.outcome($$SELECT ledger.statement('nobody')$$);

-- The shortest tail that there is, one transfer, is folded by default, and not when two are wanted.
SELECT ledger.open_account('r:once', 'USD') > 0, ledger.transfer('world', 'r:once', 1) > 0;
SELECT ledger.fold(2) >= 0;
SELECT count(*) FROM ledger_data.balance WHERE account = ledger_data.account_id('r:once');
SELECT ledger.fold() > 0;
SELECT count(*) FROM ledger_data.balance WHERE account = ledger_data.account_id('r:once');

-- balance() in C and the view in SQL say the same of everybody, also where what is held is more
-- than a bigint has room for.
SELECT ledger.create_asset('WIDE', 2);
SELECT count(ledger.open_account('wide:' || c, 'WIDE', floor => NULL)) FROM unnest('{a,b,c,d}'::text[]) AS c;
SELECT ledger.transfer('wide:a', 'wide:b', 92233720368547758.07) > 0, ledger.hold('wide:b', 'wide:c', 92233720368547758.07) > 0,
       ledger.hold('wide:b', 'wide:d', 92233720368547758.07) > 0;
SELECT * FROM ledger.balance('wide:b');
SELECT count(*) > 5 AS compared, count(*) FILTER (WHERE b::text <> ROW(a.account, a.asset, a.posted, a.held, a.incoming, a.available)::text COLLATE "C") AS differ
FROM ledger.accounts AS a, LATERAL ledger.balance(a.account) AS b;
SELECT ledger.fold() > 0 AS folded;
SELECT * FROM ledger.balance('wide:b');
SELECT ledger.void_hold(min(id)) > 0 FROM ledger.holds WHERE source = 'wide:b' AND state = 'open';
SELECT ledger.void_hold(min(id)) > 0 FROM ledger.holds WHERE source = 'wide:b' AND state = 'open';
-- In parallel workers, which the table's size alone would not call for.
CREATE TABLE read_by_many AS SELECT CASE i WHEN 1 THEN 'r:a' ELSE 'r:b' END AS account FROM generate_series(1, 2) AS i;
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT sum((ledger.balance(account)).posted) FROM read_by_many;
SELECT sum((ledger.balance(account)).posted), sum(ledger.balance_at(account, now())) FROM read_by_many;
SELECT sum((SELECT count(*) FROM ledger.statement(account))) FROM read_by_many;
COMMIT;
DROP TABLE read_by_many;
-- The engine's own view of itself.
SELECT transfers > 0, refusals >= 0, slot_loads > 0, longest_tail >= 0, lanes_in_use = 0, slots_in_use > 0, slots_total FROM ledger.stat;
SELECT * FROM ledger.check_invariants();
