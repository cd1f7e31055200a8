// Progress on stderr: a bar that redraws itself on a terminal, and a line now
// and then where stderr goes into a log.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

class Progress {
  public:
    Progress(std::string title, long total)
        : title_(std::move(title)), total_(total), terminal_(isatty(STDERR_FILENO) == 1) {}

    Progress(const Progress &) = delete;
    Progress &operator=(const Progress &) = delete;

    // A terminal keeps the last state of the bar; a log has nothing to end.
    ~Progress() {
        if (!terminal_ || !drawn_) return;
        draw();
        std::fputc('\n', stderr);
    }

    void advance(long steps = 1) {
        done_ += steps;
        const Clock::time_point now = Clock::now();
        if (now < next_) return;
        next_ = now + (terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(3000));
        draw();
    }

  private:
    using Clock = std::chrono::steady_clock;
    static constexpr long kWidth = 40;

    void draw() {
        const long total = std::max({total_, done_, 1L});
        const long filled = std::clamp(done_ * kWidth / total, 0L, kWidth);
        const std::string bar = std::string(filled, '#') + std::string(kWidth - filled, '.');
        if (terminal_) {
            std::fprintf(stderr, "\r%s [%s] %3ld%% %ld/%ld", title_.c_str(), bar.c_str(), done_ * 100 / total,
                         done_, total);
        } else {
            std::fprintf(stderr, "%s: %ld of %ld\n", title_.c_str(), done_, total_);
        }
        drawn_ = true;
    }

    std::string title_;
    long total_;
    bool terminal_;
    long done_ = 0;
    bool drawn_ = false;
    // A log hears nothing of work that is over within the first interval.
    Clock::time_point next_ = Clock::now() + std::chrono::milliseconds(terminal_ ? 0 : 3000);
};
