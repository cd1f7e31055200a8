// What the client programs' main functions share.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>

// The value of an option that must be a number of at least 1.
inline int positive(const char *name, const char *text) {
    const int value = std::atoi(text);
    if (value < 1) throw std::invalid_argument(std::string("--") + name + " must be at least 1");
    return value;
}

// Runs work, which tells whether all is well. The exit status is 1 if it is not,
// and 2 if the arguments were wrong.
template <typename Work>
int run_program(const char *name, Work work) {
    try {
        std::setvbuf(stdout, nullptr, _IOLBF, 0);
        return work() ? EXIT_SUCCESS : EXIT_FAILURE;
    } catch (const std::invalid_argument &error) {
        std::fprintf(stderr, "%s: %s\n", name, error.what());
        return 2;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s: %s\n", name, error.what());
        return EXIT_FAILURE;
    }
}
