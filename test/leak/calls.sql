-- What the leak check calls: plpgsql statements in which i counts the calls, so that
-- names can be new each time. Together they call every function of the schema ledger,
-- which check.sql sees to. refusal: the SQLSTATE that the work must raise. one_in: for
-- work that reads the whole ledger or makes catalog rows, which is done less often.
CREATE SCHEMA leak;
CREATE TABLE leak.call (ordinal int GENERATED ALWAYS AS IDENTITY, name text PRIMARY KEY, work text NOT NULL, refusal text, one_in int NOT NULL DEFAULT 1);

SELECT ledger.create_asset('USD', 2);
SELECT ledger.open_account(code, 'USD', floor => NULL) FROM unnest('{world,a,b,c}'::text[]) AS code;
SELECT ledger.open_account('poor', 'USD');
SELECT ledger.open_account('frozen', 'USD'), ledger.freeze_account('frozen');
SELECT ledger.open_account('capped', 'USD', ceiling => 0);
SELECT ledger.create_stock('sku', 1000000000), ledger.create_stock('other', 1000000000);
SELECT ledger.add_client('shop', '0123456789abcdef0123456789abcdef');
SELECT ledger.begin_request('done'), ledger.complete_request('done', '{"answer": 1}');
SELECT ledger.transfer('world', 'a', 1, 'taken');
SELECT ledger.seal();
CREATE TABLE leak.plain (id bigint PRIMARY KEY, note text, amount numeric, tags jsonb);
CREATE TABLE leak.audited (LIKE leak.plain INCLUDING ALL);
SELECT ledger.enable_audit('leak.audited', '{tags}');
CREATE TYPE leak.part AS (relation regclass, paid money, at timestamptz[]);
CREATE TABLE leak.nested (id bigint PRIMARY KEY, parts leak.part[], numbers integer[], price money);
SELECT ledger.enable_audit('leak.nested');
CREATE ROLE leak_clerk;

INSERT INTO leak.call (name, work, refusal, one_in) VALUES
-- What reads the whole ledger, while it is small.
('verify', $$PERFORM ledger.verify(), ledger.verify('audit');$$, NULL, 20),
('check_invariants', $$PERFORM ledger.check_invariants();$$, NULL, 20),
('check_audit', $$PERFORM ledger.check_audit();$$, NULL, 20),
('verify_digest', $$PERFORM ledger.verify_digest(ledger.digest());$$, NULL, 20),
('digest', $$PERFORM ledger.digest();$$, NULL, 1),
('proofs', $$PERFORM ledger.inclusion_proof(min(id)) FROM ledger_data.transfer; PERFORM ledger.consistency_proof(1);$$, NULL, 1),
('unknown proof', $$PERFORM ledger.inclusion_proof(1);$$, 'LG010', 1),
('views', $$PERFORM count(*) FROM ledger.accounts; PERFORM count(*) FROM ledger.stock; PERFORM count(*) FROM ledger.stat; PERFORM count(*) FROM ledger.verify_progress;$$, NULL, 10),
('fold', $$PERFORM ledger.transfer('world', 'a', 0.01), ledger.fold();$$, NULL, 10),
('seal', $$PERFORM ledger.transfer('world', 'a', 0.01), ledger.seal();$$, NULL, 10),
-- Accounts.
('create_asset', $$PERFORM ledger.create_asset('A' || i, (i % 19)::int); PERFORM ledger.create_asset('USD', 2);$$, NULL, 1),
('unknown asset', $$PERFORM ledger.open_account('none', 'none');$$, 'LG008', 1),
('open and close', $$PERFORM ledger.open_account('n' || i, 'USD', metadata => '{"n": 1}'); PERFORM ledger.close_account('n' || i);$$, NULL, 1),
('open with a key', $$PERFORM ledger.open_account('k' || i, 'USD', key => 'open' || i), ledger.open_account('k' || i, 'USD', key => 'open' || i);$$, NULL, 1),
('account exists', $$PERFORM ledger.open_account('a', 'USD');$$, 'LG003', 1),
('alter_account', $$PERFORM ledger.alter_account('b', ceiling => 1000000000 + i), ledger.alter_account('c', metadata => jsonb_build_object('i', i));$$, NULL, 1),
('freeze and unfreeze', $$PERFORM ledger.freeze_account('c'), ledger.unfreeze_account('c');$$, NULL, 1),
-- Transfers.
('transfer', $$PERFORM ledger.transfer('world', 'a', 0.01);$$, NULL, 1),
('transfer with metadata', $$PERFORM ledger.transfer('world', 'a', 0.01, metadata => '{"order": 7, "lines": [1, 2, 3]}');$$, NULL, 1),
('transfer with a key', $$PERFORM ledger.transfer('world', 'a', 0.01, 'k' || i), ledger.transfer('world', 'a', 0.01, 'k' || i);$$, NULL, 1),
('short', $$PERFORM ledger.transfer('poor', 'a', 1);$$, 'LG001', 1),
('unknown account', $$PERFORM ledger.transfer('a', 'nobody', 1);$$, 'LG002', 1),
('frozen', $$PERFORM ledger.transfer('a', 'frozen', 1);$$, 'LG004', 1),
('over the ceiling', $$PERFORM ledger.transfer('a', 'capped', 1);$$, 'LG005', 1),
('no amount', $$PERFORM ledger.transfer('a', 'b', 0.001);$$, 'LG006', 1),
('another asset', $$PERFORM ledger.transfer('a', 'sku', 1);$$, 'LG007', 1),
('another call of the key', $$PERFORM ledger.transfer('world', 'a', i + 1, 'taken');$$, 'LG301', 1),
('try_transfer', $$PERFORM ledger.try_transfer('a', 'b', 0.01), ledger.try_transfer('poor', 'b', 0.01), ledger.try_transfer('poor', 'b', 0.01, 't' || i);$$, NULL, 1),
('transfer_up_to', $$PERFORM ledger.transfer_up_to('a', 'b', 0.02), ledger.transfer_up_to('poor', 'b', 5);$$, NULL, 1),
('transfer_batch', $$PERFORM ledger.transfer_batch('{world,a}', '{a,b}', '{0.02,0.01}');$$, NULL, 1),
('transfer_batch each on its own', $$PERFORM ledger.transfer_batch('{world,poor,a}', '{a,b,nobody}', '{0.02,1,1}', ARRAY['one' || i, NULL, 'other' || i], false);$$, NULL, 1),
('refused batch', $$PERFORM ledger.transfer_batch('{world,poor}', '{a,b}', '{0.02,1}');$$, 'LG001', 1),
('reverse_transfer', $$PERFORM ledger.reverse_transfer(ledger.transfer('world', 'a', 0.01), reason => 'wrong');$$, NULL, 1),
('undone', $$PERFORM ledger.transfer('world', 'a', 0.01); RAISE SQLSTATE 'UNDO1';$$, 'UNDO1', 1),
('reads', $$PERFORM ledger.balance('a'), ledger.balance('sku');$$, NULL, 1),
('reads back', $$PERFORM ledger.balance_at('poor', clock_timestamp()); PERFORM ledger.statement('poor');$$, NULL, 1),
-- Holds.
('post_hold', $$PERFORM ledger.post_hold(ledger.hold('a', 'b', 0.02), 0.01);$$, NULL, 1),
('void_hold', $$PERFORM ledger.void_hold(ledger.hold('a', 'b', 0.02, '1 day', 'h' || i), 'v' || i);$$, NULL, 1),
('refused hold', $$PERFORM ledger.hold('poor', 'b', 1);$$, 'LG001', 1),
('unknown hold', $$PERFORM ledger.post_hold(i);$$, 'LG101', 1),
('expire_holds', $$PERFORM ledger.hold('a', 'b', 0.01, '1 microsecond'), ledger.expire_holds();$$, NULL, 1),
-- Stock.
('create_stock', $$PERFORM ledger.create_stock('s' || i, 5);$$, NULL, 1),
('deduct_stock', $$PERFORM ledger.deduct_stock('sku', 1), ledger.deduct_stock('sku', 1, 'd' || i), ledger.deduct_stock('sku', 1, 'd' || i);$$, NULL, 1),
('stock short', $$PERFORM ledger.deduct_stock('sku', 1000000000000);$$, 'LG001', 1),
('try_deduct_stock', $$PERFORM ledger.try_deduct_stock('sku', 1), ledger.try_deduct_stock('sku', 1000000000000);$$, NULL, 1),
('add and restore', $$PERFORM ledger.add_stock('sku', 3), ledger.deduct_stock('sku', 1), ledger.restore_stock('sku', 1);$$, NULL, 1),
('deduct_stocks', $$PERFORM ledger.deduct_stocks('{sku,other}', '{1,2}'), ledger.deduct_stocks('{sku,other}', '{1,2}', 'cart' || i), ledger.deduct_stocks('{sku,other}', '{1,2}', 'cart' || i);$$, NULL, 1),
('cart short', $$PERFORM ledger.deduct_stocks('{sku,other}', '{1,1000000000000}');$$, 'LG001', 1),
('reserve_stock', $$PERFORM ledger.confirm_reservation(ledger.reserve_stock('sku', 1)), ledger.release_reservation(ledger.reserve_stock('sku', 1, '1 day', 'r' || i));$$, NULL, 1),
('reserve_stocks', $$PERFORM ledger.release_reservation(r.reservation) FROM ledger.reserve_stocks('{sku,other}', '{1,2}') AS r;$$, NULL, 1),
-- TCC.
('tcc_confirm', $$PERFORM ledger.tcc_begin('x' || i), ledger.tcc_freeze('x' || i, '1', 'a', 'b', 0.01), ledger.tcc_freeze_stock('x' || i, '2', 'sku', 1), ledger.tcc_confirm('x' || i);$$, NULL, 1),
('tcc_cancel', $$PERFORM ledger.tcc_begin('y' || i, metadata => '{"n": 1}'), ledger.tcc_freeze('y' || i, '1', 'a', 'b', 0.01), ledger.tcc_cancel('y' || i), ledger.tcc_cancel('y' || i);$$, NULL, 1),
('branches', $$PERFORM ledger.tcc_begin('z' || i), ledger.tcc_freeze('z' || i, '1', 'a', 'b', 0.01), ledger.tcc_confirm_branch('z' || i, '1'), ledger.tcc_cancel_branch('w' || i, '1');$$, NULL, 1),
('tcc refused', $$PERFORM ledger.tcc_confirm('none');$$, 'LG201', 1),
('tcc_expire', $$PERFORM ledger.tcc_begin('e' || i, '1 microsecond'), ledger.tcc_expire();$$, NULL, 1),
-- Requests.
('requests', $$PERFORM ledger.begin_request('q' || i, '{"n": 1}'), ledger.complete_request('q' || i, '{"answer": 1}'), ledger.begin_request('q' || i, '{"n": 1}');$$, NULL, 1),
('failed requests', $$PERFORM ledger.begin_request('f' || i), ledger.fail_request('f' || i, '{"why": 1}', retryable => false), ledger.begin_request('f' || i);$$, NULL, 1),
('unknown request', $$PERFORM ledger.complete_request('none');$$, 'LG302', 1),
('request not in progress', $$PERFORM ledger.complete_request('done');$$, 'LG304', 1),
('issue_request_token', $$PERFORM ledger.begin_request(ledger.issue_request_token(), require_token => true);$$, NULL, 1),
('accept_message', $$PERFORM ledger.accept_message('billing', 'm' || i), ledger.accept_message('billing', 'm' || i);$$, NULL, 1),
('signatures', $$PERFORM ledger.verify_signed_request('shop', 'pay', now(), 'n' || i, ledger.sign_request('shop', 'pay', now(), 'n' || i, '0123456789abcdef0123456789abcdef'));$$, NULL, 1),
('bad signature', $$PERFORM ledger.verify_signed_request('shop', 'pay', now(), 'n' || i, 'x');$$, 'LG307', 1),
('clients', $$PERFORM ledger.add_client('c' || i), ledger.rotate_client('c' || i), ledger.remove_client('c' || i);$$, NULL, 1),
('purge_requests', $$PERFORM ledger.begin_request('p' || i, lease => '1 microsecond', ttl => '1 microsecond'), ledger.purge_requests();$$, NULL, 1),
-- Audit.
('audited rows', $$/* ledger.audit() */ INSERT INTO leak.audited VALUES (i, 'new', 1.5, '{"a": [1, 2]}'); UPDATE leak.audited SET amount = i, note = repeat('x', 3000) WHERE id = i; DELETE FROM leak.audited WHERE id = i;$$, NULL, 1),
('nested rows', $$SET search_path = public; INSERT INTO leak.nested VALUES (i, '{"(pg_class,1,{now})"}', '[0:1]={1,2}', i);$$, NULL, 1),
('audit_change', $$PERFORM ledger.audit_change(max(id)) FROM ledger_data.audit;$$, NULL, 1),
('unknown change', $$PERFORM ledger.audit_change(1);$$, 'LG010', 1),
('audit and no audit', $$PERFORM ledger.enable_audit('leak.plain'), ledger.disable_audit('leak.plain');$$, NULL, 100),
('no such column', $$PERFORM ledger.enable_audit('leak.plain', '{none}');$$, '42703', 10),
-- Access.
('access', $$PERFORM ledger.grant_access('leak_clerk', 'writer'), ledger.revoke_access('leak_clerk');$$, NULL, 200);
