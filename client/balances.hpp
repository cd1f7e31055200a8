// Balances: the sums of the transfers read, against the balances that the server tells.
// The server reads balances by indexes; one that lacks a transfer lets it be spent again.
#pragma once

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "copy.hpp"
#include "findings.hpp"
#include "text.hpp"

class Balances {
  public:
    // A transfer, as record::kScopes has its columns.
    void add(const std::vector<copy::Field> &transfer) {
        const int64_t kind = copy::integer(transfer[3]);
        const Wide amount = copy::integer(transfer[6]);
        const Wide posted = kind == 2 || kind == 4 ? 0 : amount;
        const Wide pending = kind == 2 ? amount : kind == 3 || kind == 4 ? -amount : 0;
        Sums &source = sums_[copy::integer(transfer[4])];
        source.posted -= posted;
        source.held += pending;
        Sums &destination = sums_[copy::integer(transfer[5])];
        destination.posted += posted;
        destination.incoming += pending;
    }

    // A line of id, scale, posted, held, incoming, the last three in natural units.
    void compare(std::string &line, Findings &findings) {
        copy::split(line, fields_);
        if (fields_.size() != 5) throw Malformed("wrong number of columns");
        const int64_t account = copy::integer(fields_[0]);
        const int64_t scale = copy::integer(fields_[1]);
        const Sums told{minor(fields_[2], scale), minor(fields_[3], scale), minor(fields_[4], scale)};
        ++count_;
        const auto found = sums_.find(account);
        if (found == sums_.end()) return check(account, {}, told, findings);
        check(account, found->second, told, findings);
        sums_.erase(found);
    }

    // At the end: accounts of transfers that the server has said nothing of.
    void finish(Findings &findings) {
        std::vector<int64_t> left;
        for (const auto &[account, sums] : sums_) left.push_back(account);
        std::sort(left.begin(), left.end());
        for (const int64_t account : left)
            report(account, "there are transfers of it, and the server has no such account", findings);
    }

    int64_t count() const { return count_; }

  private:
    // Turnover may be more than 64 bits hold.
    __extension__ typedef __int128 Wide;

    struct Sums {
        Wide posted = 0;
        Wide held = 0;
        Wide incoming = 0;

        bool operator==(const Sums &) const = default;
    };

    // A number with as many decimal places as the scale, without its point.
    static Wide minor(const copy::Field &field, int64_t scale) {
        std::string_view text = copy::text(field);
        const bool negative = text.starts_with('-');
        if (negative) text.remove_prefix(1);
        const size_t point = text.find('.');
        const size_t places = point == text.npos ? 0 : text.size() - point - 1;
        if (scale < 0 || places != static_cast<size_t>(scale) || text.size() > 38)
            throw Malformed("an amount that does not fit its asset");
        Wide value = 0;
        for (size_t i = 0; i < text.size(); ++i) {
            if (i == point) continue;
            if (text[i] < '0' || text[i] > '9') throw Malformed("not a number");
            value = value * 10 + (text[i] - '0');
        }
        return negative ? -value : value;
    }

    static std::string digits(Wide value) {
        if (value == 0) return "0";
        std::string text;
        for (Wide rest = value; rest != 0; rest /= 10)
            text += static_cast<char>('0' + static_cast<int>(rest < 0 ? -(rest % 10) : rest % 10));
        if (value < 0) text += '-';
        return {text.rbegin(), text.rend()};
    }

    static std::string describe(const Sums &sums) {
        return "posted " + digits(sums.posted) + ", held " + digits(sums.held) + ", incoming " +
               digits(sums.incoming);
    }

    static void check(int64_t account, const Sums &read, const Sums &told, Findings &findings) {
        if (read == told) return;
        report(account,
               "its transfers sum to " + describe(read) + " minor units, the server says " + describe(told),
               findings);
    }

    static void report(int64_t account, std::string detail, Findings &findings) {
        findings.push_back({kMismatch, {.scope = "balance", .id = account}, std::move(detail)});
    }

    std::unordered_map<int64_t, Sums> sums_;
    std::vector<copy::Field> fields_;
    int64_t count_ = 0;
};
