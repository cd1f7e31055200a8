-- What is measured: the SKU 1001, and payer to payee. The SKUs other-N and busy are of the rest of the shop.
SELECT ledger.create_stock('1001', 1000000000), ledger.create_stock('busy', 1000000000);
SELECT count(ledger.create_stock('other-' || n, 10)) FROM generate_series(1, 590) AS n;
SELECT ledger.create_asset('EUR', 2), ledger.open_account('bank', 'EUR', floor => NULL), ledger.open_account('payer', 'EUR'),
       ledger.open_account('payee', 'EUR'), ledger.transfer('bank', 'payer', 1000000000);
CREATE TABLE movement (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sku text, quantity bigint);

CREATE VIEW problem AS SELECT * FROM ledger.check_invariants();
