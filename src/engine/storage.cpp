#include "engine/storage.hpp"

#include "pg/table.hpp"

namespace ledger {

namespace {

Storage cached;
bool cache_valid = false;
std::uint32_t invalidations = 0;

Oid relation_named(Oid schema, const char *name) {
    const Oid relation = get_relname_relid(name, schema);
    if (!OidIsValid(relation))
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("relation \"ledger_data.%s\" is missing", name),
                errhint("Drop and create the extension again; restore its data from a dump."));
    return relation;
}

// WHERE column < 'infinity', nothing else.
bool is_before_infinity(List *predicate, AttrNumber column) {
    if (list_length(predicate) != 1 || !IsA(linitial(predicate), OpExpr)) return false;
    const auto *comparison = linitial_node(OpExpr, predicate);
    const auto *left = static_cast<const Node *>(linitial(comparison->args));
    const auto *right = static_cast<const Node *>(lsecond(comparison->args));
    if (comparison->opfuncid != F_TIMESTAMPTZ_LT || !IsA(left, Var) || !IsA(right, Const)) return false;
    const auto *infinity = reinterpret_cast<const Const *>(right);
    return reinterpret_cast<const Var *>(left)->varattno == column && !infinity->constisnull &&
           DatumGetTimestampTz(infinity->constvalue) == DT_NOEND;
}

// Rows are indexed without the executor, as PostgreSQL indexes its catalogs. Of a partial index or
// one with expressions nobody would ask which rows belong in it: it would silently go wrong. But
// those of holds by their deadline are known (hold.cpp, put_hold).
void check_indexes(Relation table, AttrNumber deadline) {
    ListCell *cell;
    foreach (cell, RelationGetIndexList(table)) {
        Relation index = index_open(lfirst_oid(cell), AccessShareLock);
        List *predicate = RelationGetIndexPredicate(index);
        const bool is_known = predicate == NIL || is_before_infinity(predicate, deadline);
        if (RelationGetIndexExpressions(index) != NIL || !is_known)
            ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("index \"%s\" on a table of the ledger is partial or has expressions",
                           RelationGetRelationName(index)),
                    errhint("Drop it; plain indexes on columns are fine."));
        index_close(index, AccessShareLock);
    }
}

// Rows are read and written as heap tuples.
void check_access_method(Relation table) {
    if (table->rd_rel->relam == HEAP_TABLE_AM_OID) return;
    ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("table \"ledger_data.%s\" is not a heap table", RelationGetRelationName(table)),
            errhint("Run ALTER TABLE ... SET ACCESS METHOD heap."));
}

// A table with another number of columns than this library maps belongs to another version.
// deadline: the column by which it may have partial indexes.
// earlier_count: of a version that the library works with, until ALTER EXTENSION UPDATE.
Oid table_named(Oid schema, const char *name, int column_count, AttrNumber deadline = InvalidAttrNumber,
                int earlier_count = 0) {
    const Oid relation = relation_named(schema, name);
    with_table(relation, AccessShareLock, [&](Relation table) {
        const int columns = RelationGetNumberOfAttributes(table);
        if (columns != column_count && columns != earlier_count)
            ereport(
                ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("table \"ledger_data.%s\" has %d columns, this library knows %d", name, columns,
                       column_count),
                errhint(
                    "Run ALTER EXTENSION ledger UPDATE, or restart the server with the matching library."));
        check_access_method(table);
        check_indexes(table, deadline);
    });
    return relation;
}

void forget(Datum, Oid relation) {
    ++invalidations;
    for (const Oid ours : {InvalidOid, cached.asset, cached.account, cached.balance, cached.transfer,
                           cached.installation, cached.request, cached.client, cached.hold, cached.tcc,
                           cached.tcc_branch, cached.audit, cached.seal})
        if (relation == ours) cache_valid = false;
}

Storage look_up() {
    const Oid extension = get_extension_oid("ledger", true);
    const Oid schema = get_namespace_oid("ledger_data", true);
    if (!OidIsValid(extension) || !OidIsValid(schema))
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("extension \"ledger\" is not installed in this database"),
                errhint("Run CREATE EXTENSION ledger."));
    Storage s = {};
    s.extension = extension;
    s.asset = table_named(schema, "asset", AssetColumn::count);
    s.asset_by_id = relation_named(schema, "asset_pkey");
    s.asset_by_code = relation_named(schema, "asset_code_key");
    s.account = table_named(schema, "account", AccountColumn::count);
    s.account_by_id = relation_named(schema, "account_pkey");
    s.account_by_code = relation_named(schema, "account_code_key");
    s.balance = table_named(schema, "balance", BalanceColumn::count);
    s.balance_by_account = relation_named(schema, "balance_pkey");
    s.transfer = table_named(schema, "transfer", TransferColumn::count);
    s.transfer_by_id = relation_named(schema, "transfer_pkey");
    s.transfer_by_debit = relation_named(schema, "transfer_debit_account_txid_idx");
    s.transfer_by_credit = relation_named(schema, "transfer_credit_account_txid_idx");
    s.installation = table_named(schema, "installation", InstallationColumn::count);
    s.request = table_named(schema, "request", RequestColumn::count, InvalidAttrNumber,
                            RequestColumn::count_before_0_3);
    s.request_by_key = relation_named(schema, "request_pkey");
    s.client = table_named(schema, "client", ClientColumn::count);
    s.client_by_name = relation_named(schema, "client_pkey");
    s.request_by_expiry = relation_named(schema, "request_expires_at_idx");
    s.hold = table_named(schema, "hold", HoldColumn::count, HoldColumn::due_at);
    s.hold_by_transfer = relation_named(schema, "hold_pkey");
    s.hold_by_due = relation_named(schema, "hold_due_at_idx");
    s.hold_by_debit = relation_named(schema, "hold_debit_account_due_at_idx");
    s.hold_by_credit = get_relname_relid("hold_credit_account_due_at_idx", schema);
    if (OidIsValid(s.hold_by_credit) && !get_index_isvalid(s.hold_by_credit)) s.hold_by_credit = InvalidOid;
    s.tcc = table_named(schema, "tcc", TccColumn::count);
    s.tcc_by_xid = relation_named(schema, "tcc_pkey");
    s.tcc_by_due = relation_named(schema, "tcc_due_at_idx");
    s.tcc_branch = table_named(schema, "tcc_branch", TccBranchColumn::count);
    s.tcc_branch_by_name = relation_named(schema, "tcc_branch_pkey");
    s.audit = table_named(schema, "audit", AuditColumn::count);
    s.audit_by_id = relation_named(schema, "audit_pkey");
    s.seal = table_named(schema, "seal", SealColumn::count);
    s.seal_by_number = relation_named(schema, "seal_pkey");
    return s;
}

}  // namespace

const Storage &storage() {
    while (!cache_valid) {
        const std::uint32_t seen = invalidations;
        Storage fresh = look_up();
        fresh.epoch = cached.epoch + 1;
        cached = fresh;
        cache_valid = seen == invalidations;  // else something changed under the look-up
    }
    return cached;
}

void register_storage_invalidation() {
    CacheRegisterRelcacheCallback(forget, Datum{0});
}

}  // namespace ledger
