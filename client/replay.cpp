// Replays a file of real movements through ledger.transfer_batch, says which
// lines the ledger refused and why, and checks every balance against sums made
// here, from the file alone.

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "movements.hpp"
#include "pq.hpp"
#include "program.hpp"
#include "progress.hpp"

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kBatch = 1000;
constexpr size_t kLinesShown = 5;

constexpr const char *kHelp =
    R"(usage: replay [OPTION]... FILE
Loads a CSV file of movements, 1,000 a call, each line on its own: what the
ledger refuses is reported by its condition and its first lines.

  --format movements  a header with source, destination and amount (default)
  --format bank       the PKDD'99 bank: PRIJEM from bank:cash to bank:<account>,
                      VYDAJ and VYBER back, in CZK/2
  --format retail     UCI online retail: sales from <SKU> to <SKU>:sold,
                      cancellations (InvoiceNo C...) back. Each SKU is first
                      supplied with all that the file sells
  --open-accounts ASSET[/SCALE]
                      opens the accounts that are missing (movements)
  --verify            compares what each account gained with the file's own sums;
                      exits with 1 where they differ
  --dbname CONNINFO   a database name or conninfo string; otherwise PG* decides

An account opens with floor 0, unless the file itself takes it below zero: then
without a floor (overdrafts, or a file that begins in mid-life).

Lines that are no movement are reported, not loaded: a cut last line; in retail
fees and corrections (any StockCode but five digits and letters: POST, D, M,
DOT, C2, S, BANK CHARGES, AMAZONFEE), and stock adjustments (no price and no
customer); a free line with a customer is a gift, and moves. SKUs are raised to
upper case (85123a is 85123A). A cancellation of more than the file has sold so
far is refused by the ledger: insufficient_balance.

For the bank, --verify also follows the bank's own balance from day to day. It
rounds to 0.10, so a day may be off by 0.10 a line. On the last day of a file
that is cut, lines are missing: differences there are told, not failed.
)";

struct Options {
    std::string format = "movements";
    std::string asset;
    int scale = 0;
    bool verify = false;
    std::string conninfo;
    std::string path;
};

using Balances = std::map<std::string, Decimal>;

Plan read(const Options &options) {
    if (options.format == "bank") return read_bank(options.path);
    if (options.format == "retail") return read_retail(options.path);
    return read_movements(options.path);
}

// Calls work(first, last) for one batch after the other.
template <typename Work>
void in_batches(const char *title, size_t count, Work work) {
    Progress progress(title, static_cast<long>(count));
    for (size_t first = 0; first < count; first += kBatch) {
        const size_t last = std::min(count, first + kBatch);
        work(first, last);
        progress.advance(static_cast<long>(last - first));
    }
}

// Balances as the ledger tells them; accounts that do not exist are left out.
Balances balances(pq::Connection &database, const std::map<std::string, bool> &accounts) {
    std::vector<std::string> codes;
    for (const auto &account : accounts) codes.push_back(account.first);
    const pq::Result result = database.exec(
        "SELECT account, posted FROM ledger.accounts WHERE account = ANY ($1::text[])", {pq::array(codes)});
    Balances found;
    for (int row = 0; row < result.rows(); ++row) {
        found[result.text(row, 0)] = parse_decimal(result.text(row, 1)).value();
    }
    return found;
}

void open_accounts(pq::Connection &database, const Options &options,
                   const std::map<std::string, bool> &accounts, const Balances &existing) {
    database.exec("SELECT ledger.create_asset($1, $2::int)", {options.asset, std::to_string(options.scale)});
    std::vector<std::pair<std::string, bool>> missing;
    for (const auto &account : accounts) {
        if (!existing.contains(account.first)) missing.push_back(account);
    }
    in_batches("accounts", missing.size(), [&](size_t first, size_t last) {
        std::vector<std::string> codes, unbounded;
        for (size_t i = first; i < last; ++i) {
            codes.push_back(missing[i].first);
            unbounded.push_back(missing[i].second ? "t" : "f");
        }
        database.exec(
            "SELECT ledger.open_account(n.code, $3, CASE WHEN n.unbounded THEN NULL ELSE 0 END)"
            " FROM unnest($1::text[], $2::boolean[]) AS n (code, unbounded)",
            {pq::array(codes), pq::array(unbounded), options.asset});
    });
}

void supply(pq::Connection &database, const Balances &supplies, const Balances &existing) {
    const std::vector<std::pair<std::string, Decimal>> all(supplies.begin(), supplies.end());
    in_batches("supply", all.size(), [&](size_t first, size_t last) {
        std::vector<std::string> created, skus, quantities;
        for (size_t i = first; i < last; ++i) {
            if (!existing.contains(all[i].first)) created.push_back(all[i].first);
            skus.push_back(all[i].first);
            quantities.push_back(format_decimal(all[i].second));
        }
        database.exec("SELECT ledger.create_stock(sku) FROM unnest($1::text[]) AS sku", {pq::array(created)});
        database.exec(
            "SELECT ledger.add_stock(n.sku, n.quantity) FROM unnest($1::text[], $2::bigint[]) AS n (sku, "
            "quantity)"
            " WHERE n.quantity > 0",
            {pq::array(skus), pq::array(quantities)});
    });
}

// Makes the movements. Those refused go to the plan's rejections; the sums of
// the others, computed here, are returned.
Balances load(pq::Connection &database, Plan &plan) {
    Balances sums;
    const std::vector<Movement> &movements = plan.movements;
    in_batches("transfers", movements.size(), [&](size_t first, size_t last) {
        std::vector<std::string> sources, destinations, amounts;
        for (size_t i = first; i < last; ++i) {
            sources.push_back(movements[i].source);
            destinations.push_back(movements[i].destination);
            amounts.push_back(movements[i].amount);
        }
        const pq::Result result = database.exec(
            "SELECT ordinal, status FROM ledger.transfer_batch($1::text[], $2::text[], $3::numeric[], atomic "
            "=> false)",
            {pq::array(sources), pq::array(destinations), pq::array(amounts)});
        if (static_cast<size_t>(result.rows()) != last - first)
            throw std::runtime_error("a batch has lost lines");
        for (int row = 0; row < result.rows(); ++row) {
            const Movement &movement = movements[first + static_cast<size_t>(result.number(row, 0)) - 1];
            if (result.text(row, 1) != "ok") {
                plan.rejections[result.text(row, 1)].push_back(movement.line);
                continue;
            }
            sums[movement.source] -= movement.value;
            sums[movement.destination] += movement.value;
        }
    });
    return sums;
}

// What each account gained must be what the file says; returns how many differ.
long differences(const Balances &before, const Balances &after, const Balances &expected) {
    long differing = 0;
    const auto at = [](const Balances &all, const std::string &code) {
        const auto found = all.find(code);
        return found == all.end() ? Decimal{0} : found->second;
    };
    std::set<std::string> codes;
    for (const auto &account : after) codes.insert(account.first);
    for (const auto &account : expected) codes.insert(account.first);
    for (const std::string &code : codes) {
        const Decimal gained = at(after, code) - at(before, code);
        if (gained == at(expected, code)) continue;
        ++differing;
        std::cerr << code << ": gained " << format_decimal(gained) << ", the file says "
                  << format_decimal(at(expected, code)) << '\n';
    }
    std::cout << "verified: " << codes.size() << " accounts against the file's sums, " << differing
              << " differ\n";
    return differing;
}

// view stock must tell the same as the SKUs' two accounts.
long stock_differences(pq::Connection &database, const Balances &supplies, const Balances &after) {
    std::vector<std::string> skus;
    for (const auto &sku : supplies) skus.push_back(sku.first);
    const pq::Result stock = database.exec(
        "SELECT sku, on_hand, sold FROM ledger.stock WHERE sku = ANY ($1::text[])", {pq::array(skus)});
    long differing = static_cast<long>(skus.size()) - stock.rows();
    for (int row = 0; row < stock.rows(); ++row) {
        const std::string sku = stock.text(row, 0);
        differing += parse_decimal(stock.text(row, 1)) != after.at(sku) ||
                     parse_decimal(stock.text(row, 2)) != after.at(sku + ":sold");
    }
    std::cout << "verified: " << skus.size() << " SKUs in ledger.stock, " << differing << " differ\n";
    return differing;
}

// Within a day the bank's lines stand in no order, so a day agrees if one of
// them bears the balance that the day's movements lead to.
bool day_agrees(const std::vector<BankLine> &lines, size_t first, size_t last, Decimal &balance) {
    Decimal expected = balance;
    for (size_t i = first; i < last; ++i) expected += lines[i].change;
    const auto distance = [expected](const BankLine &line) {
        return line.balance < expected ? expected - line.balance : line.balance - expected;
    };
    const auto closing =
        std::min_element(lines.begin() + static_cast<long>(first), lines.begin() + static_cast<long>(last),
                         [&](const BankLine &a, const BankLine &b) { return distance(a) < distance(b); });
    balance = closing->balance;
    const Decimal rounding = power_of_ten(kDecimalPlaces - 1) * static_cast<Decimal>(last - first);
    return distance(*closing) <= rounding;
}

// Follows the bank's own balances from day to day; returns the days that disagree.
long bank_differences(const Plan &plan) {
    std::string last_date;
    for (const auto &account : plan.bank_says) last_date = std::max(last_date, account.second.back().date);
    long days = 0, differing = 0, unfinished = 0;
    for (const auto &[account, lines] : plan.bank_says) {
        Decimal balance = 0;
        for (size_t first = 0, last; first < lines.size(); first = last) {
            last = first;
            while (last < lines.size() && lines[last].date == lines[first].date) ++last;
            ++days;
            if (day_agrees(lines, first, last, balance)) continue;
            if (plan.cut && lines[first].date == last_date) {
                ++unfinished;
            } else {
                ++differing;
                std::cerr << account << ": the bank's balance of " << lines[first].date << " disagrees\n";
            }
        }
    }
    std::cout << "verified: " << days << " account days against the bank's own balances, " << differing
              << " differ; " << unfinished << " more on the day in which the file is cut\n";
    return differing;
}

void report(const Plan &plan, size_t accounts, double seconds) {
    std::printf("%ld lines, %zu accounts; %zu movements in %.3f s, %.0f lines/s\n", plan.lines, accounts,
                plan.movements.size(), seconds, static_cast<double>(plan.movements.size()) / seconds);
    for (const auto &[reason, lines] : plan.rejections) {
        std::printf("rejected %zu: %s (line", lines.size(), reason.c_str());
        for (size_t i = 0; i < std::min(lines.size(), kLinesShown); ++i) std::printf(" %ld", lines[i]);
        std::printf("%s)\n", lines.size() > kLinesShown ? " ..." : "");
    }
}

bool run(const Options &options) {
    Plan plan = read(options);
    const std::map<std::string, bool> accounts = accounts_of(plan);
    pq::Connection database(options.conninfo, "replay");
    database.exec("CREATE EXTENSION IF NOT EXISTS ledger");
    const Balances before = balances(database, accounts);
    if (!options.asset.empty()) open_accounts(database, options, accounts, before);
    supply(database, plan.supplies, before);

    const Clock::time_point start = Clock::now();
    Balances expected = load(database, plan);
    report(plan, accounts.size(), std::chrono::duration<double>(Clock::now() - start).count());
    if (!options.verify) return true;

    for (const auto &[sku, quantity] : plan.supplies) expected[sku] += quantity;
    const Balances after = balances(database, accounts);
    long differing = differences(before, after, expected);
    if (options.format == "retail") differing += stock_differences(database, plan.supplies, after);
    if (options.format == "bank") differing += bank_differences(plan);
    return differing == 0;
}

// ASSET or ASSET/SCALE
void take_asset(Options &options, const std::string &text) {
    const size_t slash = text.find('/');
    options.asset = text.substr(0, slash);
    options.scale = slash == std::string::npos ? 0 : std::stoi(text.substr(slash + 1));
}

Options parse(int argc, char **argv) {
    Options options;
    const std::vector<Option> known = {
        {"format", [&](const char *text) { options.format = text; }},
        {"open-accounts", [&](const char *text) { take_asset(options, text); }},
        {"verify", [&](const char *) { options.verify = true; }, true},
        {"dbname", [&](const char *text) { options.conninfo = text; }},
    };
    take_options("replay", kHelp, argc, argv, known);
    if (options.format != "movements" && options.format != "bank" && options.format != "retail") {
        throw std::invalid_argument("--format is movements, bank or retail");
    }
    if (optind != argc - 1) throw std::invalid_argument("it takes one FILE; see replay --help");
    options.path = argv[optind];
    if (options.format == "bank") take_asset(options, "CZK/2");
    return options;
}

}  // namespace

int main(int argc, char **argv) {
    return run_program("replay", [&] { return run(parse(argc, argv)); });
}
