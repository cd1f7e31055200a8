-- transfer_batch, transfer_up_to and reverse_transfer.
\a \t
SELECT ledger.open_account('b:a', 'USD') > 0, ledger.open_account('b:b', 'USD', ceiling => 100) > 0, ledger.open_account('b:c', 'USD') > 0;
SELECT ledger.transfer('world', 'b:a', 100) > 0;

-- Each on its own: the condition's name where it failed, later ones see earlier ones.
SELECT ordinal, transfer_id > 0 AS made, status FROM ledger.transfer_batch(
    '{b:a,b:c,b:a,b:a,b:a,b:a,world,b:a,b:a,NULL,b:a,b:a,world:eur}',
    '{b:c,b:a,b:c,nobody,b:a,b:b,b:b,b:b,b:b,b:b,NULL,b:b,b:a}',
    '{10,5,200,1,1,10,95,-1,0.001,1,1,NULL,1}', atomic => false);
SELECT account, posted FROM ledger.accounts WHERE account ~ '^b:' ORDER BY 1;
-- All or nothing: the error names the first element that failed.
SELECT helper.outcome($$SELECT count(*) FROM ledger.transfer_batch('{b:a,b:c,b:a}', '{b:c,b:b,b:c}', '{1,1,500}')$$);
SELECT helper.outcome($$SELECT count(*) FROM ledger.transfer_batch('{b:a,NULL}', '{b:c,b:b}', '{1,1}')$$);
SELECT account, posted FROM ledger.accounts WHERE account ~ '^b:' ORDER BY 1;
SELECT ordinal, transfer_id > 0 AS made, status FROM ledger.transfer_batch('{b:a,b:c}', '{b:c,b:b}', '{1,1}');
SELECT helper.outcome($$SELECT count(*) FROM ledger.transfer_batch('{b:a}', '{b:c,b:b}', '{1,1}')$$);
SELECT helper.outcome($$SELECT count(*) FROM ledger.transfer_batch(NULL, '{b:c,b:b}', '{1,1}')$$);
SELECT helper.outcome($$SELECT count(*) FROM ledger.transfer_batch('{}', '{}', '{}')$$);
SELECT helper.outcome($$SELECT count(*) FROM ledger.transfer_batch('{b:a}', '{b:c}', '{1}', atomic => NULL)$$);
SELECT helper.outcome($$SELECT count(*) FROM ledger.transfer_batch('{{b:a,b:a}}', '{{b:c,b:c}}', '{{1,2}}')$$);
-- A large one: ids distinct, value conserved.
SELECT count(*), count(DISTINCT transfer_id), bool_and(status = 'ok')
FROM ledger.transfer_batch(array_fill('world'::text, '{100000}'), array_fill('b:c'::text, '{100000}'), array_fill(0.01, '{100000}'));
SELECT posted FROM ledger.balance('b:c');
SELECT * FROM ledger.check_invariants();

-- A sweep takes what there is, up to the maximum, and respects the ceiling.
SELECT transfer_id > 0 AS made, amount FROM ledger.transfer_up_to('b:c', 'b:a', 1000);
SELECT transfer_id > 0 AS made, amount FROM ledger.transfer_up_to('b:c', 'b:a', 1e9);
SELECT transfer_id, amount FROM ledger.transfer_up_to('b:c', 'b:a', 1e9);
SELECT transfer_id > 0 AS made, amount FROM ledger.transfer_up_to('b:a', 'b:c', 1e9);
SELECT transfer_id > 0 AS made, amount FROM ledger.transfer_up_to('b:c', 'b:b', 1e9);
SELECT posted, available FROM ledger.balance('b:b');
SELECT transfer_id, amount FROM ledger.transfer_up_to('b:c', 'b:b', 1);
SELECT helper.outcome($$SELECT transfer_id FROM ledger.transfer_up_to('b:c', 'b:b', 0)$$);
SELECT helper.outcome($$SELECT ledger.transfer_up_to('b:c', 'b:b', NULL)$$);
SELECT helper.outcome($$SELECT ledger.transfer_up_to('b:c', 'b:c', 1)$$);
SELECT helper.outcome($$SELECT ledger.transfer_up_to('b:c', 'world:eur', 1)$$);

-- A reversal goes the opposite way, once, and is linked.
SELECT ledger.open_account('b:r', 'USD') > 0;
SELECT ledger.transfer('world', 'b:r', 30) AS first \gset
SELECT ledger.transfer('b:r', 'b:a', 20) AS second \gset
SELECT helper.outcome(format($$SELECT ledger.reverse_transfer(%s)$$, :first));
SELECT ledger.reverse_transfer(:second, reason => 'customer complained') AS reversal \gset
SELECT kind, source, destination, amount, ref = :second AS linked, metadata FROM ledger.transfers WHERE id = :reversal;
SELECT regexp_replace(helper.outcome(format($$SELECT ledger.reverse_transfer(%s)$$, :second)), '\d{10,}', 'N', 'g');
SELECT helper.outcome(format($$SELECT ledger.reverse_transfer(%s) > 0$$, :first));
SELECT helper.outcome($$SELECT ledger.reverse_transfer(1)$$);
SELECT helper.outcome($$SELECT ledger.reverse_transfer(NULL)$$);
SELECT posted FROM ledger.balance('b:r');
-- Rolled back, it may be made again.
SELECT ledger.transfer('world', 'b:r', 5) AS third \gset
BEGIN;
SELECT ledger.reverse_transfer(:third) > 0;
ROLLBACK;
SELECT ledger.reverse_transfer(:third) > 0;
SELECT * FROM ledger.check_invariants();
