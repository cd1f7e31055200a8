// The escrow (core/escrow): whatever transactions take, save, roll back and end with,
// the bounds are the balance and what is taken, never past a limit; and when all have
// ended they meet in the balance.
#include <vector>

#include "bytes.hpp"
#include "core/escrow.hpp"

using namespace ledger;

namespace {

struct Transaction {
    Share share = {};
    std::vector<Share> savepoints = {};
};

struct Model {
    Bounds bounds;
    Minor floor;
    Minor ceiling;
    Minor committed;
    Transaction transactions[4];
};

void check(const Model &model) {
    Wide low = model.committed, high = model.committed;
    for (const Transaction &each : model.transactions) {
        low -= each.share.low_taken;
        high += each.share.high_taken;
        REQUIRE(each.share.low_taken >= 0 && Wide{each.share.low_taken} >= -Wide{each.share.net});
        REQUIRE(each.share.high_taken >= 0 && each.share.high_taken >= each.share.net);
    }
    REQUIRE(model.bounds.low == low && model.bounds.high == high);
    REQUIRE(model.bounds.low >= model.floor && model.bounds.high <= model.ceiling);
}

// A refusal changes nothing; a grant changes the net by just the amount.
void move(Model &model, Transaction &transaction, Minor amount, bool is_out) {
    const Bounds bounds = model.bounds;
    const Share share = transaction.share;
    const Grant grant = is_out ? lower(model.bounds, transaction.share, model.floor, amount)
                               : raise(model.bounds, transaction.share, model.ceiling, amount);
    if (grant == Grant::ok) {
        REQUIRE(Wide{transaction.share.net} == Wide{share.net} + (is_out ? -Wide{amount} : Wide{amount}));
        return;
    }
    REQUIRE(model.bounds.low == bounds.low && model.bounds.high == bounds.high &&
            transaction.share.net == share.net);
    // For sure: the best that can become of the others is not enough.
    const Wide best = is_out ? highest(bounds, share) - amount : lowest(bounds, share) + amount;
    if (grant == Grant::refused) REQUIRE(is_out ? best < model.floor : best > model.ceiling);
    if (grant == Grant::in_flight) REQUIRE(is_out ? best >= model.floor : best <= model.ceiling);
}

void end(Model &model, Transaction &transaction, bool commits) {
    if (commits) {
        model.committed += transaction.share.net;
        settle(model.bounds, transaction.share);
    } else {
        revert(model.bounds, transaction.share, {});
    }
    transaction = {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    FuzzedDataProvider input(data, size);
    Model model = {};
    model.floor = input.ConsumeBool() ? kFloorNone : -input.ConsumeIntegralInRange<Minor>(0, kBalanceMax);
    model.ceiling = input.ConsumeBool() ? kCeilingNone : input.ConsumeIntegralInRange<Minor>(0, kBalanceMax);
    model.committed = input.ConsumeIntegralInRange<Minor>(model.floor, model.ceiling);
    model.bounds = {model.committed, model.committed};
    while (input.remaining_bytes() > 0) {
        Transaction &transaction = model.transactions[input.ConsumeIntegralInRange(0, 3)];
        switch (input.ConsumeIntegralInRange(0, 6)) {
            case 0:
                transaction.savepoints.push_back(transaction.share);
                break;
            case 1:
                if (transaction.savepoints.empty()) break;
                revert(model.bounds, transaction.share, transaction.savepoints.back());
                break;
            case 2:
                if (!transaction.savepoints.empty()) transaction.savepoints.pop_back();
                break;
            case 3:
                end(model, transaction, input.ConsumeBool());
                break;
            default:
                move(model, transaction,
                     input.ConsumeBool() ? input.ConsumeIntegralInRange<Minor>(1, 100)
                                         : input.ConsumeIntegralInRange<Minor>(1, kBalanceMax),
                     input.ConsumeBool());
        }
        check(model);
    }
    for (Transaction &transaction : model.transactions) end(model, transaction, input.ConsumeBool());
    REQUIRE(model.bounds.low == model.committed && model.bounds.high == model.committed);
    return 0;
}
