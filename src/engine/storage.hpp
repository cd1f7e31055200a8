// The tables as C++ sees them: sql/tables.sql, column by column. The structs
// cover each table's leading fixed-width NOT NULL columns.
#pragma once

#include "core/types.hpp"
#include "pg/postgres.hpp"

namespace ledger {

struct AssetRow {
    AssetId id;
    std::int32_t scale;
};
struct AssetColumn {
    enum : AttrNumber { id = 1, scale, code, unit, description, count = description };
};

struct AccountRow {
    AccountId id;
    AssetId asset;
    Minor floor;
    Minor ceiling;
    TimestampTz opened_at;
    AccountState state;
};
struct AccountColumn {
    enum : AttrNumber { id = 1, asset, floor, ceiling, opened_at, state, code, metadata, count = metadata };
};

struct BalanceRow {
    AccountId account;
    Txid folded_xid;
};
struct BalanceColumn {
    enum : AttrNumber {
        account = 1,
        folded_xid,
        debits_posted,
        credits_posted,
        debits_pending,
        credits_pending,
        count = credits_pending
    };
};

struct TransferRow {
    TransferId id;
    AccountId debit_account;
    AccountId credit_account;
    Minor amount;
    std::int64_t ref;
    Txid txid;
    TimestampTz created_at;
    std::int64_t seq;
    Kind kind;
    std::int16_t lane;
};
struct TransferColumn {
    enum : AttrNumber {
        id = 1,
        debit_account,
        credit_account,
        amount,
        ref,
        txid,
        created_at,
        seq,
        kind,
        lane,
        hash,
        metadata,
        count = metadata
    };
};

struct AuditRow {
    std::int64_t id;
    std::int64_t seq;
    Txid txid;
    TimestampTz at;
    Oid relation_oid;
    std::int16_t lane;
};
struct AuditColumn {
    enum : AttrNumber {
        id = 1,
        seq,
        txid,
        at,
        relation_oid,
        lane,
        hash,
        relation,
        operation,
        actor,
        acting_as,
        application,
        client,
        key,
        old_row,
        new_row,
        count = new_row
    };
};

struct SealRow {
    std::int64_t number;
    TimestampTz sealed_at;
    std::int64_t transfers;
    std::int64_t audits;
    std::int64_t from_id;
    std::int64_t until_id;
};
struct SealColumn {
    enum : AttrNumber {
        number = 1,
        sealed_at,
        transfers,
        audits,
        from_id,
        until_id,
        transfer_root,
        audit_root,
        previous,
        hash,
        heads,
        count = heads
    };
};

struct HoldRow {
    TransferId transfer;
    AccountId debit_account;
    AccountId credit_account;
    Minor amount;
    Minor posted;
    TimestampTz due_at;
    HoldState state;
    bool is_branch;
};
struct HoldColumn {
    enum : AttrNumber {
        transfer = 1,
        debit_account,
        credit_account,
        amount,
        posted,
        due_at,
        state,
        is_branch,
        count = is_branch
    };
};

struct TccRow {
    TimestampTz due_at;
    TimestampTz expires_at;
    TimestampTz begun_at;
    TimestampTz ended_at;
    std::int32_t attempts;
    TccState state;
};
struct TccColumn {
    enum : AttrNumber {
        due_at = 1,
        expires_at,
        begun_at,
        ended_at,
        attempts,
        state,
        xid,
        metadata,
        last_error,
        count = last_error
    };
};

struct TccBranchRow {
    TransferId hold;
    TimestampTz tried_at;
};
struct TccBranchColumn {
    enum : AttrNumber { hold = 1, tried_at, xid, branch, count = branch };
};

struct RequestRow {
    TimestampTz begun_at;
    TimestampTz expires_at;
    TimestampTz leased_until;
    std::int64_t holder;
    std::int64_t transfer;
    std::int32_t attempt;
    RequestKind kind;
    RequestState state;
};
struct RequestColumn {
    enum : AttrNumber {
        begun_at = 1,
        expires_at,
        leased_until,
        holder,
        transfer,
        attempt,
        kind,
        state,
        scope,
        key,
        fingerprint,
        arguments,
        response,
        issued_at,
        role,
        count = role,
        count_before_0_3 = issued_at
    };
};

struct ClientColumn {
    enum : AttrNumber { client = 1, secret, previous, previous_until, added_at, count = added_at };
};

struct InstallationRow {
    std::int64_t system_identifier;
    Oid database;
    Oid extension;
    std::int64_t base;
};
struct InstallationColumn {
    enum : AttrNumber { system_identifier = 1, database, extension, base, count = base };
};

// Where they are in the current database.
struct Storage {
    Oid extension;
    Oid asset, asset_by_id, asset_by_code;
    Oid account, account_by_id, account_by_code;
    Oid balance, balance_by_account;
    Oid transfer, transfer_by_id, transfer_by_debit, transfer_by_credit;
    Oid installation;
    Oid request, request_by_key, request_by_expiry;
    Oid client, client_by_name;
    Oid hold, hold_by_transfer, hold_by_due, hold_by_debit;
    Oid hold_by_credit;  // InvalidOid with the SQL of 0.1
    Oid tcc, tcc_by_xid, tcc_by_due;
    Oid tcc_branch, tcc_branch_by_name;
    Oid audit, audit_by_id;
    Oid seal, seal_by_number;
    std::uint32_t epoch;  // differs from that of any earlier Storage in this backend
};

// Looked up at first use and again after an invalidation. Raises 55000 where
// the extension is absent or a table is not of the shape above.
const Storage &storage();

// To be called once in a backend that may use storage().
void register_storage_invalidation();

}  // namespace ledger
