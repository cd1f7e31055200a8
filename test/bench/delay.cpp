// Stands between two servers and holds whatever passes for a while, as a wire
// would: delay LISTEN CONNECT MICROSECONDS. Both ends are Unix sockets. It runs
// until it is killed.

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kInFlightMax = 64 << 20;

class Socket {
  public:
    explicit Socket(int fd) : fd_(fd) {
        if (fd < 0) throw std::runtime_error(std::strerror(errno));
    }
    Socket(const Socket &) = delete;
    Socket &operator=(const Socket &) = delete;
    ~Socket() { close(fd_); }
    int fd() const { return fd_; }

  private:
    int fd_;
};

using SharedSocket = std::shared_ptr<Socket>;

// One direction of a connection: a thread that reads and one that writes, later.
class Wire {
  public:
    Wire(SharedSocket from, SharedSocket to, std::chrono::microseconds delay)
        : from_(std::move(from)), to_(std::move(to)), delay_(delay) {}

    // The end of the stream is a chunk without bytes.
    void read() {
        std::vector<char> buffer(1 << 17);
        for (ssize_t length = 1; length > 0;) {
            length = ::read(from_->fd(), buffer.data(), buffer.size());
            const Clock::time_point due = Clock::now() + delay_;
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return in_flight_ < kInFlightMax; });
            chunks_.push_back({due, {buffer.data(), static_cast<size_t>(std::max<ssize_t>(length, 0))}});
            in_flight_ += chunks_.back().bytes.size();
            changed_.notify_all();
        }
    }

    void write() {
        prctl(PR_SET_TIMERSLACK, 1);
        for (;;) {
            const Chunk chunk = next();
            std::this_thread::sleep_until(chunk.due);
            if (chunk.bytes.empty() || !send_all(chunk.bytes)) break;
        }
        shutdown(to_->fd(), SHUT_WR);
        shutdown(from_->fd(), SHUT_RD);
    }

  private:
    struct Chunk {
        Clock::time_point due;
        std::string bytes;
    };

    Chunk next() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !chunks_.empty(); });
        Chunk chunk = std::move(chunks_.front());
        chunks_.pop_front();
        in_flight_ -= chunk.bytes.size();
        changed_.notify_all();
        return chunk;
    }

    bool send_all(const std::string &bytes) {
        for (size_t sent = 0; sent < bytes.size();) {
            const ssize_t length = send(to_->fd(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
            if (length < 0) return false;
            sent += static_cast<size_t>(length);
        }
        return true;
    }

    SharedSocket from_;
    SharedSocket to_;
    const std::chrono::microseconds delay_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Chunk> chunks_;
    size_t in_flight_ = 0;
};

sockaddr_un address(const std::string &path) {
    sockaddr_un result{};
    result.sun_family = AF_UNIX;
    if (path.size() >= sizeof result.sun_path) throw std::runtime_error("the path is too long: " + path);
    std::memcpy(result.sun_path, path.c_str(), path.size());
    return result;
}

void lay(const SharedSocket &from, const SharedSocket &to, std::chrono::microseconds delay) {
    const auto wire = std::make_shared<Wire>(from, to, delay);
    std::thread([wire] { wire->read(); }).detach();
    std::thread([wire] { wire->write(); }).detach();
}

void serve(const std::string &listen_path, const std::string &connect_path, std::chrono::microseconds delay) {
    const Socket listener(socket(AF_UNIX, SOCK_STREAM, 0));
    const sockaddr_un here = address(listen_path);
    const sockaddr_un there = address(connect_path);
    unlink(listen_path.c_str());
    if (bind(listener.fd(), reinterpret_cast<const sockaddr *>(&here), sizeof here) < 0 ||
        listen(listener.fd(), 16) < 0)
        throw std::runtime_error(listen_path + ": " + std::strerror(errno));
    for (;;) {
        const auto near = std::make_shared<Socket>(accept(listener.fd(), nullptr, nullptr));
        const auto far = std::make_shared<Socket>(socket(AF_UNIX, SOCK_STREAM, 0));
        if (connect(far->fd(), reinterpret_cast<const sockaddr *>(&there), sizeof there) < 0) continue;
        lay(near, far, delay);
        lay(far, near, delay);
    }
}

}  // namespace

int main(int argc, char **argv) try {
    if (argc != 4) throw std::invalid_argument("usage: delay LISTEN CONNECT MICROSECONDS");
    serve(argv[1], argv[2], std::chrono::microseconds(std::atol(argv[3])));
} catch (const std::exception &error) {
    std::fprintf(stderr, "delay: %s\n", error.what());
    return EXIT_FAILURE;
}
