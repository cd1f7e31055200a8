// The files that replay understands, each turned into one plan: movements in
// order, the accounts they need, and the lines that are no movements, with why.
#pragma once

#include <algorithm>
#include <cctype>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "csv.hpp"
#include "decimal.hpp"

struct Movement {
    long line;
    std::string source;
    std::string destination;
    std::string amount;
    Decimal value;
};

// Lines by the reason why they moved nothing.
using Rejections = std::map<std::string, std::vector<long>>;

// What the bank itself says of a line.
struct BankLine {
    std::string date;
    Decimal change;
    Decimal balance;
};

struct Plan {
    long lines = 0;  // of data, without the header
    std::vector<Movement> movements;
    Rejections rejections;
    std::map<std::string, Decimal> supplies;                 // retail: what each SKU needs
    std::map<std::string, std::vector<BankLine>> bank_says;  // bank: each account's lines in order
    bool cut = false;                                        // the file ends in the middle of a line
};

// A file with a header, read by column names.
class Table {
  public:
    Table(const std::string &path, char delimiter)
        : input_(path, std::ios::binary), reader_(input_, delimiter) {
        csv::Record header;
        if (!reader_.next(header)) throw std::runtime_error(path + ": cannot be read, or is empty");
        for (const std::string &name : header.fields) columns_.emplace(name, columns_.size());
    }

    // Steps to the next whole line; the others are rejected in the plan.
    bool next(Plan &plan) {
        while (reader_.next(record_)) {
            ++plan.lines;
            if (record_.fields.size() == columns_.size()) return true;
            plan.cut = !record_.terminated;
            plan.rejections[plan.cut ? "the last line is cut" : "wrong number of fields"].push_back(
                record_.line);
        }
        return false;
    }

    long line() const { return record_.line; }

    const std::string &operator[](const char *column) const {
        const auto found = columns_.find(column);
        if (found == columns_.end()) throw std::runtime_error(std::string("no column ") + column);
        return record_.fields[found->second];
    }

  private:
    std::ifstream input_;
    csv::Reader reader_;
    csv::Record record_;
    std::map<std::string, size_t> columns_;
};

// Adds the movement, unless its amount is no number.
inline void add(Plan &plan, long line, const std::string &source, const std::string &destination,
                const std::string &amount) {
    if (const auto value = parse_decimal(amount)) {
        plan.movements.push_back({line, source, destination, amount, *value});
    } else {
        plan.rejections["the amount is not a number"].push_back(line);
    }
}

inline Plan read_movements(const std::string &path) {
    Plan plan;
    Table table(path, ',');
    while (table.next(plan)) add(plan, table.line(), table["source"], table["destination"], table["amount"]);
    return plan;
}

constexpr const char *kBankCash = "bank:cash";

inline Plan read_bank(const std::string &path) {
    Plan plan;
    Table table(path, ';');
    while (table.next(plan)) {
        const std::string account = "bank:" + table["account_id"];
        const std::string &type = table["type"];
        const bool in = type == "PRIJEM";
        if (!in && type != "VYDAJ" && type != "VYBER") {
            plan.rejections["unknown type of transaction"].push_back(table.line());
            continue;
        }
        const size_t before = plan.movements.size();
        add(plan, table.line(), in ? kBankCash : account, in ? account : kBankCash, table["amount"]);
        const auto balance = parse_decimal(table["balance"]);
        if (plan.movements.size() == before || !balance) continue;
        const Decimal value = plan.movements.back().value;
        plan.bank_says[account].push_back({table["date"], in ? value : -value, *balance});
    }
    return plan;
}

// Goods have five digits and perhaps letters for the variant. The clerks typed
// those in either case, for the same goods.
inline bool is_goods(const std::string &stock_code) {
    const auto digit = [](unsigned char c) { return std::isdigit(c) != 0; };
    const auto letter = [](unsigned char c) { return std::isalpha(c) != 0; };
    return stock_code.size() >= 5 && std::all_of(stock_code.begin(), stock_code.begin() + 5, digit) &&
           std::all_of(stock_code.begin() + 5, stock_code.end(), letter);
}

inline std::string upper(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
    return text;
}

// Why a line of the shop's file moves no goods to or from a customer, or "".
inline std::string no_sale(const Table &table, Decimal quantity, bool canceled) {
    if (!is_goods(table["StockCode"])) return "a fee or a correction, not goods";
    if (quantity == 0) return "quantity zero";
    const bool free = parse_decimal(table["UnitPrice"]).value_or(0) == 0;
    if (!canceled && free && table["CustomerID"].empty())
        return "a stock adjustment: no price and no customer";
    if (canceled != (quantity < 0)) return "the quantity's sign contradicts the invoice";
    return "";
}

inline Plan read_retail(const std::string &path) {
    Plan plan;
    Table table(path, ',');
    while (table.next(plan)) {
        const bool canceled = table["InvoiceNo"].starts_with('C');
        const auto quantity = parse_decimal(table["Quantity"]);
        const std::string reason =
            quantity ? no_sale(table, *quantity, canceled) : "the quantity is not a number";
        if (!reason.empty()) {
            plan.rejections[reason].push_back(table.line());
            continue;
        }
        const std::string sku = upper(table["StockCode"]);
        const std::string sold = sku + ":sold";
        if (canceled) {
            add(plan, table.line(), sold, sku, format_decimal(-*quantity));
        } else {
            add(plan, table.line(), sku, sold, format_decimal(*quantity));
        }
        plan.supplies[sku] += canceled ? 0 : *quantity;
    }
    return plan;
}

// The accounts of a plan, and whether each must be free to go below zero: where
// the file's own sum does, because the overdraft is real or because the file
// begins in the middle of the account's life.
inline std::map<std::string, bool> accounts_of(const Plan &plan) {
    std::map<std::string, Decimal> balances;
    std::map<std::string, bool> unbounded;
    for (const Movement &movement : plan.movements) {
        unbounded[movement.source] |= (balances[movement.source] -= movement.value) < 0;
        balances[movement.destination] += movement.value;
        unbounded.try_emplace(movement.destination, false);
    }
    return unbounded;
}
