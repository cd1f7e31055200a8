#include "engine/transaction.hpp"

#include "engine/lane.hpp"
#include "engine/prepared.hpp"
#include "engine/settings.hpp"
#include "engine/storage.hpp"
#include "pg/postgres.hpp"

namespace ledger {

struct SavedUse {
    int level;   // nesting level of the subtransaction this is the state before
    bool began;  // the use began in it: there was no pin on the slot
    AccountShare share;
    bool limits_changed;
    Limits wanted;
    AccountUse *account;
    SavedUse *below;          // of the same account, at an outer level
    SavedUse *next_in_level;  // of the same level, another account
};

namespace {

// What one open subtransaction has touched.
struct Level {
    int level;
    SavedUse *first;
    Level *outer;
};

// All memory is TopTransactionContext's: gone by itself when the transaction ends.
struct {
    AccountUse **table;  // open addressing by account id
    std::uint32_t room;  // a power of two
    std::uint32_t count;
    AccountUse *first;
    Level *level;        // innermost
    Level *spare_level;  // ended ones, for the next savepoint to use again
    SavedUse *spare_saved;
    FullTransactionId preparing;
    const char *upkeep;  // what it did that others must wait for; null: nothing
    const char *upkeep_function;
} mine = {};

std::uint32_t place_of(AccountId account) {
    const std::uint64_t mixed = static_cast<std::uint64_t>(account) * 0x9E3779B97F4A7C15u;
    return static_cast<std::uint32_t>(mixed >> 32) & (mine.room - 1);
}

AccountUse **find(AccountId account, Possession possession) {
    const auto is_other = [&](const AccountUse *use) {
        return use && (use->id != account || use->possession != possession);
    };
    std::uint32_t place = place_of(account);
    while (is_other(mine.table[place])) place = (place + 1) & (mine.room - 1);
    return &mine.table[place];
}

void make_room() {
    if (2 * (mine.count + 1) <= mine.room) return;
    const std::uint32_t room = mine.room ? 2 * mine.room : 16;
    mine.table = static_cast<AccountUse **>(MemoryContextAllocExtended(
        TopTransactionContext, room * sizeof(AccountUse *), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO));
    mine.room = room;
    for (AccountUse *use = mine.first; use; use = use->next) *find(use->id, use->possession) = use;
}

// A use without a pin.
AccountUse &make_use(AccountId account, Possession possession) {
    make_room();
    auto *use = static_cast<AccountUse *>(MemoryContextAllocZero(TopTransactionContext, sizeof(AccountUse)));
    use->id = account;
    use->possession = possession;
    use->base = base_in_force();
    use->next = mine.first;
    mine.first = use;
    *find(account, possession) = use;
    ++mine.count;
    return *use;
}

// A node off its list of spare ones, or a new one.
template <typename Node>
Node *node_from(Node *&spare, Node *Node::*link) {
    Node *node = spare;
    if (!node) return static_cast<Node *>(MemoryContextAlloc(TopTransactionContext, sizeof(Node)));
    spare = node->*link;
    return node;
}

Level &current_level(int level) {
    if (!mine.level || mine.level->level < level) {
        Level *fresh = node_from(mine.spare_level, &Level::outer);
        *fresh = {level, nullptr, mine.level};
        mine.level = fresh;
    }
    return *mine.level;
}

// Takes the innermost level off; its node is spare, its saved states the caller's.
SavedUse *end_level() {
    Level *level = mine.level;
    mine.level = level->outer;
    level->outer = mine.spare_level;
    mine.spare_level = level;
    return level->first;
}

void put_aside(SavedUse *saved) {
    saved->next_in_level = mine.spare_saved;
    mine.spare_saved = saved;
}

void save(AccountUse &use) {
    const int nesting = GetCurrentTransactionNestLevel();
    if (nesting == 1 || (use.saved && use.saved->level == nesting)) return;
    Level &level = current_level(nesting);
    SavedUse *saved = node_from(mine.spare_saved, &SavedUse::next_in_level);
    *saved = {nesting, use.slot == nullptr, use.share,  use.limits_changed, use.wanted,
              &use,    use.saved,           level.first};
    use.saved = saved;
    level.first = saved;
}

// What others must respect while a change is in flight.
Limits stricter(const Limits &a, const Limits &b) {
    return {Max(a.floor, b.floor), Min(a.ceiling, b.ceiling), Max(a.state, b.state)};
}

const Limits &limits_of(const AccountUse &use) {
    return use.limits_changed ? use.wanted : use.slot->limits;
}

// The callbacks below neither fail nor allocate.

// A saved state goes to the parent subtransaction, unless that has its own, or
// is the transaction itself, which is undone as a whole.
void subtransaction_committed(int nesting) {
    if (!mine.level || mine.level->level < nesting) return;
    const bool parent_is_top = nesting == 2;
    SavedUse *first = end_level();
    if (first && !parent_is_top && (!mine.level || mine.level->level < nesting - 1)) {
        Level *parent = mine.spare_level;  // the node just ended: nothing is allocated here
        mine.spare_level = parent->outer;
        *parent = {nesting - 1, nullptr, mine.level};
        mine.level = parent;
    }
    for (SavedUse *saved = first, *next; saved; saved = next) {
        next = saved->next_in_level;
        if (parent_is_top || (saved->below && saved->below->level == nesting - 1)) {
            saved->account->saved = saved->below;
            put_aside(saved);
        } else {
            saved->level = nesting - 1;
            saved->next_in_level = mine.level->first;
            mine.level->first = saved;
        }
    }
}

// Needs the slot's mutex. A look of this transaction's own did not see the holds it had resolved.
void forget_due(AccountUse &use) {
    if (use.resolved_hold) use.slot->due = DT_NOBEGIN;
}

void end_use(AccountUse &use) {
    unpin_slot(use.slot);
    use.slot = nullptr;
}

void restore(const SavedUse &saved) {
    AccountUse &use = *saved.account;
    if (Slot *slot = use.slot)  // null: it could not be pinned
        with_slot(slot, [&] {
            revert(slot->bounds, use.share, saved.share);
            if (use.limits_changed)
                slot->limits = saved.limits_changed ? stricter(use.committed, saved.wanted) : use.committed;
            forget_due(use);
            ++slot->version;
        });
    if (saved.began && use.slot) end_use(use);
    use.limits_changed = saved.limits_changed;
    use.wanted = saved.wanted;
    use.saved = saved.below;
}

void subtransaction_aborted(int nesting) {
    abandon_slot_load();
    if (!mine.level || mine.level->level < nesting) return;
    for (SavedUse *saved = end_level(), *next; saved; saved = next) {
        next = saved->next_in_level;
        restore(*saved);
        put_aside(saved);
    }
}

void forget_transaction(bool committed) {
    mine = {};
    possession_transaction_ended(committed);
}

void transaction_ended(bool committed) {
    for (AccountUse *use = mine.first; use; use = use->next) {
        Slot *slot = use->slot;
        if (!slot) continue;
        with_slot(slot, [&] {
            if (committed)
                settle(slot->bounds, use->share);
            else
                revert(slot->bounds, use->share, AccountShare{});
            if (use->limits_changed) slot->limits = committed ? use->wanted : use->committed;
            if (!committed) forget_due(*use);
            ++slot->version;
        });
        end_use(*use);
    }
    lane_transaction_ended(committed);
    forget_transaction(committed);
}

bool moved(const AccountUse &use) {
    const auto took = [](const Share &share) { return share.low_taken != 0 || share.high_taken != 0; };
    return took(use.share.spendable) || took(use.share.projected);
}

void before_prepare() {
    if (mine.upkeep)
        ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                errmsg("cannot prepare a transaction that has %s a ledger", mine.upkeep),
                errhint("Call %s in a transaction of its own.", mine.upkeep_function));
    lane_before_prepare();
    int moving = 0;
    for (AccountUse *use = mine.first; use; use = use->next) {
        if (use->limits_changed)
            ereport(
                ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                errmsg(
                    "cannot prepare a transaction that has changed the limits or state of a ledger account"),
                errhint("Change accounts in a transaction of their own."));
        if (moved(*use) && !is_own_possession(use->possession)) ++moving;
    }
    if (moving == 0) return;
    mine.preparing = GetTopFullTransactionId();
    reserve_effects(moving);
}

// From here on nothing is rolled back in part: the share shrinks to what the
// two outcomes need, and goes to the prepared transaction with the pin. Where it has taken
// possession nobody can use an account before it has ended, and then loads it.
void prepared() {
    for (AccountUse *use = mine.first; use; use = use->next) {
        if (!use->slot) continue;
        with_slot(use->slot, [&] { forget_due(*use); });
        if (!moved(*use) || is_own_possession(use->possession)) {
            end_use(*use);
            continue;
        }
        const AccountShare least = {share_of(use->share.spendable.net), share_of(use->share.projected.net)};
        with_slot(use->slot, [&] {
            revert(use->slot->bounds, use->share, least);
            ++use->slot->version;
        });
        const auto xid = static_cast<std::int64_t>(U64FromFullTransactionId(mine.preparing));
        hand_over(use->slot, XidFromFullTransactionId(mine.preparing), Txid{xid + use->base}, use->share);
    }
    lane_prepared();
    forget_transaction(false);
}

void on_transaction(XactEvent event, void *) {
    switch (event) {
        case XACT_EVENT_PRE_PREPARE:
            before_prepare();
            break;
        case XACT_EVENT_PREPARE:
            prepared();
            break;
        case XACT_EVENT_COMMIT:
            transaction_ended(true);
            break;
        case XACT_EVENT_ABORT:
            abandon_slot_load();
            release_reserved_effects();
            transaction_ended(false);
            break;
        case XACT_EVENT_PRE_COMMIT:
        case XACT_EVENT_PARALLEL_PRE_COMMIT:
        case XACT_EVENT_PARALLEL_COMMIT:
        case XACT_EVENT_PARALLEL_ABORT:
            break;
    }
}

void on_subtransaction(SubXactEvent event, SubTransactionId child, SubTransactionId parent, void *) {
    switch (event) {
        case SUBXACT_EVENT_COMMIT_SUB:
            subtransaction_committed(GetCurrentTransactionNestLevel());
            lane_subtransaction_ended(true, GetCurrentTransactionNestLevel());
            possession_subtransaction_ended(true, child, parent);
            break;
        case SUBXACT_EVENT_ABORT_SUB:
            subtransaction_aborted(GetCurrentTransactionNestLevel());
            lane_subtransaction_ended(false, GetCurrentTransactionNestLevel());
            possession_subtransaction_ended(false, child, parent);
            break;
        case SUBXACT_EVENT_START_SUB:
        case SUBXACT_EVENT_PRE_COMMIT_SUB:
            break;
    }
}

}  // namespace

// The state is saved before the pin: where a subtransaction that fails has to end the use,
// it finds that said.
AccountUse &use_account(AccountId account) {
    const Possession possession = possession_in_force();
    AccountUse *use = mine.room ? *find(account, possession) : nullptr;
    if (!use) use = &make_use(account, possession);
    save(*use);
    if (!use->slot) use->slot = pin_slot({possession, account});
    return *use;
}

Wide can_give(AccountUse &use) {
    return with_slot(use.slot, [&] { return available(use.slot->bounds, use.share, limits_of(use)); });
}

Wide can_take(AccountUse &use) {
    return with_slot(use.slot, [&] { return headroom(use.slot->bounds, use.share, limits_of(use)); });
}

Taken take_side(AccountUse &use, Kind kind, Side side, Minor amount) {
    Slot *slot = use.slot;
    const Change change = change_of(kind, side, amount);
    return with_slot(slot, [&] {
        const Limits &limits = limits_of(use);
        if (limits.state != AccountState::open && kind != Kind::void_)
            return Taken{Grant::refused, limits.state, 0, 0};
        const Grant grant = take(slot->bounds, use.share, limits, change);
        slot->tail += grant == Grant::ok && slot->tail != PG_UINT32_MAX;
        ++slot->version;
        if (side == Side::debit)
            return Taken{grant, limits.state, available(slot->bounds, use.share, limits),
                         highest(slot->bounds.spendable, use.share.spendable) - limits.floor};
        return Taken{grant, limits.state, headroom(slot->bounds, use.share, limits),
                     limits.ceiling - lowest(slot->bounds.projected, use.share.projected)};
    });
}

void put_back(AccountUse &use, const AccountShare &before) {
    with_slot(use.slot, [&] {
        revert(use.slot->bounds, use.share, before);
        use.slot->tail -= use.slot->tail > 0;
        ++use.slot->version;
    });
}

bool may_have_overdue(AccountUse &use, TimestampTz now) {
    const auto differ = [](const Bounds &a, const Bounds &b) { return a.low != b.low || a.high != b.high; };
    return with_slot(use.slot, [&] {
        return use.slot->due <= now && differ(use.slot->bounds.spendable, use.slot->bounds.projected);
    });
}

void note_due(AccountUse &use, TimestampTz due) {
    with_slot(use.slot, [&] {
        use.slot->due = Min(use.slot->due, due);
        use.slot->due_noted = Min(use.slot->due_noted, due);
    });
}

void note_resolved(AccountUse &use) {
    use.resolved_hold = true;
}

std::uint32_t begin_look(AccountUse &use) {
    return with_slot(use.slot, [&] {
        use.slot->due_noted = DT_NOEND;
        return ++use.slot->looks;
    });
}

void end_look(AccountUse &use, std::uint32_t look, TimestampTz next_due) {
    with_slot(use.slot, [&] {
        if (use.slot->looks == look) use.slot->due = Min(next_due, use.slot->due_noted);
    });
}

bool resolve_prepared(AccountUse &use) {
    return use.slot->effects >= 0 && resolve_all_effects(use.slot);
}

Limits limits_in_force(AccountUse &use) {
    return with_slot(use.slot, [&] { return limits_of(use); });
}

LimitChange change_limits(AccountUse &use, const Limits &wanted) {
    Slot *slot = use.slot;
    return with_slot(slot, [&] {
        const Bounds &spendable = slot->bounds.spendable, &projected = slot->bounds.projected;
        const Share &spent = use.share.spendable, &put = use.share.projected;
        const Wide least = lowest(spendable, spent), most = highest(projected, put);
        if (highest(spendable, spent) < wanted.floor) return LimitChange::below_floor;
        if (lowest(projected, put) > wanted.ceiling) return LimitChange::above_ceiling;
        // Nothing there, nothing held: both quantities, of which spendable is the smaller, are zero.
        const bool closes = wanted.state == AccountState::closed;
        if (closes && (highest(spendable, spent) < 0 || lowest(projected, put) > 0))
            return LimitChange::not_empty;
        if (closes && (least != 0 || most != 0)) return LimitChange::in_flight;
        if (least < wanted.floor || most > wanted.ceiling) return LimitChange::in_flight;
        if (!use.limits_changed) use.committed = slot->limits;
        use.limits_changed = true;
        use.wanted = wanted;
        slot->limits = stricter(use.committed, wanted);
        ++slot->version;
        return LimitChange::ok;
    });
}

Excess excess_over(AccountUse &use, const Limits &wanted) {
    const bool closes = wanted.state == AccountState::closed;
    return with_slot(use.slot, [&] {
        const AccountBounds &bounds = use.slot->bounds;
        const Minor floor = closes ? 0 : wanted.floor, ceiling = closes ? 0 : wanted.ceiling;
        return Excess{floor - lowest(bounds.spendable, use.share.spendable),
                      floor - highest(bounds.spendable, use.share.spendable),
                      highest(bounds.projected, use.share.projected) - ceiling,
                      lowest(bounds.projected, use.share.projected) - ceiling};
    });
}

void note_upkeep(const char *did, const char *function) {
    mine.upkeep = did;
    mine.upkeep_function = function;
}

void register_transaction_callbacks() {
    RegisterXactCallback(on_transaction, nullptr);
    RegisterSubXactCallback(on_subtransaction, nullptr);
}

}  // namespace ledger
