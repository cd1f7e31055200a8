-- The contract of schema ledger: what is there, of what shape, and who may use it.
SET client_min_messages = warning;
BEGIN;
SELECT * FROM no_plan();

-- name, arguments, result, volatility, security definer
CREATE TEMPORARY TABLE contract (name text, arguments text[], result text, volatility text, definer boolean);
INSERT INTO contract VALUES
    ('create_asset', '{text,integer,text,text}', 'void', 'volatile', true),
    ('open_account', '{text,text,numeric,numeric,jsonb,text}', 'bigint', 'volatile', true),
    ('alter_account', '{text,numeric,numeric,jsonb,text}', 'void', 'volatile', false),
    ('freeze_account', '{text,text}', 'void', 'volatile', false),
    ('unfreeze_account', '{text,text}', 'void', 'volatile', false),
    ('close_account', '{text,text}', 'void', 'volatile', false),
    ('transfer', '{text,text,numeric,text,jsonb}', 'bigint', 'volatile', false),
    ('try_transfer', '{text,text,numeric,text,jsonb}', 'bigint', 'volatile', false),
    ('transfer_batch', '{text[],text[],numeric[],text[],boolean}', 'setof record', 'volatile', false),
    ('transfer_up_to', '{text,text,numeric,text,jsonb}', 'record', 'volatile', false),
    ('reverse_transfer', '{bigint,text,text}', 'bigint', 'volatile', true),
    ('balance', '{text}', 'record', 'stable', false),
    ('balance_at', '{text,timestamp with time zone}', 'numeric', 'stable', true),
    ('statement', '{text,timestamp with time zone,timestamp with time zone}', 'setof record', 'stable', true),
    ('create_stock', '{text,bigint,jsonb,text}', 'bigint', 'volatile', true),
    ('add_stock', '{text,bigint,text}', 'bigint', 'volatile', false),
    ('restore_stock', '{text,bigint,text}', 'bigint', 'volatile', false),
    ('deduct_stock', '{text,bigint,text,jsonb}', 'bigint', 'volatile', false),
    ('try_deduct_stock', '{text,bigint,text,jsonb}', 'bigint', 'volatile', false),
    ('deduct_stocks', '{text[],bigint[],text}', 'setof record', 'volatile', false),
    ('hold', '{text,text,numeric,interval,text,jsonb}', 'bigint', 'volatile', false),
    ('post_hold', '{bigint,numeric,text,boolean}', 'bigint', 'volatile', false),
    ('void_hold', '{bigint,text}', 'bigint', 'volatile', false),
    ('expire_holds', '{integer}', 'integer', 'volatile', false),
    ('reserve_stock', '{text,bigint,interval,text}', 'bigint', 'volatile', false),
    ('reserve_stocks', '{text[],bigint[],interval,text}', 'setof record', 'volatile', false),
    ('confirm_reservation', '{bigint,text}', 'bigint', 'volatile', false),
    ('release_reservation', '{bigint,text}', 'bigint', 'volatile', false),
    ('tcc_begin', '{text,interval,jsonb}', 'text', 'volatile', false),
    ('tcc_freeze', '{text,text,text,text,numeric}', 'text', 'volatile', false),
    ('tcc_freeze_stock', '{text,text,text,bigint}', 'text', 'volatile', false),
    ('tcc_confirm', '{text}', 'text', 'volatile', false),
    ('tcc_cancel', '{text}', 'text', 'volatile', false),
    ('tcc_confirm_branch', '{text,text}', 'text', 'volatile', false),
    ('tcc_cancel_branch', '{text,text}', 'text', 'volatile', false),
    ('tcc_expire', '{integer}', 'integer', 'volatile', false),
    ('issue_request_token', '{text,interval}', 'text', 'volatile', false),
    ('begin_request', '{text,jsonb,text,interval,interval,boolean}', 'record', 'volatile', false),
    ('complete_request', '{text,jsonb,text,integer}', 'void', 'volatile', false),
    ('fail_request', '{text,jsonb,text,boolean,integer}', 'void', 'volatile', false),
    ('accept_message', '{text,text}', 'boolean', 'volatile', false),
    ('purge_requests', '{integer}', 'integer', 'volatile', false),
    ('add_client', '{text,text}', 'text', 'volatile', true),
    ('rotate_client', '{text,text,interval}', 'text', 'volatile', true),
    ('remove_client', '{text}', 'void', 'volatile', true),
    ('sign_request', '{text,text,timestamp with time zone,text,text}', 'text', 'stable', true),
    ('verify_signed_request', '{text,text,timestamp with time zone,text,text}', 'boolean', 'volatile', true),
    ('fold', '{integer}', 'bigint', 'volatile', true),
    ('check_invariants', '{}', 'setof record', 'volatile', true),
    ('seal', '{}', 'bigint', 'volatile', true),
    ('digest', '{}', 'jsonb', 'volatile', true),
    ('verify', '{text}', 'setof record', 'volatile', true),
    ('verify_digest', '{jsonb}', 'setof record', 'volatile', true),
    ('inclusion_proof', '{bigint}', 'jsonb', 'stable', true),
    ('consistency_proof', '{bigint,bigint}', 'jsonb', 'stable', true),
    ('audit', '{}', 'trigger', 'volatile', false),
    ('audit_change', '{bigint}', 'record', 'stable', true),
    ('enable_audit', '{regclass,name[]}', 'void', 'volatile', false),
    ('disable_audit', '{regclass}', 'void', 'volatile', false),
    ('check_audit', '{}', 'setof record', 'stable', true),
    ('grant_access', '{regrole,text}', 'void', 'volatile', false),
    ('revoke_access', '{regrole}', 'void', 'volatile', false);

SELECT functions_are('ledger', array_agg(name::name), 'schema ledger has these functions and no other') FROM contract;
SELECT has_function('ledger', name::name, arguments::name[]) FROM contract;
SELECT function_returns('ledger', name::name, arguments::name[], result) FROM contract;
SELECT volatility_is('ledger', name::name, arguments::name[], volatility) FROM contract;
SELECT CASE WHEN definer THEN is_definer('ledger', name::name, arguments::name[])
            ELSE isnt_definer('ledger', name::name, arguments::name[]) END FROM contract;
-- A NULL is refused, not skipped: none that changes something is STRICT.
SELECT isnt_strict('ledger', name::name, arguments::name[]) FROM contract WHERE name <> 'sign_request';

SELECT views_are('ledger', '{accounts,transfers,entries,stock,holds,tcc_transactions,tcc_branches,requests,stat,audit_log,audit_records,transfer_records,seal_records,verify_progress}'::name[]);
SELECT tables_are('ledger', '{}'::name[]);
SELECT columns_are('ledger', 'accounts', '{account,asset,posted,held,incoming,available,floor,ceiling,state,opened_at,metadata}'::name[]);
SELECT columns_are('ledger', 'transfers', '{id,kind,source,destination,asset,amount,ref,txid,created_at,metadata}'::name[]);
SELECT columns_are('ledger', 'entries', '{transfer_id,account,asset,amount,counterparty,kind,created_at}'::name[]);
SELECT columns_are('ledger', 'stock', '{sku,on_hand,reserved,available,sold}'::name[]);
SELECT columns_are('ledger', 'requests', '{kind,scope,key,state,retryable,attempt,leased_until,fingerprint,arguments,response,transfer_id,begun_at,expires_at,role}'::name[]);
SELECT columns_are('ledger', 'stat', '{transfers,refusals,slot_loads,evictions,folds,longest_tail,lanes_in_use,slots_in_use,slots_total,prepared_effects,worker_pid,worker_due_at}'::name[]);
SELECT columns_are('ledger', 'audit_log', '{id,lane,seq,at,txid,relation_oid,relation,operation,key,old,new,actor,acting_as,application,client,hash}'::name[]);
SELECT columns_are('ledger', 'audit_records', '{id,lane,seq,txid,at_us,relation_oid,relation,operation,key,old,new,actor,acting_as,application,client,hash}'::name[]);
SELECT columns_are('ledger', 'transfer_records', '{id,lane,seq,kind,debit_account,credit_account,amount,ref,txid,created_us,metadata,hash}'::name[]);
SELECT columns_are('ledger', 'seal_records', '{number,sealed_us,transfers,transfer_root,audits,audit_root,from_id,until_id,heads,previous,hash}'::name[]);
SELECT columns_are('ledger', 'verify_progress', '{pid,done,total,began_at}'::name[]);
SELECT columns_are('ledger', 'holds', '{id,source,destination,asset,amount,posted,remaining,state,expires_at,xid,created_at,metadata}'::name[]);
SELECT columns_are('ledger', 'tcc_transactions', '{xid,state,age,branches,frozen,expires_at,next_at,attempts,last_error,begun_at,ended_at,metadata}'::name[]);
SELECT columns_are('ledger', 'tcc_branches', '{xid,branch,state,source,destination,asset,amount,hold,tried_at}'::name[]);

SELECT is(array_to_string(proargnames, ' '), expected, oid::regprocedure::text || ' names its arguments and results')
FROM pg_proc JOIN (VALUES
    ('ledger.transfer(text,text,numeric,text,jsonb)', 'source destination amount key metadata'),
    ('ledger.transfer_batch(text[],text[],numeric[],text[],boolean)', 'sources destinations amounts keys atomic ordinal transfer_id status'),
    ('ledger.transfer_up_to(text,text,numeric,text,jsonb)', 'source destination maximum key metadata transfer_id amount'),
    ('ledger.balance(text)', 'account asset posted held incoming available'),
    ('ledger.statement(text,timestamptz,timestamptz)', 'account from_time to_time transfer_id created_at kind counterparty amount balance metadata'),
    ('ledger.deduct_stock(text,bigint,text,jsonb)', 'sku quantity key metadata'),
    ('ledger.deduct_stocks(text[],bigint[],text)', 'skus quantities key sku remaining'),
    ('ledger.hold(text,text,numeric,interval,text,jsonb)', 'source destination amount ttl key metadata'),
    ('ledger.post_hold(bigint,numeric,text,boolean)', 'hold amount key final'),
    ('ledger.reserve_stocks(text[],bigint[],interval,text)', 'skus quantities ttl key sku reservation remaining'),
    ('ledger.tcc_begin(text,interval,jsonb)', 'xid timeout metadata'),
    ('ledger.tcc_freeze(text,text,text,text,numeric)', 'xid branch source destination amount'),
    ('ledger.begin_request(text,jsonb,text,interval,interval,boolean)', 'key payload scope lease ttl require_token state response attempt'),
    ('ledger.complete_request(text,jsonb,text,integer)', 'key response scope attempt'),
    ('ledger.fail_request(text,jsonb,text,boolean,integer)', 'key error scope retryable attempt'),
    ('ledger.verify_signed_request(text,text,timestamptz,text,text)', 'client payload signed_at nonce signature'),
    ('ledger.audit_change(bigint)', 'id key old new'),
    ('ledger.verify(text)', 'scope scope lane seq id problem'),
    ('ledger.verify_digest(jsonb)', 'digest scope lane seq id problem'),
    ('ledger.check_audit()', 'relation problem'),
    ('ledger.check_invariants()', 'invariant subject detail')) AS e (signature, expected)
    ON oid = e.signature::regprocedure;

-- Whoever runs with other rights than the caller's pins the search path.
SELECT is_empty(
    $$SELECT oid::regprocedure FROM pg_proc
      WHERE pronamespace IN ('ledger'::regnamespace, 'ledger_data'::regnamespace) AND prosecdef
        AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)$$,
    'every SECURITY DEFINER function pins its search_path');
SELECT is_empty(
    $$SELECT oid::regprocedure FROM pg_proc
      WHERE pronamespace IN ('ledger'::regnamespace, 'ledger_data'::regnamespace) AND prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c')
        AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)$$,
    'so does every function in SQL or PL/pgSQL');
SELECT is_empty(
    $$SELECT oid::regprocedure FROM pg_proc
      WHERE pronamespace IN ('ledger'::regnamespace, 'ledger_data'::regnamespace) AND provolatile = 'v' AND proparallel <> 'u' AND proname <> 'refuse'$$,
    'nothing that writes runs in parallel');

-- Nothing for PUBLIC, nothing at all on the tables.
SELECT is_empty(
    $$SELECT p.oid::regprocedure FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
      WHERE p.pronamespace IN ('ledger'::regnamespace, 'ledger_data'::regnamespace) AND a.grantee = 0$$,
    'no function is granted to PUBLIC');
SELECT is_empty(
    $$SELECT c.oid::regclass FROM pg_class AS c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a
      WHERE c.relnamespace IN ('ledger'::regnamespace, 'ledger_data'::regnamespace) AND a.grantee <> c.relowner$$,
    'no table or view is granted to anybody');
SELECT is_empty(
    $$SELECT n.nspname FROM pg_namespace AS n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
      WHERE n.nspname IN ('ledger', 'ledger_data') AND a.grantee <> n.nspowner$$,
    'no schema is granted to anybody');

-- \df+ and \dd explain everything.
SELECT is_empty(
    $$SELECT oid::regprocedure FROM pg_proc
      WHERE pronamespace IN ('ledger'::regnamespace, 'ledger_data'::regnamespace) AND obj_description(oid, 'pg_proc') IS NULL$$,
    'every function has a comment');
SELECT is_empty(
    $$SELECT oid::regclass FROM pg_class
      WHERE relnamespace IN ('ledger'::regnamespace, 'ledger_data'::regnamespace) AND relkind IN ('r', 'v') AND obj_description(oid, 'pg_class') IS NULL$$,
    'every table and view has a comment');

-- What a dump must take along, and the one table it must not.
SELECT is(string_agg(t::regclass::text, ' ' ORDER BY t::regclass::text),
          'ledger_data.account ledger_data.asset ledger_data.audit ledger_data.balance ledger_data.client ledger_data.hold ledger_data.request ledger_data.reversal ledger_data.seal ledger_data.tcc ledger_data.tcc_branch ledger_data.transfer',
          'pg_dump takes the data, not the installation')
FROM pg_extension, unnest(extconfig) AS t WHERE extname = 'ledger';
SELECT * FROM finish();
ROLLBACK;
