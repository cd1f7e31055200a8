-- Keys: a call is made once, whatever its function.
\a \t
SELECT ledger.open_account('k:a', 'USD') > 0, ledger.open_account('k:b', 'USD') > 0;
SELECT ledger.transfer('world', 'k:a', 100, 'k-fund') = ledger.transfer('world', 'k:a', 100.00, 'k-fund') AS same;
SELECT available FROM ledger.balance('k:a');
-- Anything else under the key is refused, and told apart.
SELECT helper.outcome($$SELECT ledger.transfer('world', 'k:a', 101, 'k-fund')$$);
SELECT helper.outcome($$SELECT ledger.transfer('k:a', 'k:b', 100, 'k-fund')$$);
SELECT helper.outcome($$SELECT ledger.transfer('world', 'k:a', 100, 'k-fund', '{"note": 1}')$$);
SELECT helper.outcome($$SELECT ledger.try_transfer('world', 'k:a', 100, 'k-fund')$$);
SELECT helper.outcome($$SELECT ledger.transfer('world', 'k:a', NULL, 'k-fund')$$);
SELECT available FROM ledger.balance('k:a');
-- Metadata counts by value.
SELECT ledger.transfer('k:a', 'k:b', 1, 'k-meta', '{"a": 1, "b": 2.0}') = ledger.transfer('k:a', 'k:b', 1, 'k-meta', '{"b": 2, "a": 1}') AS same;

-- A NULL that was told stays NULL; what raised left nothing behind.
SELECT ledger.try_transfer('k:b', 'k:a', 50, 'k-try');
SELECT helper.outcome($$SELECT ledger.transfer('k:b', 'k:a', 50, 'k-raise')$$);
SELECT ledger.transfer('k:a', 'k:b', 60) > 0;
SELECT ledger.try_transfer('k:b', 'k:a', 50, 'k-try');
SELECT ledger.transfer('k:b', 'k:a', 50, 'k-raise') > 0;
SELECT available FROM ledger.balance('k:b');
-- So does one told in a transaction that was rolled back: it was not told.
BEGIN;
SELECT ledger.try_transfer('k:b', 'k:a', 500, 'k-rolled');
ROLLBACK;
SELECT ledger.transfer('world', 'k:b', 500) > 0;
SELECT ledger.try_transfer('k:b', 'k:a', 500, 'k-rolled') > 0;

-- Savepoints: what was rolled back may be called again.
BEGIN;
SAVEPOINT s;
SELECT ledger.transfer('k:a', 'k:b', 3, 'k-save') > 0;
ROLLBACK TO s;
SELECT ledger.transfer('k:a', 'k:b', 4, 'k-save') > 0;
SELECT ledger.transfer('k:a', 'k:b', 4, 'k-save') > 0;
COMMIT;
SELECT count(*), sum(amount) FROM ledger.transfers WHERE id = (SELECT transfer_id FROM ledger.requests WHERE key = 'k-save');

-- The other transfers.
SELECT (ledger.transfer_up_to('k:b', 'k:a', 1e6, 'k-sweep')).amount;
SELECT ledger.transfer('k:a', 'k:b', 10) > 0;
SELECT transfer_id > 0 AS made, amount FROM ledger.transfer_up_to('k:b', 'k:a', 1e6, 'k-sweep');
SELECT helper.outcome($$SELECT ledger.transfer_up_to('k:b', 'k:a', 1e5, 'k-sweep')$$);
SELECT ledger.transfer_up_to('k:a', 'world', 1e9) IS NOT NULL;
SELECT transfer_id, amount FROM ledger.transfer_up_to('k:a', 'world', 5, 'k-nothing');
SELECT ledger.transfer('world', 'k:a', 10) > 0;
SELECT transfer_id, amount FROM ledger.transfer_up_to('k:a', 'world', 5, 'k-nothing');
SELECT ledger.transfer('k:a', 'k:b', 7) AS seven \gset
SELECT ledger.reverse_transfer(:seven, 'k-back', 'oops') = ledger.reverse_transfer(:seven, 'k-back', 'oops') AS same;
SELECT regexp_replace(helper.outcome(format($$SELECT ledger.reverse_transfer(%s, 'k-back', 'other')$$, :seven)), '\d{10,}', 'N', 'g');
SELECT split_part(helper.outcome(format($$SELECT ledger.reverse_transfer(%s, 'k-back2')$$, :seven)), ':', 1);

-- Batches, element by element.
SELECT ordinal, transfer_id IS NOT NULL AS has_id, status FROM ledger.transfer_batch('{world,world,k:b,world}', '{k:a,k:a,k:a,nobody}', '{1,1,1e6,1}', '{kb1,kb1,kb2,kb3}', false);
SELECT ordinal, transfer_id IS NOT NULL AS has_id, status FROM ledger.transfer_batch('{world,world,k:b,world}', '{k:a,k:a,k:a,nobody}', '{1,1,1e6,1}', '{kb1,NULL,kb2,kb3}', false);
SELECT ordinal, transfer_id IS NOT NULL AS has_id, status FROM ledger.transfer_batch('{world,world,world,world}', '{k:a,k:a,k:a,k:a}', '{2,1,NaN,NULL}', array['kb1', '', 'kb4', 'kb5'], false);
SELECT ordinal, status FROM ledger.transfer_batch('{world,world}', '{k:a,k:a}', '{NaN,NULL}', '{kb4,kb5}', false);
SELECT arguments, response FROM ledger.requests WHERE key IN ('kb4', 'kb5') ORDER BY key;
SELECT (SELECT transfer_id FROM ledger.transfer_batch('{world}', '{k:a}', '{1}', '{kb1}')) = transfer_id FROM ledger.requests WHERE key = 'kb1';
SELECT helper.outcome($$SELECT count(*) FROM ledger.transfer_batch('{world,world}', '{k:a,k:a}', '{1,2}', '{kb6,kb1}')$$);
SELECT helper.outcome($$SELECT count(*) FROM ledger.transfer_batch('{world,k:b}', '{k:a,k:a}', '{1,1e6}', '{kb6,kb2}')$$);
SELECT helper.outcome($$SELECT count(*) FROM ledger.transfer_batch('{world,world}', '{k:a,k:a}', '{1,1}', array['kb6', repeat('k', 256)])$$);
SELECT helper.outcome($$SELECT count(*) FROM ledger.transfer_batch('{world}', '{k:a}', '{1}', '{kb6,kb7}')$$);
SELECT count(*) FROM ledger.requests WHERE key = 'kb6';
-- Ten thousand keys do not need ten thousand locks, and are all there the second time.
SHOW max_locks_per_transaction;
SELECT status, count(*) FROM ledger.transfer_batch(array_fill('world'::text, '{10000}'), array_fill('k:a'::text, '{10000}'), array_fill(0.01, '{10000}'),
    (SELECT array_agg('many-' || i) FROM generate_series(1, 10000) AS i)) GROUP BY status;
BEGIN;
SELECT status, count(*), count(DISTINCT transfer_id) FROM ledger.transfer_batch(array_fill('world'::text, '{10000}'), array_fill('k:a'::text, '{10000}'), array_fill(0.01, '{10000}'),
    (SELECT array_agg('many-' || i) FROM generate_series(1, 10000) AS i)) GROUP BY status;
SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'ledger_data.request'::regclass;
COMMIT;

-- Stock.
SELECT ledger.create_stock('k-tea', 10, key => 'k-create') = ledger.create_stock('k-tea', 10, key => 'k-create') AS same;
SELECT helper.outcome($$SELECT ledger.create_stock('k-tea', 11, key => 'k-create')$$);
SELECT ledger.deduct_stock('k-tea', 2, 'k-d'), ledger.deduct_stock('k-tea', 2, 'k-d');
SELECT ledger.add_stock('k-tea', 5, 'k-add'), ledger.add_stock('k-tea', 5, 'k-add');
SELECT ledger.restore_stock('k-tea', 1, 'k-res'), ledger.restore_stock('k-tea', 1, 'k-res');
SELECT ledger.try_deduct_stock('k-tea', 100, 'k-td');
SELECT ledger.add_stock('k-tea', 100);
SELECT ledger.try_deduct_stock('k-tea', 100, 'k-td');
SELECT ledger.try_deduct_stock('k-tea', 1, 'k-td2'), ledger.try_deduct_stock('k-tea', 1, 'k-td2');
SELECT * FROM ledger.deduct_stocks('{k-tea,k-tea}', '{1,2}', 'k-cart');
SELECT * FROM ledger.deduct_stocks('{k-tea,k-tea}', '{1,2}', 'k-cart');
SELECT helper.outcome($$SELECT ledger.deduct_stocks('{k-tea,k-tea}', '{1,3}', 'k-cart')$$);
SELECT helper.outcome($$SELECT ledger.deduct_stocks('{k-tea,k-tea}', '{1,999}', 'k-cart2')$$);
-- Differences are found however far on they are, and shown where they are.
SELECT count(*) FROM ledger.deduct_stocks(array_fill('k-tea'::text, '{40}'), array_fill(1::bigint, '{40}'), 'k-long');
SELECT helper.outcome($$SELECT count(*) FROM ledger.deduct_stocks(array_fill('k-tea'::text, '{41}'), array_fill(1::bigint, '{41}'), 'k-long')$$);
SELECT helper.outcome($$SELECT count(*) FROM ledger.deduct_stocks(array_fill('k-tea'::text, '{40}'), array_fill(1::bigint, '{39}') || 2::bigint, 'k-long')$$);
SELECT ledger.open_account(repeat('é', 200) || '1', 'USD') > 0, ledger.open_account(repeat('é', 200) || '2', 'USD') > 0;
SELECT ledger.transfer('world', repeat('é', 200) || '1', 1, 'k-far') > 0;
SELECT helper.outcome($$SELECT ledger.transfer('world', repeat('é', 200) || '2', 1, 'k-far')$$);
SELECT count(*) FROM ledger.requests WHERE key = 'k-cart2';
SELECT helper.outcome($$SELECT ledger.deduct_stock('k-tea', 3, 'k-d')$$);
SELECT * FROM ledger.stock WHERE sku = 'k-tea';

-- Assets and accounts.
SELECT ledger.create_asset('K', 3, 'kilo', 'k-asset'), ledger.create_asset('K', 3, 'kilo', 'k-asset');
SELECT helper.outcome($$SELECT ledger.create_asset('K', 2, 'kilo', 'k-asset')$$);
SELECT ledger.open_account('k:c', 'K', key => 'k-open') = ledger.open_account('k:c', 'K', key => 'k-open') AS same;
SELECT helper.outcome($$SELECT ledger.open_account('k:c', 'K', floor => -1, key => 'k-open')$$);
SELECT split_part(helper.outcome($$SELECT ledger.open_account('k:c', 'K', key => 'k-open2')$$), ':', 1);
-- A late repetition does not undo what came after.
SELECT ledger.alter_account('k:c', floor => -5, key => 'k-alter');
SELECT ledger.alter_account('k:c', floor => -9);
SELECT ledger.alter_account('k:c', floor => -5, key => 'k-alter');
SELECT helper.outcome($$SELECT ledger.alter_account('k:c', floor => -6, key => 'k-alter')$$);
SELECT ledger.freeze_account('k:c', 'k-freeze');
SELECT ledger.unfreeze_account('k:c', 'k-unfreeze');
SELECT ledger.freeze_account('k:c', 'k-freeze');
SELECT floor, state FROM ledger.accounts WHERE account = 'k:c';
SELECT ledger.close_account('k:c', 'k-close'), ledger.close_account('k:c', 'k-close');

-- Keys and requests are apart; a key is purged in its time and fresh again.
SELECT state FROM ledger.begin_request('k-fund');
SET ledger.key_ttl = '1s';
SELECT ledger.transfer('world', 'k:a', 1, 'k-short') > 0;
RESET ledger.key_ttl;
SELECT pg_sleep(1.01);
SELECT helper.outcome($$SELECT ledger.transfer('world', 'k:a', 2, 'k-short')$$) ~ '^LG301' AS remembered;
SELECT ledger.purge_requests() > 0;
SELECT ledger.transfer('world', 'k:a', 2, 'k-short') > 0;
SELECT expires_at - begun_at FROM ledger.requests WHERE key = 'k-short';

-- Bad keys.
SELECT helper.outcome($$SELECT ledger.transfer('world', 'k:a', 1, '')$$);
SELECT helper.outcome($$SELECT ledger.transfer('world', 'k:a', 1, repeat('x', 256))$$);
SELECT helper.outcome($$SELECT ledger.open_account('k:z', 'USD', key => '')$$);
-- Nobody else writes to the registry.
SELECT helper.outcome($$DELETE FROM ledger_data.request$$);
SELECT split_part(helper.outcome($$INSERT INTO ledger_data.request SELECT * FROM ledger_data.request$$), ':', 1);
SELECT split_part(helper.outcome($$UPDATE ledger_data.request SET state = 2$$), ':', 1), split_part(helper.outcome($$TRUNCATE ledger_data.request$$), ':', 1);
SELECT * FROM ledger.check_invariants();
