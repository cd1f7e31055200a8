// SQL: inclusion proofs (sql/chain.sql).
#include "chain/row.hpp"
#include "core/merkle.hpp"
#include "engine/order.hpp"
#include "pg/bytes.hpp"
#include "pg/error.hpp"
#include "pg/result.hpp"

namespace ledger {

namespace {

// A record that is to be proved, and the way up its seal's tree.
struct Proof {
    Scope scope;
    Link link;
    std::string_view record;
    Seal seal;
    Hash previous;
    std::int64_t index;
    Tree tree;
};

bool find_record(Snapshot snapshot, std::int64_t id, Scope scope, Proof &proof) {
    bool found = false;
    scan_records(scope, id, snapshot, [&](HeapTuple tuple, TupleDesc shape) {
        const Link link = link_of(scope, tuple, shape);
        found = link.place.id == id;
        if (!found) return false;
        proof.scope = scope;
        proof.link = link;
        proof.record = bytes_of_row(scope, tuple, shape);
        return false;
    });
    return found;
}

Head head_in(const Seal &seal, Scope scope, LaneNumber lane) {
    Head head = {};
    each_head(seal.heads, [&](const LaneHead &of) {
        if (of.scope == scope && of.lane == lane) head = of.head;
    });
    return head;
}

void read_seal(Snapshot snapshot, std::int64_t number, Seal &seal) {
    if (!find_seal(snapshot, number, seal))
        ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
                errmsg("seal %lld is missing", static_cast<long long>(number)),
                errhint("Run SELECT * FROM ledger.verify()."));
}

// The first seal that covers the record, by halving: a lane's head only moves on.
void find_its_seal(Snapshot snapshot, Proof &proof) {
    const Place &place = proof.link.place;
    Seal last;
    if (!find_last_seal(snapshot, last) || head_in(last, proof.scope, place.lane).seq < place.seq)
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("record %lld is not sealed yet", static_cast<long long>(place.id)),
                errhint("Call ledger.seal(), or wait for the worker to do so."));
    std::int64_t low = 1, high = last.row.number;
    while (low < high) {
        const std::int64_t middle = low + (high - low) / 2;
        read_seal(snapshot, middle, proof.seal);
        if (head_in(proof.seal, proof.scope, place.lane).seq >= place.seq)
            high = middle;
        else
            low = middle + 1;
    }
    read_seal(snapshot, low, proof.seal);
}

bool covers(const Seal &seal, const Seal *before, Scope scope, const Place &place) {
    return place.seq <= head_in(seal, scope, place.lane).seq &&
           (!before || place.seq > head_in(*before, scope, place.lane).seq);
}

// Builds the tree with the record watched, and finds the hash before it on the way.
void climb(Snapshot snapshot, Proof &proof) {
    const Place &place = proof.link.place;
    Seal before;
    const bool has_before = find_seal(snapshot, proof.seal.row.number - 1, before);
    if (has_before) proof.previous = head_in(before, proof.scope, place.lane).hash;
    scan_records(proof.scope, has_before ? scan_from(before.row) : kFirstId, snapshot,
                 [&](HeapTuple tuple, TupleDesc shape) {
                     const Link link = link_of(proof.scope, tuple, shape);
                     if (link.place.id > proof.seal.row.until_id) return false;
                     if (!covers(proof.seal, has_before ? &before : nullptr, proof.scope, link.place))
                         return true;
                     const bool watched = link.place.id == place.id;
                     if (watched) proof.index = proof.tree.size();
                     if (link.place.lane == place.lane && link.place.seq == place.seq - 1)
                         proof.previous = link.hash;
                     proof.tree.add(link.hash, watched);
                     return true;
                 });
    proof.tree.root();
}

Datum bytea_of(std::string_view bytes) {
    return PointerGetDatum(cstring_to_text_with_len(bytes.data(), static_cast<int>(bytes.size())));
}

}  // namespace

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_prove) {
    const std::int64_t id = bigint_argument(fcinfo, 0, "id");
    auto *proof = static_cast<Proof *>(palloc0(sizeof(Proof)));
    Snapshot snapshot = GetActiveSnapshot();
    if (!find_record(snapshot, id, Scope::transfer, *proof) &&
        !find_record(snapshot, id, Scope::audit, *proof))
        raise(Status::unknown_transfer, psprintf("record %lld does not exist", static_cast<long long>(id)),
              nullptr, "Give the id of a transfer or of an audit record.");
    find_its_seal(snapshot, *proof);
    climb(snapshot, *proof);
    HashDatum previous;
    const auto *path = reinterpret_cast<const char *>(proof->tree.path());
    Datum values[] = {CStringGetTextDatum(proof->scope == Scope::transfer ? "transfer" : "audit"),
                      bytea_of(proof->record),
                      previous.set(proof->previous),
                      Int64GetDatum(proof->index),
                      Int64GetDatum(proof->tree.size()),
                      bytea_of({path, proof->tree.path_length() * sizeof(ledger::Hash)}),
                      Int64GetDatum(proof->seal.row.number)};
    bool nulls[lengthof(values)] = {};
    return row_result(fcinfo, values, nulls);
}
