#include "audit/causal_order.hpp"

extern "C" {
#include "common/hashfn.h"
}

namespace ledger {

namespace {

constexpr int kNone = -1;

template <typename Item>
Item *array_of(int count, const Item &initial) {
    auto *items =
        static_cast<Item *>(MemoryContextAllocHuge(CurrentMemoryContext, Max(count, 1) * sizeof(Item)));
    std::fill(items, items + count, initial);
    return items;
}

// Where a version of a row is. Places are used again after a TRUNCATE.
struct VersionPlace {
    Oid relation;
    Oid storage;
    std::uint32_t truncations;
    BlockNumber block;
    std::uint32_t offset;

    bool operator==(const VersionPlace &) const = default;
};

struct Version {
    VersionPlace place;
    int maker;  // the change that made it; kNone: none that is known
    int ender;
    std::uint64_t key_hash;
};

struct Node {
    int followers[2];  // it makes one version and ends one: each has one change that follows
    int waits_for;
    bool is_placed;
};

class Sorter {
  public:
    Sorter(const RowChange *changes, int count);
    bool connect();
    int place(int *order, int last);

  private:
    std::uint32_t truncations_of(const RowChange &change);
    Version &version_at(const RowChange &change, const ItemPointerData &at);
    void add_versions(int i);
    bool connect_versions(const Version &earlier, const Version &later);
    bool connect_keys();
    void add_edge(int earlier, int later);
    int unplaced_in_circle();

    bool precedes(int a, int b) const {
        const CommandId first = changes_[a].command, second = changes_[b].command;
        return first != second ? first < second : a < b;
    }
    std::string_view key_of(const Version &version) const {
        return version.ender != kNone ? changes_[version.ender].old_key : changes_[version.maker].new_key;
    }
    bool is_same_key(const Version &a, const Version &b) const;
    bool is_before_in_group(const Version &a, const Version &b) const;

    const RowChange *changes_;
    int count_;
    Node *nodes_;
    Version *versions_;
    int version_count_ = 0;
    int *table_;  // open addressing by place
    std::uint32_t mask_;
    HTAB *truncations_ = nullptr;
    int *by_priority_ = nullptr;
    int circles_seen_ = 0;
};

Sorter::Sorter(const RowChange *changes, int count) : changes_(changes), count_(count) {
    nodes_ = array_of(count, Node{{kNone, kNone}, 0, false});
    versions_ = array_of(2 * count, Version{{}, kNone, kNone, 0});
    mask_ = 15;
    while (mask_ / 4 < static_cast<std::uint32_t>(count)) mask_ = 2 * mask_ + 1;
    table_ = array_of(static_cast<int>(mask_) + 1, kNone);
}

// How often the relation was truncated before the change. PostgreSQL refuses TRUNCATE while a
// statement uses the table, so all changes of before have been told.
std::uint32_t Sorter::truncations_of(const RowChange &change) {
    struct Entry {
        Oid relation;
        std::uint32_t count;
    };
    if (!truncations_ && !change.is_truncate) return 0;
    if (!truncations_) {
        HASHCTL control = {};
        control.keysize = sizeof(Oid);
        control.entrysize = sizeof(Entry);
        control.hcxt = CurrentMemoryContext;
        truncations_ =
            hash_create("ledger audit truncations", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    }
    bool found;
    auto *entry = static_cast<Entry *>(hash_search(truncations_, &change.relation, HASH_ENTER, &found));
    if (!found) entry->count = 0;
    if (change.is_truncate) ++entry->count;
    return entry->count;
}

Version &Sorter::version_at(const RowChange &change, const ItemPointerData &at) {
    const VersionPlace place = {change.relation, change.storage, truncations_of(change),
                                ItemPointerGetBlockNumber(&at), ItemPointerGetOffsetNumber(&at)};
    static_assert(std::has_unique_object_representations_v<VersionPlace>);
    std::uint32_t slot = hash_bytes(reinterpret_cast<const unsigned char *>(&place), sizeof place) & mask_;
    while (table_[slot] != kNone && !(versions_[table_[slot]].place == place)) slot = (slot + 1) & mask_;
    if (table_[slot] == kNone) {
        table_[slot] = version_count_;
        versions_[version_count_++].place = place;
    }
    return versions_[table_[slot]];
}

void Sorter::add_versions(int i) {
    const RowChange &change = changes_[i];
    if (change.is_truncate) truncations_of(change);
    if (ItemPointerIsValid(&change.old_version)) version_at(change, change.old_version).ender = i;
    if (ItemPointerIsValid(&change.new_version)) version_at(change, change.new_version).maker = i;
}

void Sorter::add_edge(int earlier, int later) {
    if (earlier == later) return;
    Node &node = nodes_[earlier];
    node.followers[node.followers[0] == kNone ? 0 : 1] = later;
    ++nodes_[later].waits_for;
}

bool Sorter::is_same_key(const Version &a, const Version &b) const {
    return a.key_hash == b.key_hash && a.place.relation == b.place.relation &&
           a.place.storage == b.place.storage && a.place.truncations == b.place.truncations &&
           key_of(a) == key_of(b);
}

// Versions of one key are together, in the order in which they ended. At most one lives.
bool Sorter::is_before_in_group(const Version &a, const Version &b) const {
    if (a.key_hash != b.key_hash) return a.key_hash < b.key_hash;
    if (!is_same_key(a, b)) {
        if (a.place.relation != b.place.relation) return a.place.relation < b.place.relation;
        if (a.place.storage != b.place.storage) return a.place.storage < b.place.storage;
        if (a.place.truncations != b.place.truncations) return a.place.truncations < b.place.truncations;
        return key_of(a) < key_of(b);
    }
    if (a.ender != kNone && b.ender != kNone) return precedes(a.ender, b.ender);
    if (a.ender != b.ender) return b.ender == kNone;
    return precedes(a.maker, b.maker);
}

// False if a change that has not fired yet may have ended one of the versions.
bool Sorter::connect_versions(const Version &earlier, const Version &later) {
    if (earlier.ender == kNone) return false;
    if (later.maker == kNone || later.maker == earlier.ender) return true;
    add_edge(earlier.ender, later.maker);
    return later.ender != kNone;
}

bool Sorter::connect_keys() {
    int *keyed = array_of(version_count_, kNone);
    int count = 0;
    for (int i = 0; i < version_count_; ++i) {
        Version &version = versions_[i];
        const std::string_view key = key_of(version);
        if (key.empty()) continue;
        version.key_hash = hash_bytes_extended(reinterpret_cast<const unsigned char *>(key.data()),
                                               static_cast<int>(key.size()), version.place.relation);
        keyed[count++] = i;
    }
    std::sort(keyed, keyed + count,
              [&](int a, int b) { return a != b && is_before_in_group(versions_[a], versions_[b]); });
    bool is_certain = true;
    for (int i = 1; i < count; ++i) {
        const Version &earlier = versions_[keyed[i - 1]], &later = versions_[keyed[i]];
        if (is_same_key(earlier, later) && !connect_versions(earlier, later)) is_certain = false;
    }
    return is_certain;
}

// Adds all edges. False if the order may be another once all changes have fired.
bool Sorter::connect() {
    for (int i = 0; i < count_; ++i) add_versions(i);
    for (int i = 0; i < version_count_; ++i) {
        const Version &version = versions_[i];
        if (version.maker != kNone && version.ender != kNone) add_edge(version.maker, version.ender);
    }
    return connect_keys();
}

// No change is free: the first one that is left comes, whatever it waits for.
int Sorter::unplaced_in_circle() {
    if (!by_priority_) {
        by_priority_ = array_of(count_, 0);
        for (int i = 0; i < count_; ++i) by_priority_[i] = i;
        std::sort(by_priority_, by_priority_ + count_, [&](int a, int b) { return precedes(a, b); });
    }
    while (nodes_[by_priority_[circles_seen_]].is_placed) ++circles_seen_;
    return by_priority_[circles_seen_];
}

int Sorter::place(int *order, int last) {
    const auto is_later = [&](int a, int b) { return precedes(b, a); };
    int *ready = array_of(count_, 0);  // a heap
    int ready_count = 0, done = 0;
    for (int i = 0; i < count_; ++i)
        if (nodes_[i].waits_for == 0) ready[ready_count++] = i;
    std::make_heap(ready, ready + ready_count, is_later);
    while (done < count_ && (last == kAllChanges || !nodes_[last].is_placed)) {
        CHECK_FOR_INTERRUPTS();
        int next;
        if (ready_count > 0) {
            next = ready[0];
            std::pop_heap(ready, ready + ready_count--, is_later);
        } else {
            next = unplaced_in_circle();
        }
        nodes_[next].is_placed = true;
        order[done++] = next;
        for (const int follower : nodes_[next].followers) {
            if (follower == kNone || --nodes_[follower].waits_for > 0 || nodes_[follower].is_placed) continue;
            ready[ready_count++] = follower;
            std::push_heap(ready, ready + ready_count, is_later);
        }
    }
    return done;
}

}  // namespace

CausalOrder causal_order(const RowChange *changes, int count, int last) {
    Sorter sorter(changes, count);
    CausalOrder order = {array_of(count, 0), 0, sorter.connect()};
    order.count = sorter.place(order.changes, last);
    return order;
}

}  // namespace ledger
