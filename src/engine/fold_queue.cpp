#include "engine/fold_queue.hpp"

#include "engine/database.hpp"
#include "engine/settings.hpp"
#include "worker/worker.hpp"

namespace ledger {

namespace {

template <typename Work>
auto with_queue(FoldQueue &queue, Work work) {
    SpinLockAcquire(&queue.mutex);
    const auto result = work();
    SpinLockRelease(&queue.mutex);
    return result;
}

// Read without the slot's mutex: missing a crossing costs one more threshold.
bool at_threshold(const Slot &slot) {
    const auto threshold = static_cast<std::uint32_t>(settings.fold_threshold);
    return slot.tail >= threshold && slot.tail % threshold == 0;
}

}  // namespace

void init_fold_queue(FoldQueue &queue) {
    SpinLockInit(&queue.mutex);
    queue.count = 0;
}

void reset_fold_queue(FoldQueue &queue) {
    with_queue(queue, [&] { return queue.count = 0; });
}

bool queue_account(Database &database, AccountId account) {
    FoldQueue &queue = database.fold_queue;
    return with_queue(queue, [&] {
        if (queue.count == FoldQueue::kRoom) return false;
        queue.accounts[queue.count++] = account;
        return true;
    });
}

void call_fold(Database &database, AccountId account) {
    if (queue_account(database, account)) call_worker_at(database, DT_NOBEGIN);
}

int take_queued_accounts(Database &database, AccountId *accounts, int max) {
    FoldQueue &queue = database.fold_queue;
    return with_queue(queue, [&] {
        const int count = Min(max, queue.count);
        for (int i = 0; i < count; ++i) accounts[i] = queue.accounts[--queue.count];
        return count;
    });
}

void fold_when_long(Database &database, const Slot &source, const Slot &destination) {
    for (const Slot *slot : {&source, &destination})
        if (at_threshold(*slot)) call_fold(database, slot->key.account);
}

}  // namespace ledger
