#include "chain/row.hpp"

#include "pg/bytes.hpp"
#include "pg/time.hpp"

extern "C" {
#include "lib/stringinfo.h"
}

namespace ledger {

namespace {

Text utf8_column(HeapTuple tuple, AttrNumber column, TupleDesc shape) {
    const Text bytes = column_bytes(tuple, column, shape);
    return bytes ? utf8_of(*bytes) : bytes;
}

TransferRecord transfer_of(HeapTuple tuple, TupleDesc shape) {
    const TransferRow &row = *row_of<TransferRow>(tuple);
    bool is_null;
    const Datum metadata = heap_getattr(tuple, TransferColumn::metadata, shape, &is_null);
    return {{static_cast<std::int64_t>(row.id), LaneNumber{row.lane}, row.seq},
            row.kind,
            row.debit_account,
            row.credit_account,
            row.amount,
            row.ref,
            row.txid,
            unix_us(row.created_at),
            is_null ? Text{} : text_of(DatumGetJsonbP(metadata))};
}

AuditRecord audit_of(HeapTuple tuple, TupleDesc shape) {
    const AuditRow &row = *row_of<AuditRow>(tuple);
    const auto text = [&](AttrNumber column) { return utf8_column(tuple, column, shape); };
    return {{row.id, LaneNumber{row.lane}, row.seq},
            row.txid,
            unix_us(row.at),
            row.relation_oid,
            text(AuditColumn::relation),
            text(AuditColumn::operation),
            text(AuditColumn::key),
            text(AuditColumn::old_row),
            text(AuditColumn::new_row),
            text(AuditColumn::actor),
            text(AuditColumn::acting_as),
            text(AuditColumn::application),
            text(AuditColumn::client)};
}

}  // namespace

Hash hash_of_row(Scope scope, HeapTuple tuple, TupleDesc shape, const Hash &previous) {
    return scope == Scope::transfer ? hash_of(previous, transfer_of(tuple, shape))
                                    : hash_of(previous, audit_of(tuple, shape));
}

std::string_view bytes_of_row(Scope scope, HeapTuple tuple, TupleDesc shape) {
    StringInfoData bytes;
    initStringInfo(&bytes);
    const auto append = [](void *to, const void *data, std::size_t size) {
        appendBinaryStringInfo(static_cast<StringInfo>(to), static_cast<const char *>(data),
                               static_cast<int>(size));
    };
    if (scope == Scope::transfer)
        encode(transfer_of(tuple, shape), append, &bytes);
    else
        encode(audit_of(tuple, shape), append, &bytes);
    return {bytes.data, static_cast<std::size_t>(bytes.len)};
}

Hash hash_of(const Seal &seal) {
    return hash_of(SealRecord{seal.row.number,
                              unix_us(seal.row.sealed_at),
                              {seal.row.transfers, seal.row.audits},
                              {seal.roots[0], seal.roots[1]},
                              seal.row.from_id,
                              seal.row.until_id,
                              sha256(seal.heads),
                              seal.previous});
}

}  // namespace ledger
