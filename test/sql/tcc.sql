-- TCC: Try, Confirm, Cancel under a fence: repeated, reordered, too late, never begun.
\a \t
SELECT ledger.open_account('tcc:a', 'USD') > 0, ledger.open_account('tcc:b', 'USD') > 0, ledger.transfer('world', 'tcc:a', 100) > 0,
       ledger.open_account('tcc:points', 'POINT') > 0, ledger.open_account('tcc:bank', 'POINT', floor => NULL) > 0,
       ledger.transfer('tcc:bank', 'tcc:points', 1000) > 0, ledger.create_stock('T', 10) > 0;

-- Money, points and stock: three tries, one confirm.
SELECT ledger.tcc_begin('order-1', metadata => '{"order": 1}');
SELECT ledger.tcc_freeze_stock('order-1', 'stock', 'T', 2);
SELECT ledger.tcc_freeze('order-1', 'balance', 'tcc:a', 'tcc:b', 30.50);
SELECT ledger.tcc_freeze('order-1', 'points', 'tcc:points', 'tcc:bank', 305);
SELECT xid, state, branches, frozen, round(extract(epoch FROM next_at - begun_at)), attempts, last_error, ended_at, metadata FROM ledger.tcc_transactions WHERE xid = 'order-1';
SELECT branch, state, source, destination, asset, amount FROM ledger.tcc_branches WHERE xid = 'order-1' ORDER BY branch;
SELECT account, posted, held, incoming, available FROM ledger.accounts WHERE account IN ('tcc:a', 'tcc:b', 'tcc:points', 'T') ORDER BY account;
SELECT ledger.tcc_confirm('order-1');
SELECT xid, state, branches, frozen, next_at, ended_at IS NOT NULL FROM ledger.tcc_transactions WHERE xid = 'order-1';
SELECT account, posted, held, incoming, available FROM ledger.accounts WHERE account IN ('tcc:a', 'tcc:b', 'tcc:points', 'T') ORDER BY account;
SELECT * FROM ledger.stock WHERE sku = 'T';

-- What cannot be had leaves the transaction as it was; it is canceled on all branches.
SELECT ledger.tcc_begin('order-2');
SELECT ledger.tcc_freeze('order-2', 'balance', 'tcc:a', 'tcc:b', 60);
SELECT helper.told($$SELECT ledger.tcc_freeze('order-2', 'points', 'tcc:points', 'tcc:bank', 1000)$$);
SELECT helper.told($$SELECT ledger.tcc_freeze_stock('order-2', 'stock', 'T', 9)$$);
SELECT helper.told($$SELECT ledger.tcc_freeze('order-2', 'none', 'tcc:a', 'nobody', 1)$$);
SELECT helper.told($$SELECT ledger.tcc_freeze('order-2', 'none', 'tcc:a', 'tcc:points', 1)$$);
SELECT helper.told($$SELECT ledger.tcc_freeze('order-2', 'none', 'tcc:a', 'tcc:b', 0)$$);
SELECT helper.told($$SELECT ledger.tcc_freeze_stock('order-2', 'none', 'T', 0)$$);
SELECT helper.told($$SELECT ledger.tcc_freeze_stock('order-2', 'none', 'tcc:a', 1)$$);
SELECT ledger.tcc_cancel('order-2');
SELECT branch, state FROM ledger.tcc_branches WHERE xid = 'order-2';
SELECT held FROM ledger.balance('tcc:a');

-- A branch tried again with any other argument is refused, and what it holds stays.
SELECT ledger.tcc_begin('again');
SELECT ledger.tcc_freeze('again', 'b', 'tcc:a', 'tcc:b', 1);
SELECT ledger.tcc_freeze('again', 'b', 'tcc:a', 'tcc:b', 1.00);
SELECT helper.told($$SELECT ledger.tcc_freeze('again', 'b', 'world', 'tcc:b', 1)$$);
SELECT helper.told($$SELECT ledger.tcc_freeze('again', 'b', 'tcc:a', 'world', 1)$$);
SELECT helper.told($$SELECT ledger.tcc_freeze('again', 'b', 'tcc:b', 'tcc:a', 1)$$);
SELECT helper.told($$SELECT ledger.tcc_freeze('again', 'b', 'tcc:a', 'tcc:b', 2)$$);
SELECT helper.told($$SELECT ledger.tcc_freeze_stock('again', 'b', 'T', 1)$$);
SELECT source, destination, amount FROM ledger.tcc_branches WHERE xid = 'again';
SELECT ledger.tcc_cancel('again');

-- A branch's hold is the transaction's alone; overdue or not, nobody else resolves it.
SELECT ledger.tcc_begin('order-3', '1 hour');
SELECT ledger.tcc_freeze('order-3', 'b', 'tcc:a', 'tcc:b', 1);
SELECT helper.told(format('SELECT ledger.post_hold(%s)', (SELECT hold FROM ledger.tcc_branches WHERE xid = 'order-3')));
SELECT helper.told(format('SELECT ledger.void_hold(%s)', (SELECT hold FROM ledger.tcc_branches WHERE xid = 'order-3')));
SELECT source, remaining, state, xid, expires_at IS NOT NULL FROM ledger.holds WHERE xid = 'order-3';

-- A frozen account: the decision stands, nothing is moved, and it goes on when it can.
SELECT ledger.freeze_account('tcc:b');
SELECT ledger.tcc_confirm('order-3');
SELECT xid, state, branches, frozen, attempts, last_error, next_at > begun_at FROM ledger.tcc_transactions WHERE xid = 'order-3';
SELECT expires_at FROM ledger.holds WHERE xid = 'order-3';
SELECT helper.told($$SELECT ledger.tcc_cancel('order-3')$$);
SELECT helper.told($$SELECT ledger.tcc_confirm_branch('order-3', 'b')$$);
SELECT ledger.unfreeze_account('tcc:b');
SELECT ledger.tcc_confirm('order-3');
SELECT xid, state, branches, frozen, attempts > 0, last_error FROM ledger.tcc_transactions WHERE xid = 'order-3';

-- So is one whose source is frozen.
SELECT ledger.tcc_begin('order-4', '1 hour'), ledger.tcc_freeze('order-4', 'b', 'tcc:a', 'tcc:b', 1), ledger.freeze_account('tcc:a');
SELECT ledger.tcc_confirm('order-4');
SELECT xid, state, branches, frozen, attempts, last_error FROM ledger.tcc_transactions WHERE xid = 'order-4';
SELECT ledger.unfreeze_account('tcc:a');
SELECT ledger.tcc_confirm('order-4');
-- Ended, it is remembered for ledger.key_ttl, whenever others are purged.
SELECT ledger.purge_requests() >= 0;
SELECT ledger.tcc_confirm('order-4'), ledger.tcc_cancel('order-2');

-- Arguments that are none.
SELECT helper.told($$SELECT ledger.tcc_begin(NULL)$$);
SELECT helper.told($$SELECT ledger.tcc_begin('')$$);
SELECT helper.told($$SELECT ledger.tcc_begin(repeat('x', 256))$$);
SELECT helper.told($$SELECT ledger.tcc_begin('x', '0')$$);
SELECT helper.told($$SELECT ledger.tcc_begin('x', '-1 s')$$);
SELECT helper.told($$SELECT ledger.tcc_begin('x', '1000 years')$$);
SELECT helper.told($$SELECT ledger.tcc_freeze('nothing', 'b', 'tcc:a', 'tcc:b', 1)$$);
SELECT helper.told($$SELECT ledger.tcc_freeze('order-3', NULL, 'tcc:a', 'tcc:b', 1)$$);
SELECT helper.told($$SELECT ledger.tcc_freeze('order-3', repeat('x', 256), 'tcc:a', 'tcc:b', 1)$$);
SELECT helper.told($$SELECT ledger.tcc_freeze('order-3', 'b', NULL, 'tcc:b', 1)$$);
SELECT helper.told($$SELECT ledger.tcc_confirm(NULL)$$);
SELECT helper.told($$SELECT ledger.tcc_cancel(NULL)$$);
SELECT helper.told($$SELECT ledger.tcc_confirm_branch('order-3', NULL)$$);
SELECT helper.told($$SELECT ledger.tcc_cancel_branch('nothing', NULL)$$);
SELECT helper.told($$SELECT ledger.tcc_expire(0)$$);

-- Every state by every call, against a model of it. Branches a and b are frozen first, 3 and 5.
CREATE FUNCTION helper.tcc_state(x text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce((SELECT t.state FROM ledger.tcc_transactions AS t WHERE t.xid = x), 'none')
           || coalesce((SELECT ' ' || string_agg(b.branch || ':' || b.state, ' ' ORDER BY b.branch) FROM ledger.tcc_branches AS b WHERE b.xid = x), '')
$$;
CREATE FUNCTION helper.tcc_call(x text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    told text;
BEGIN
    EXECUTE format(CASE call
        WHEN 'begin' THEN 'SELECT ledger.tcc_begin(%L, metadata => ''{"m": 1}'')'
        WHEN 'begin other' THEN 'SELECT ledger.tcc_begin(%L, metadata => ''{"m": 2}'')'
        WHEN 'freeze a' THEN 'SELECT ledger.tcc_freeze(%L, ''a'', ''tcc:bank'', ''tcc:points'', 3)'
        WHEN 'freeze a other' THEN 'SELECT ledger.tcc_freeze(%L, ''a'', ''tcc:bank'', ''tcc:points'', 4)'
        WHEN 'freeze c' THEN 'SELECT ledger.tcc_freeze(%L, ''c'', ''tcc:bank'', ''tcc:points'', 7)'
        WHEN 'confirm' THEN 'SELECT ledger.tcc_confirm(%L)'
        WHEN 'cancel' THEN 'SELECT ledger.tcc_cancel(%L)'
        WHEN 'confirm a' THEN 'SELECT ledger.tcc_confirm_branch(%L, ''a'')'
        WHEN 'confirm b' THEN 'SELECT ledger.tcc_confirm_branch(%L, ''b'')'
        WHEN 'confirm c' THEN 'SELECT ledger.tcc_confirm_branch(%L, ''c'')'
        WHEN 'cancel a' THEN 'SELECT ledger.tcc_cancel_branch(%L, ''a'')'
        WHEN 'cancel b' THEN 'SELECT ledger.tcc_cancel_branch(%L, ''b'')'
        WHEN 'cancel c' THEN 'SELECT ledger.tcc_cancel_branch(%L, ''c'')'
        WHEN 'expire' THEN 'SELECT ledger.tcc_expire()::text || left(%L, 0)' END, x) INTO told;
    RETURN told;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
-- Brings a transaction into a state.
CREATE FUNCTION helper.tcc_bring(x text, state text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF state IN ('none', 'canceled unbegun') THEN
        PERFORM ledger.tcc_cancel(x) WHERE state <> 'none';
        RETURN;
    END IF;
    PERFORM ledger.tcc_begin(x, CASE WHEN state IN ('overdue', 'timed out') THEN helper.ms(30) END, '{"m": 1}');
    IF state <> 'empty' THEN
        PERFORM ledger.tcc_freeze(x, 'a', 'tcc:bank', 'tcc:points', 3), ledger.tcc_freeze(x, 'b', 'tcc:bank', 'tcc:points', 5);
    END IF;
    CASE state
        WHEN 'overdue' THEN PERFORM pg_sleep_for(helper.ms(40));
        WHEN 'timed out' THEN PERFORM pg_sleep_for(helper.ms(40)), ledger.tcc_expire();
        WHEN 'confirming' THEN PERFORM ledger.tcc_confirm_branch(x, 'a');
        WHEN 'confirmed' THEN PERFORM ledger.tcc_confirm(x);
        WHEN 'canceling' THEN PERFORM ledger.tcc_cancel_branch(x, 'a');
        WHEN 'canceled' THEN PERFORM ledger.tcc_cancel(x);
        ELSE NULL;
    END CASE;
END $$;
CREATE FUNCTION helper.tcc_table(OUT state text, OUT call text, OUT told text, OUT became text, OUT again text, OUT moved numeric, OUT held numeric)
    RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    x text;
    before record;
    after record;
BEGIN
    FOR state, call IN
        SELECT s.state, c.call
        FROM unnest('{none,empty,trying,overdue,confirming,confirmed,canceling,canceled,canceled unbegun,timed out}'::text[]) WITH ORDINALITY AS s (state, i),
             unnest('{begin,begin other,freeze a,freeze a other,freeze c,confirm,cancel,confirm a,confirm b,confirm c,cancel a,cancel b,cancel c,expire}'::text[]) WITH ORDINALITY AS c (call, k)
        ORDER BY s.i, c.k
    LOOP
        x := format('%s, %s', state, call);
        SELECT b.posted, b.incoming INTO before FROM ledger.balance('tcc:points') AS b;
        PERFORM helper.tcc_bring(x, state);
        told := helper.tcc_call(x, call);
        became := helper.tcc_state(x);
        SELECT b.posted, b.incoming INTO after FROM ledger.balance('tcc:points') AS b;
        moved := after.posted - before.posted;
        held := after.incoming - before.incoming;
        -- Repeated, it tells the same and changes nothing.
        again := helper.tcc_call(x, call);
        IF again = told AND helper.tcc_state(x) = became THEN again := NULL; END IF;
        RETURN NEXT;
        PERFORM helper.tcc_call(x, 'cancel');
    END LOOP;
END $$;
CREATE TEMPORARY TABLE tcc_seen AS SELECT * FROM helper.tcc_table();
-- The model. The decision is what counts: none yet, confirm, cancel, or time up.
CREATE TEMPORARY VIEW tcc_model AS
SELECT s.state, s.call, s.told, e.told AS expected_told, s.became, e.became AS expected_became, s.again, s.moved, s.held,
       (e.became LIKE '%a:confirmed%')::int * 3 + (e.became LIKE '%b:confirmed%')::int * 5 AS expected_moved,
       (e.became LIKE '%a:frozen%')::int * CASE WHEN s.state = 'empty' AND s.call = 'freeze a other' THEN 4 ELSE 3 END + (e.became LIKE '%b:frozen%')::int * 5 + (e.became LIKE '%c:frozen%')::int * 7 AS expected_held
FROM tcc_seen AS s
CROSS JOIN LATERAL (SELECT CASE s.state
    WHEN 'none' THEN 'none' WHEN 'empty' THEN 'trying'
    WHEN 'trying' THEN 'trying a:frozen b:frozen' WHEN 'overdue' THEN 'overdue a:frozen b:frozen'
    WHEN 'confirming' THEN 'confirming a:confirmed b:frozen' WHEN 'confirmed' THEN 'confirmed a:confirmed b:confirmed'
    WHEN 'canceling' THEN 'canceling a:canceled b:frozen' WHEN 'canceled' THEN 'canceled a:canceled b:canceled'
    WHEN 'canceled unbegun' THEN 'canceled' WHEN 'timed out' THEN 'timed_out a:expired b:expired' END AS was,
    CASE WHEN s.state IN ('none', 'empty', 'trying') THEN 'none' WHEN s.state LIKE 'confirm%' THEN 'confirm'
         WHEN s.state LIKE 'cancel%' THEN 'cancel' ELSE 'late' END AS decision,
    s.state NOT IN ('none', 'empty', 'canceled unbegun') AS has_branches) AS w
CROSS JOIN LATERAL (SELECT t.told, CASE
    WHEN t.told LIKE 'LG%' THEN w.was
    WHEN s.call LIKE 'begin%' THEN CASE s.state WHEN 'none' THEN 'trying' ELSE w.was END
    WHEN s.call = 'freeze a' THEN CASE s.state WHEN 'empty' THEN 'trying a:frozen' ELSE w.was END
    WHEN s.call = 'freeze a other' THEN 'trying a:frozen'
    WHEN s.call = 'freeze c' THEN w.was || ' c:frozen'
    WHEN s.call = 'confirm' THEN CASE s.state WHEN 'empty' THEN 'confirmed' ELSE 'confirmed a:confirmed b:confirmed' END
    WHEN s.call = 'confirm a' AND s.state IN ('trying', 'confirming') THEN 'confirming a:confirmed b:frozen'
    WHEN s.call = 'confirm b' AND s.state = 'trying' THEN 'confirming a:frozen b:confirmed'
    WHEN s.call = 'confirm b' AND s.state = 'confirming' THEN 'confirmed a:confirmed b:confirmed'
    WHEN s.call LIKE 'cancel%' AND s.state IN ('none', 'empty') THEN 'canceled'
    WHEN s.call = 'cancel' AND s.state IN ('trying', 'overdue', 'canceling') THEN 'canceled a:canceled b:canceled'
    WHEN s.call = 'cancel a' AND s.state IN ('trying', 'overdue') THEN 'canceling a:canceled b:frozen'
    WHEN s.call = 'cancel b' AND s.state IN ('trying', 'overdue') THEN 'canceling a:frozen b:canceled'
    WHEN s.call = 'cancel b' AND s.state = 'canceling' THEN 'canceled a:canceled b:canceled'
    WHEN s.call = 'cancel c' AND s.state IN ('trying', 'overdue') THEN 'canceling a:frozen b:frozen'
    WHEN s.call = 'expire' AND s.state = 'overdue' THEN 'timed_out a:expired b:expired'
    ELSE w.was END AS became
  FROM (SELECT CASE
    WHEN s.call = 'expire' THEN (s.state = 'overdue')::int::text
    WHEN s.state = 'none' THEN CASE WHEN s.call LIKE 'begin%' THEN 'trying' WHEN s.call LIKE 'cancel%' THEN 'canceled' ELSE 'LG201' END
    WHEN s.call LIKE 'cancel%' THEN CASE w.decision WHEN 'confirm' THEN 'LG203' ELSE 'canceled' END
    WHEN w.decision = 'late' THEN 'LG205'
    WHEN w.decision = 'cancel' THEN 'LG202'
    WHEN s.call = 'begin' THEN CASE WHEN s.state = 'empty' THEN 'trying' ELSE s.state END
    WHEN s.call = 'begin other' THEN 'LG204'
    WHEN s.call = 'freeze a' THEN 'frozen'
    WHEN s.call = 'freeze a other' THEN CASE s.state WHEN 'empty' THEN 'frozen' ELSE 'LG204' END
    WHEN s.call = 'freeze c' THEN CASE w.decision WHEN 'confirm' THEN 'LG203' ELSE 'frozen' END
    WHEN s.call = 'confirm' THEN 'confirmed'
    WHEN s.call IN ('confirm a', 'confirm b') AND w.has_branches THEN 'confirmed'
    ELSE 'LG201' END AS told) AS t) AS e;
SELECT count(*), count(DISTINCT state), count(DISTINCT call) FROM tcc_model;
SELECT * FROM tcc_model WHERE (told, became, moved, held) IS DISTINCT FROM (expected_told, expected_became, expected_moved, expected_held);
-- Repeated, a call tells the same and changes nothing; but an expiry has nothing left to do.
SELECT state, call, told, again FROM tcc_seen WHERE again IS NOT NULL ORDER BY state, call;
SELECT call, string_agg(told, ' ' ORDER BY array_position('{none,empty,trying,overdue,confirming,confirmed,canceling,canceled,canceled unbegun,timed out}', state)) FROM tcc_seen GROUP BY call ORDER BY call;
-- Decided by a branch, the worker goes on with the rest when the timeout has passed.
BEGIN;
SELECT ledger.tcc_begin('half', helper.ms(30)), ledger.tcc_freeze('half', 'a', 'tcc:bank', 'tcc:points', 3), ledger.tcc_freeze('half', 'b', 'tcc:bank', 'tcc:points', 5), ledger.tcc_confirm_branch('half', 'b');
SELECT ledger.tcc_begin('half not', helper.ms(30)), ledger.tcc_freeze('half not', 'a', 'tcc:bank', 'tcc:points', 3), ledger.tcc_freeze('half not', 'b', 'tcc:bank', 'tcc:points', 5), ledger.tcc_cancel_branch('half not', 'b');
SELECT pg_sleep_for(helper.ms(40));
SELECT ledger.expire_holds();
SELECT ledger.tcc_expire();
SELECT helper.tcc_state('half'), helper.tcc_state('half not');
COMMIT;
-- A call short of balance takes what an overdue branch holds; then it can only be canceled.
BEGIN;
SELECT ledger.tcc_begin('slow', helper.ms(20)), ledger.tcc_freeze('slow', 'a', 'tcc:a', 'tcc:b', (SELECT available FROM ledger.balance('tcc:a')));
SELECT pg_sleep_for(helper.ms(30));
SELECT ledger.transfer('tcc:a', 'world', (SELECT posted FROM ledger.balance('tcc:a'))) > 0;
SELECT helper.tcc_state('slow');
SELECT helper.told($$SELECT ledger.tcc_confirm('slow')$$);
SELECT helper.told($$SELECT ledger.tcc_confirm_branch('slow', 'a')$$);
SELECT ledger.tcc_cancel('slow');
SELECT helper.tcc_state('slow');
ROLLBACK;
-- Ten thousand branches in one transaction.
BEGIN;
SELECT ledger.tcc_begin('many', NULL);
SELECT count(ledger.tcc_freeze('many', 'b' || i, 'tcc:bank', 'tcc:points', 1)) FROM generate_series(1, 10000) AS i;
SELECT ledger.tcc_confirm('many');
COMMIT;
SELECT state, branches, frozen FROM ledger.tcc_transactions WHERE xid = 'many';
SELECT posted, incoming FROM ledger.balance('tcc:points');
-- Ended ones are forgotten in time, and their xids are fresh again.
BEGIN;
SET LOCAL ledger.key_ttl = 1;
SELECT ledger.tcc_begin('old'), ledger.tcc_freeze('old', 'b', 'tcc:bank', 'tcc:points', 1), ledger.tcc_confirm('old'), ledger.tcc_cancel('old unbegun');
SELECT pg_sleep(1.01);
SELECT ledger.purge_requests() >= 2;
SELECT count(*) FROM ledger.tcc_transactions WHERE xid LIKE 'old%';
SELECT count(*) FROM ledger.tcc_branches WHERE xid LIKE 'old%';
SELECT ledger.tcc_begin('old'), ledger.tcc_begin('old unbegun');
COMMIT;
SELECT * FROM ledger.check_invariants();
