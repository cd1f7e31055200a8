// The clock that the servers see: right, until somebody sets it wrong (clock.cpp).
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

class Clock {
  public:
    explicit Clock(std::string directory) : directory_(std::move(directory)) {
        const int file = open(path().c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
        if (file < 0 || ftruncate(file, sizeof(std::int64_t)) != 0)
            throw std::runtime_error("cannot make " + path());
        void *mapped = mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        close(file);
        if (mapped == MAP_FAILED) throw std::runtime_error("cannot map " + path());
        ahead_ = static_cast<std::atomic<std::int64_t> *>(mapped);
    }
    Clock(const Clock &) = delete;
    Clock &operator=(const Clock &) = delete;
    ~Clock() { munmap(ahead_, sizeof(std::int64_t)); }

    // Only forward: the model's clock is the right one, and what time did is not excused before it.
    void set_ahead(std::chrono::seconds by) { *ahead_ = std::chrono::microseconds(by).count(); }
    void set_right() { *ahead_ = 0; }

    // What a server has to be started with. A library that is preloaded already stays the first.
    std::string environment() const {
        return "TORTURE_CLOCK=" + path() + " LD_PRELOAD=\"${LD_PRELOAD:+$LD_PRELOAD:}" + directory_ +
               "/torture_clock.so\" ";
    }

  private:
    std::string path() const { return directory_ + "/clock"; }

    std::string directory_;
    std::atomic<std::int64_t> *ahead_ = nullptr;
};
