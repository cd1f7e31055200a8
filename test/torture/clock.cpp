// A library to preload into a server: its clock is as wrong as a file says. The file
// holds a number of microseconds that is added to the time of day; it is mapped, so a
// change is seen at once by all processes, and no reading of the clock allocates or
// locks anything (PostgreSQL reads the clock in signal handlers). Clocks that measure
// durations stay as they are.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace {

constexpr std::int64_t kMicroseconds = 1000000;

const std::atomic<std::int64_t> *error_of_clock = nullptr;

__attribute__((constructor)) void map_error() {
    const char *path = getenv("TORTURE_CLOCK");
    const int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) error_of_clock = static_cast<const std::atomic<std::int64_t> *>(mapped);
}

int read_clock(clockid_t clock, timespec *now) {
    const int result = static_cast<int>(syscall(SYS_clock_gettime, clock, now));
    if (result != 0 || error_of_clock == nullptr) return result;
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return result;
    const std::int64_t error = error_of_clock->load(std::memory_order_relaxed);
    now->tv_sec += error / kMicroseconds;
    now->tv_nsec += error % kMicroseconds * 1000;
    if (now->tv_nsec >= 1000000000) {
        ++now->tv_sec;
        now->tv_nsec -= 1000000000;
    }
    return result;
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, timespec *now) noexcept {
    return read_clock(clock, now);
}

__attribute__((visibility("default"))) int gettimeofday(timeval *now, void *) noexcept {
    timespec precise;
    const int result = read_clock(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return result;
}

__attribute__((visibility("default"))) time_t time(time_t *now) noexcept {
    timespec precise;
    read_clock(CLOCK_REALTIME, &precise);
    if (now) *now = precise.tv_sec;
    return precise.tv_sec;
}
}
