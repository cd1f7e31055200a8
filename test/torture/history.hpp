// What every session sent and was told, in the order it came back: a file to read
// after a failure, and the answer to how often each function was called.
#pragma once

#include <chrono>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

class History {
  public:
    explicit History(std::string path) : path_(std::move(path)), file_(path_) {}

    void note(const std::string &who, const std::string &sent, const std::string &told) {
        const std::chrono::duration<double> now = std::chrono::steady_clock::now() - began_;
        const std::lock_guard guard(mutex_);
        char time[32];
        std::snprintf(time, sizeof time, "%10.4f ", now.count());
        file_ << time << who << " | " << sent << " | " << told << '\n';
    }

    // Counts the functions of schema ledger that a statement which succeeded names.
    void count(const std::string &sql) {
        const std::lock_guard guard(mutex_);
        for (std::size_t at = 0; (at = sql.find("ledger.", at)) != std::string::npos;) {
            at += 7;
            const std::size_t end = sql.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at);
            if (end != std::string::npos && sql[end] == '(') ++calls_[sql.substr(at, end - at)];
        }
    }

    const std::map<std::string, long> &calls() const { return calls_; }

    // A new file when this one is long; the one before is kept.
    void turn_over() {
        const std::lock_guard guard(mutex_);
        file_.flush();
        if (file_.tellp() < kLong) return;
        file_.close();
        std::filesystem::rename(path_, path_ + ".old");
        file_.open(path_);
    }

    // The last lines that have one of the words.
    std::deque<std::string> about(const std::set<std::string> &words, std::size_t max) {
        const std::lock_guard guard(mutex_);
        file_.flush();
        std::deque<std::string> found;
        for (const char *suffix : {".old", ""}) {
            std::ifstream file(path_ + suffix);
            for (std::string line; std::getline(file, line);) {
                if (!mentions(line, words)) continue;
                found.push_back(line);
                if (found.size() > max) found.pop_front();
            }
        }
        return found;
    }

  private:
    static constexpr std::streamoff kLong = 200 << 20;

    static bool is_word(char c) {
        return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == ':' || c == '_';
    }

    static bool mentions(const std::string &line, const std::set<std::string> &words) {
        for (const std::string &word : words)
            for (std::size_t at = 0; (at = line.find(word, at)) != std::string::npos; at += word.size())
                if ((at == 0 || !is_word(line[at - 1])) &&
                    (at + word.size() == line.size() || !is_word(line[at + word.size()])))
                    return true;
        return false;
    }

    std::mutex mutex_;
    std::string path_;
    std::ofstream file_;
    std::map<std::string, long> calls_;
    const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};
